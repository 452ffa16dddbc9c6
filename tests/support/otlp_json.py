"""OTLP/JSON sent and read back, for the tests of its reader."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_llm_collector.errors import Malformed
from otel_llm_collector.otlp.json_body import to_protobuf

SPAN = "resourceSpans[0].scopeSpans[0].spans[0]"
"""The path of the span that :func:`traces` makes."""


def convert(kind: type[Message], document: Any) -> Any:
    """The request that a document, or the bytes of one, becomes."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return kind.FromString(to_protobuf(kind, body))


def refusal(kind: type[Message], document: Any) -> str:
    """Why it is refused."""
    with pytest.raises(Malformed) as refused:
        convert(kind, document)
    return str(refused.value)


def traces(**fields: Any) -> dict[str, Any]:
    """A request of one span with these fields in JSON."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": [fields]}]}]}


def span(**fields: Any) -> Span:
    converted: Span = convert(ExportTraceServiceRequest, traces(**fields)).resource_spans[0].scope_spans[0].spans[0]
    return converted


def wrong(**fields: Any) -> str:
    """Why a span with these fields is refused."""
    return refusal(ExportTraceServiceRequest, traces(**fields))


def attribute(value: Any) -> dict[str, Any]:
    """The fields of a span that has one attribute with this value in JSON."""
    return {"attributes": [{"key": "k", "value": value}]}


def value(document: Any) -> AnyValue:
    return span(**attribute(document)).attributes[0].value


def metrics(**fields: Any) -> dict[str, Any]:
    """A request of one metric with these fields in JSON."""
    return {"resourceMetrics": [{"scopeMetrics": [{"metrics": [fields]}]}]}


def metric(**fields: Any) -> Metric:
    request = convert(ExportMetricsServiceRequest, metrics(**fields))
    converted: Metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    return converted
