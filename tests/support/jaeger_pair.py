"""Two Jaegers side by side that were sent the same: one keeps it in memory, one reads it from a collector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.signals import TRACES

from .jaeger import Answer, Jaeger


@dataclass(frozen=True, slots=True)
class Pair:
    """Two that run; ``writer`` is the URL of the collector's OTLP over gRPC."""

    memory: Jaeger
    ours: Jaeger
    writer: str

    def send(self, request: ExportTraceServiceRequest, through: bool = False) -> None:
        """To both; to the collector itself, or ``through`` the Jaeger before it, which names what has no service."""
        for url in (self.memory.otlp, self.ours.otlp if through else self.writer):
            with grpc.insecure_channel(urlsplit(url).netloc) as channel:
                channel.unary_unary(f"/{TRACES.service}/Export")(request.SerializeToString(), timeout=60)

    def agree(self, view: Callable[[Answer], Any], path: str, **parameters: Any) -> Any:
        """What both show of an answer; fails where they differ."""
        wanted = view(self.memory.ask(path, **parameters))
        found = view(self.ours.ask(path, **parameters))
        assert (path, parameters, found) == (path, parameters, wanted)
        return wanted
