"""Metrics for tests, and the rows that they become."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_llm_collector.clickhouse.store import literal

from .landing import Lander
from .otlp import START, attributes
from .reference_metrics import KINDS


def metric(kind: str, points: int = 1, **fields: Any) -> Metric:
    """A metric of a kind with points that have these fields."""
    found = Metric(name=kind, description="What it is.", unit="s")
    data = getattr(found, kind)
    for _ in range(points):
        data.data_points.add(start_time_unix_nano=START, time_unix_nano=START + 60_000_000_000, **fields)
    return found


def body(*metrics: Metric, service: str) -> bytes:
    """A request with these metrics of one scope."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add(schema_url="https://resource")
    group.resource.attributes.extend(attributes({"service.name": service}))
    scope = group.scope_metrics.add(schema_url="https://scope")
    scope.scope.name, scope.scope.version, scope.scope.dropped_attributes_count = "scope", "1.2", 3
    scope.scope.attributes.extend(attributes({"s": 1}))
    scope.metrics.extend(metrics)
    encoded: bytes = request.SerializeToString()
    return encoded


def land(metrics: Lander, service: str, sent: Metric, times: int = 1) -> dict[str, Any]:
    """The row that a metric with one point becomes, landed so many times."""
    metrics.land(body(sent, service=service), kinds=1 << KINDS.index(sent.name), times=times)
    (row,) = rows(metrics, service, sent.name)
    return row


def rows(metrics: Lander, service: str, kind: str, columns: str = "*") -> list[dict[str, Any]]:
    return metrics.store.rows(f"SELECT {columns} FROM otel_metrics_{kind} WHERE ServiceName = {literal(service)}")
