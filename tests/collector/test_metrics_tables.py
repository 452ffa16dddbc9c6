"""Data points in the exporter's tables, one a kind: their columns, and a whole point of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from otel_llm_collector.clickhouse.store import literal
from otel_llm_collector.signals import METRICS
from tests.support.landing import Lander, landing
from tests.support.metrics import land, metric
from tests.support.otlp import START, attributes, utc
from tests.support.reference_metrics import KINDS

LC = "LowCardinality(String)"
MAP = "Map(LowCardinality(String), String)"
#: The exporter's columns, in its order; ours may only follow them.
COMMON = {
    "ResourceAttributes": MAP,
    "ResourceSchemaUrl": "String",
    "ScopeName": "String",
    "ScopeVersion": "String",
    "ScopeAttributes": MAP,
    "ScopeDroppedAttrCount": "UInt32",
    "ScopeSchemaUrl": "String",
    "ServiceName": LC,
    "MetricName": LC,
    "MetricDescription": "String",
    "MetricUnit": "String",
    "Attributes": MAP,
    "StartTimeUnix": "DateTime",
    "TimeUnix": "DateTime",
}
EXEMPLARS = {
    "Exemplars.FilteredAttributes": f"Array({MAP})",
    "Exemplars.TimeUnix": "Array(DateTime)",
    "Exemplars.Value": "Array(Float64)",
    "Exemplars.SpanId": "Array(String)",
    "Exemplars.TraceId": "Array(String)",
}
SUMMED = {"Count": "UInt64", "Sum": "Float64"}
RANGE = {"Flags": "UInt32", "Min": "Float64", "Max": "Float64", "AggregationTemporality": "Int32"}
GAUGE = {"Value": "Float64", "Flags": "UInt32", **EXEMPLARS}
OWN = {
    "gauge": GAUGE,
    "sum": {**GAUGE, "AggregationTemporality": "Int32", "IsMonotonic": "Bool"},
    "histogram": {
        **SUMMED,
        "BucketCounts": "Array(UInt64)",
        "ExplicitBounds": "Array(Float64)",
        **EXEMPLARS,
        **RANGE,
    },
    "exponential_histogram": {
        **SUMMED,
        "Scale": "Int32",
        "ZeroCount": "UInt64",
        "PositiveOffset": "Int32",
        "PositiveBucketCounts": "Array(UInt64)",
        "NegativeOffset": "Int32",
        "NegativeBucketCounts": "Array(UInt64)",
        **EXEMPLARS,
        **RANGE,
    },
    "summary": {
        **SUMMED,
        "ValueAtQuantiles.Quantile": "Array(Float64)",
        "ValueAtQuantiles.Value": "Array(Float64)",
        "Flags": "UInt32",
    },
}
INDEXES = {
    "idx_res_attr_key": "bloom_filter(0.01)",
    "idx_res_attr_value": "bloom_filter(0.01)",
    "idx_scope_attr_key": "bloom_filter(0.01)",
    "idx_scope_attr_value": "bloom_filter(0.01)",
    "idx_attr_key": "bloom_filter(0.01)",
    "idx_attr_value": "bloom_filter(0.01)",
    "idx_time_minmax": "minmax",
}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lander]:
    """Lands segments of metrics in a store of their own."""
    with landing(METRICS, tmp_path_factory.mktemp("metrics")) as lander:
        yield lander


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_are_the_exporter_s(metrics: Lander, kind: str) -> None:
    """Columns, their order, keys and indexes."""
    table = literal(f"otel_metrics_{kind}")
    columns = metrics.store.rows(f"SELECT name, type FROM system.columns WHERE table = {table} ORDER BY position")
    assert [(row["name"], row["type"]) for row in columns] == list({**COMMON, **OWN[kind], "TenantId": LC}.items())
    (keys,) = metrics.store.rows(f"SELECT partition_key, sorting_key FROM system.tables WHERE name = {table}")
    assert keys == {
        "partition_key": "toDate(TimeUnix)",
        "sorting_key": "ServiceName, MetricName, toStartOfHour(TimeUnix), cityHash64(Attributes), TimeUnix",
    }
    indexes = metrics.store.rows(f"SELECT name, type_full FROM system.data_skipping_indices WHERE table = {table}")
    assert {row["name"]: row["type_full"] for row in indexes} == INDEXES


def common(service: str, kind: str) -> dict[str, Any]:
    """The columns that every point has."""
    return {
        "ResourceAttributes": {"service.name": service},
        "ResourceSchemaUrl": "https://resource",
        "ScopeName": "scope",
        "ScopeVersion": "1.2",
        "ScopeAttributes": {"s": "1"},
        "ScopeDroppedAttrCount": 3,
        "ScopeSchemaUrl": "https://scope",
        "ServiceName": service,
        "MetricName": kind,
        "MetricDescription": "What it is.",
        "MetricUnit": "s",
        "Attributes": {"n": "0"},
        "StartTimeUnix": utc(START, 0),
        "TimeUnix": utc(START + 60_000_000_000, 0),
        "Flags": 1,
        "TenantId": "",
    }


EXEMPLAR = {
    "filtered_attributes": attributes({"e": False}),
    "time_unix_nano": START + 1,
    "as_int": -7,
    "span_id": bytes(range(8)),
    "trace_id": bytes(range(16)),
}
STORED_EXEMPLARS = {
    "Exemplars.FilteredAttributes": [{"e": "false"}, {}],
    "Exemplars.TimeUnix": [utc(START, 0), "1970-01-01 00:00:00"],
    "Exemplars.Value": [-7, 0.5],
    "Exemplars.SpanId": ["0001020304050607", ""],
    "Exemplars.TraceId": ["000102030405060708090a0b0c0d0e0f", ""],
}
FIELDS: dict[str, Any] = {"attributes": attributes({"n": 0}), "flags": 1}
WITH_EXEMPLARS: dict[str, Any] = {**FIELDS, "exemplars": [EXEMPLAR, {"as_double": 0.5}]}


def test_a_whole_gauge(metrics: Lander, service: str) -> None:
    """Every column; an exemplar without ids has none."""
    row = land(metrics, service, metric("gauge", as_double=1.5, **WITH_EXEMPLARS))
    assert row == {**common(service, "gauge"), "Value": 1.5, **STORED_EXEMPLARS}


def test_a_whole_sum(metrics: Lander, service: str) -> None:
    """Every column; a value that is an int is a float in the table, as the exporter has it."""
    sent = metric("sum", as_int=-3, **WITH_EXEMPLARS)
    sent.sum.aggregation_temporality, sent.sum.is_monotonic = 2, True
    assert land(metrics, service, sent) == {
        **common(service, "sum"),
        "Value": -3,
        **STORED_EXEMPLARS,
        "AggregationTemporality": 2,
        "IsMonotonic": True,
    }


def test_a_whole_histogram(metrics: Lander, service: str) -> None:
    """Every column."""
    sent = metric(
        "histogram", count=3, sum=2.5, min=0.5, max=1.5, bucket_counts=[1, 2], explicit_bounds=[1], **WITH_EXEMPLARS
    )
    sent.histogram.aggregation_temporality = 1
    assert land(metrics, service, sent) == {
        **common(service, "histogram"),
        "Count": 3,
        "Sum": 2.5,
        "Min": 0.5,
        "Max": 1.5,
        "BucketCounts": [1, 2],
        "ExplicitBounds": [1],
        "AggregationTemporality": 1,
        **STORED_EXEMPLARS,
    }


def test_a_whole_exponential_histogram(metrics: Lander, service: str) -> None:
    """Every column; offsets and scales may be negative."""
    sent = metric(
        "exponential_histogram",
        count=3,
        sum=2.5,
        min=0.5,
        max=1.5,
        scale=-4,
        zero_count=9,
        positive={"offset": -5, "bucket_counts": [1, 2]},
        negative={"offset": 6, "bucket_counts": [2**64 - 1]},
        **WITH_EXEMPLARS,
    )
    assert land(metrics, service, sent) == {
        **common(service, "exponential_histogram"),
        "Count": 3,
        "Sum": 2.5,
        "Min": 0.5,
        "Max": 1.5,
        "Scale": -4,
        "ZeroCount": 9,
        "PositiveOffset": -5,
        "PositiveBucketCounts": [1, 2],
        "NegativeOffset": 6,
        "NegativeBucketCounts": [2**64 - 1],
        "AggregationTemporality": 0,
        **STORED_EXEMPLARS,
    }


def test_a_whole_summary(metrics: Lander, service: str) -> None:
    """Every column."""
    sent = metric("summary", count=3, sum=2.5, quantile_values=[{"quantile": 0.5, "value": 1.25}, {}], **FIELDS)
    assert land(metrics, service, sent) == {
        **common(service, "summary"),
        "Count": 3,
        "Sum": 2.5,
        "ValueAtQuantiles.Quantile": [0.5, 0],
        "ValueAtQuantiles.Value": [1.25, 0],
    }
