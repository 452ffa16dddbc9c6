"""Where spans go when the application has set up nothing itself: OTLP, by the standard ``OTEL_*`` variables."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace import ProxyTracerProvider, TracerProvider

from otel_llm import config
from otel_llm.errors import ConfigError
from otel_llm.stream import settle

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter


def provider(service_name: str | None = None, endpoint: str | None = None) -> TracerProvider:
    """The application's TracerProvider, or one that is set up here.

    ``endpoint`` is the base address of an OTLP/HTTP receiver; without it the ``OTEL_*`` variables decide. Raises
    :class:`~otel_llm.errors.ConfigError` for an exporter or protocol that is not known.
    """
    present = trace.get_tracer_provider()
    if not isinstance(present, ProxyTracerProvider):
        return present
    if config.read(config.DISABLED).lower() == "true":
        return present
    kind = config.read(config.EXPORTER).lower()
    if kind == "none":
        return present

    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as Provider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = Provider(resource=Resource.create(_service(service_name)))
    made.add_span_processor(BatchSpanProcessor(_exporter(kind, endpoint)))
    trace.set_tracer_provider(made)
    return made


def _service(name: str | None) -> dict[str, str]:
    """The service's name: as given, else by the variables, else that of the program."""
    if name:
        return {"service.name": name}
    if "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        return {}
    return {"service.name": Path(sys.argv[0]).stem or "python"}


def _exporter(kind: str, endpoint: str | None) -> SpanExporter:
    if kind == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if kind != "otlp":
        raise ConfigError(f"{config.EXPORTER.variable}={kind} is not known: use otlp, console or none.")
    from otel_llm.delivery import Delivery

    protocol = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or config.read(config.PROTOCOL)
    if endpoint is not None or protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return Delivery(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces" if endpoint else None))
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return Delivery(GrpcExporter())
    raise ConfigError(f"{config.PROTOCOL.variable}={protocol} is not known: use http/protobuf or grpc.")


def flush(timeout: float = 5.0) -> bool:
    """Ends dropped streams and sends what is waiting, for ``timeout`` seconds at most; whether all of it went."""
    settle(timeout)
    force_flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    return True if force_flush is None else bool(force_flush(int(timeout * 1000)))
