"""What ClickHouse should hold of an OTLP metrics request: the plain conversion of ``reference`` for data points."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from .reference import Row, Rows, identity, pairs, service

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
_LAST = 2**32 - 1
"""The last second that a DateTime has."""


def data_points(request: ExportMetricsServiceRequest, tenant: str = "") -> Rows:
    """The rows of a metrics request; a metric without data has none."""
    found: Rows = {f"otel_metrics_{kind}": [] for kind in KINDS}
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                data = getattr(metric, kind)
                for point in data.data_points:
                    row = _common(resource_metrics, scope_metrics, metric, point)
                    row.update(_OWN[kind](data, point))
                    row["TenantId"] = tenant
                    found[f"otel_metrics_{kind}"].append(row)
    return found


def _common(resource_metrics: Any, scope_metrics: Any, metric: Any, point: Any) -> Row:
    resource, scope = resource_metrics.resource, scope_metrics.scope
    return {
        "ResourceAttributes": pairs(resource.attributes),
        "ResourceSchemaUrl": resource_metrics.schema_url,
        "ScopeName": scope.name,
        "ScopeVersion": scope.version,
        "ScopeAttributes": pairs(scope.attributes),
        "ScopeDroppedAttrCount": scope.dropped_attributes_count,
        "ScopeSchemaUrl": scope_metrics.schema_url,
        "ServiceName": service(resource.attributes),
        "MetricName": metric.name,
        "MetricDescription": metric.description,
        "MetricUnit": metric.unit,
        "Attributes": pairs(point.attributes),
        "StartTimeUnix": _seconds(point.start_time_unix_nano),
        "TimeUnix": _seconds(point.time_unix_nano),
        "Flags": point.flags,
    }


def _gauge(_: Any, point: Any) -> Row:
    return {"Value": _number(point), **_exemplars(point.exemplars)}


def _sum(data: Any, point: Any) -> Row:
    return {
        **_gauge(data, point),
        "AggregationTemporality": data.aggregation_temporality,
        "IsMonotonic": data.is_monotonic,
    }


def _distribution(data: Any, point: Any) -> Row:
    """What both kinds of histogram have."""
    return {
        "Count": point.count,
        "Sum": point.sum,
        "Min": point.min,
        "Max": point.max,
        "AggregationTemporality": data.aggregation_temporality,
        **_exemplars(point.exemplars),
    }


def _histogram(data: Any, point: Any) -> Row:
    return {
        **_distribution(data, point),
        "BucketCounts": list(point.bucket_counts),
        "ExplicitBounds": list(point.explicit_bounds),
    }


def _exponential_histogram(data: Any, point: Any) -> Row:
    return {
        **_distribution(data, point),
        "Scale": point.scale,
        "ZeroCount": point.zero_count,
        "PositiveOffset": point.positive.offset,
        "PositiveBucketCounts": list(point.positive.bucket_counts),
        "NegativeOffset": point.negative.offset,
        "NegativeBucketCounts": list(point.negative.bucket_counts),
    }


def _summary(_: Any, point: Any) -> Row:
    return {
        "Count": point.count,
        "Sum": point.sum,
        "ValueAtQuantiles.Quantile": [value.quantile for value in point.quantile_values],
        "ValueAtQuantiles.Value": [value.value for value in point.quantile_values],
    }


_OWN = {
    "gauge": _gauge,
    "sum": _sum,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}


def _exemplars(exemplars: Iterable[Any]) -> Row:
    return {
        "Exemplars.FilteredAttributes": [pairs(exemplar.filtered_attributes) for exemplar in exemplars],
        "Exemplars.TimeUnix": [_seconds(exemplar.time_unix_nano) for exemplar in exemplars],
        "Exemplars.Value": [_number(exemplar) for exemplar in exemplars],
        "Exemplars.SpanId": [identity(exemplar.span_id, 8) for exemplar in exemplars],
        "Exemplars.TraceId": [identity(exemplar.trace_id, 16) for exemplar in exemplars],
    }


def _number(point: Any) -> float:
    """The value of a point or exemplar, whichever of both it has; 0 where it has none."""
    return float(point.as_int) if point.WhichOneof("value") == "as_int" else point.as_double


def _seconds(time: int) -> str:
    """A time in nanoseconds since 1970, as a DateTime is written."""
    return f"{datetime.fromtimestamp(min(time // 1_000_000_000, _LAST), UTC):%Y-%m-%d %H:%M:%S}"
