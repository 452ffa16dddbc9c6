"""The official exporters of Python as clients: of spans, over each transport."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter as JsonExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, TraceFlags

from .otlp import START

EXPORTERS: dict[str, Callable[..., SpanExporter]] = {
    "grpc": lambda collector, **options: GrpcExporter(collector.grpc, insecure=True, **options),
    "http": lambda collector, **options: HttpExporter(f"{collector.http}/v1/traces", **options),
    "json": lambda collector, **options: JsonExporter(f"{collector.http}/v1/traces", **options),
}


def readable(service: str, number: int, **fields: Any) -> ReadableSpan:
    """A span that has ended; number 0 has ids that are none."""
    context = SpanContext(number, number, is_remote=False, trace_flags=TraceFlags(1))
    resource = Resource({"service.name": service})
    given = {"start_time": START, "end_time": START + 1, **fields}
    return ReadableSpan("exported", context=context, resource=resource, **given)


def exported(exporter: SpanExporter, *spans: ReadableSpan) -> bool:
    """Whether the exporter calls it a success; it is closed then."""
    try:
        return exporter.export(spans) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()
