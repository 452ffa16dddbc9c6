"""A client of Jaeger's remote storage, as Jaeger's query service asks it."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_llm_collector.jaeger.messages import message

from .collector import Handle, send
from .jaeger_client import address, method, spans
from .otlp import body

_REQUESTS = {"FindTraceIDs": "FindTracesRequest", "FindTraceSummaries": "FindTracesRequest"}


def store(collector: Handle, *spans: Span, **fields: Any) -> None:
    """Send spans, of one service, and wait until they can be asked for."""
    headers = {"Content-Type": "application/x-protobuf"}
    assert send("POST", f"{collector.http}/v1/traces", body(*spans, **fields), headers)[0] == 200
    collector.flush()


class JaegerStorage:
    """Asks one server; ``key`` is shown with every call. A context manager."""

    def __init__(self, url: str, key: str = "", credentials: grpc.ChannelCredentials | None = None) -> None:
        options = [("grpc.max_receive_message_length", -1)]
        self.channel = (
            grpc.insecure_channel(address(url), options)
            if credentials is None
            else grpc.secure_channel(address(url), credentials, options)
        )
        self._metadata = [("x-api-key", key)] if key else []

    def call(self, name: str, fields: Mapping[str, Any] | bytes, seconds: float = 30.0) -> list[Any]:
        """The messages of an answer to a request with these fields; raises ``grpc.RpcError``."""
        request = fields if isinstance(fields, bytes) else message(_REQUESTS.get(name, f"{name}Request"))(**fields)
        return list(method(self.channel, name)(request, timeout=seconds, metadata=self._metadata))

    def find(self, **query: Any) -> set[bytes]:
        """The ids of the traces that a search finds."""
        return {found.trace_id for found in self.call("FindTraceIDs", {"query": query})[0].trace_ids}

    def spans(self, *trace_ids: bytes) -> list[Span]:
        """The spans of traces, in the order in which they come."""
        return spans(self.call("GetTraces", {"query": [{"trace_id": trace_id} for trace_id in trace_ids]}))

    def refused(self, method: str, fields: Mapping[str, Any] | bytes) -> tuple[grpc.StatusCode, str]:
        """The status that a call is refused with, and what is said of it."""
        try:
            self.call(method, fields)
        except grpc.RpcError as error:
            return error.code(), error.details()
        raise AssertionError(f"{method} is answered")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()
