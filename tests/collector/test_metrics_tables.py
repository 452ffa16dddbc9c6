"""Data points in the exporter's tables, one a kind: their columns, and every value that a point can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_llm_collector import migrations
from otel_llm_collector.signals import METRICS
from otel_llm_collector.store import Store, literal
from tests.support.landing import Lander
from tests.support.otlp import START, attributes, utc
from tests.support.random_otlp import Requests
from tests.support.reference_metrics import KINDS, data_points
from tests.support.rows import differences

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
    folder = tmp_path_factory.mktemp("metrics")
    store = Store(f"chdb://{folder / 'store'}")
    migrations.migrate(store)
    lander = Lander(METRICS, store, folder / "log")
    yield lander
    lander.close()
    store.close()


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


def land(metrics: Lander, service: str, sent: Metric) -> dict[str, Any]:
    """The row that a metric with one point becomes."""
    metrics.land(body(sent, service=service))
    (row,) = rows(metrics, service, sent.name)
    return row


def rows(metrics: Lander, service: str, kind: str, columns: str = "*") -> list[dict[str, Any]]:
    return metrics.store.rows(f"SELECT {columns} FROM otel_metrics_{kind} WHERE ServiceName = {literal(service)}")


def counts(metrics: Lander, service: str) -> list[int]:
    """How many points each table has."""
    return [len(rows(metrics, service, kind, "1")) for kind in KINDS]


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


def test_what_a_histogram_does_not_say_is_zero(metrics: Lander, service: str) -> None:
    """As the exporter has it: its columns are not nullable."""
    row = land(metrics, service, metric("histogram"))
    assert {row[name] for name in ("Count", "Sum", "Min", "Max")} == {0}
    assert (row["BucketCounts"], row["ExplicitBounds"], row["Exemplars.Value"]) == ([], [], [])


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ({}, "0"),
        ({"as_int": 0}, "0"),
        ({"as_double": -0.0}, "-0"),
        ({"as_double": float("nan")}, "nan"),
        ({"as_double": float("inf")}, "inf"),
        ({"as_double": 5e-324}, "5e-324"),
        ({"as_int": 2**63 - 1}, "9223372036854775807"),
        ({"as_int": -(2**63)}, "-9223372036854775808"),
    ],
    ids=str,
)
def test_any_number_is_a_value(metrics: Lander, service: str, sent: dict[str, Any], stored: str) -> None:
    """Also none."""
    metrics.land(body(metric("gauge", **sent), service=service))
    (row,) = rows(metrics, service, "gauge", "toString(Value) AS value")
    assert float(row["value"]).hex() == float(stored).hex()


@pytest.mark.parametrize(
    ("time", "stored"),
    [(0, "1970-01-01 00:00:00"), (999_999_999, "1970-01-01 00:00:00"), (2**64 - 1, "2106-02-07 06:28:15")],
)
def test_times_are_in_seconds(metrics: Lander, service: str, time: int, stored: str) -> None:
    """One behind the last that can be stored has that."""
    sent = metric("gauge")
    sent.gauge.data_points[0].start_time_unix_nano = sent.gauge.data_points[0].time_unix_nano = time
    row = land(metrics, service, sent)
    assert (row["StartTimeUnix"], row["TimeUnix"]) == (stored, stored)


def test_a_temporality_without_a_name_is_kept(metrics: Lander, service: str) -> None:
    """As a number."""
    sent = metric("sum")
    sent.sum.aggregation_temporality = -1
    assert land(metrics, service, sent)["AggregationTemporality"] == -1


def test_every_kind_goes_to_its_own_table_once(metrics: Lander, service: str) -> None:
    """Out of one segment, which has one name: landed three times, it counts once in each."""
    sent = [metric(kind, points=number + 1) for number, kind in enumerate(KINDS)]
    metrics.land(body(*sent, service=service), body(*sent, metric("gauge"), service=service), times=3)
    assert counts(metrics, service) == [3, 4, 6, 8, 10]


def test_a_segment_is_landed_where_its_kinds_are(metrics: Lander, service: str) -> None:
    """The others cost their time for nothing; the bits are in the order of the kinds."""
    sent = body(*(metric(kind) for kind in KINDS), service=service)
    metrics.land(sent, kinds=0b01010)
    assert counts(metrics, service) == [0, 1, 0, 1, 0]


def test_a_metric_without_points_has_no_rows(metrics: Lander, service: str) -> None:
    """Nor one without a kind; they stop nobody."""
    metrics.land(body(Metric(name="none"), metric("sum", points=0), metric("gauge"), service=service))
    assert counts(metrics, service) == [1, 0, 0, 0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_nested_attributes_are_text_wherever_they_are(metrics: Lander, service: str, kind: str) -> None:
    """Of points and of exemplars; landed again, they count once."""
    fields: dict[str, Any] = {"attributes": attributes({"a": {"b": [1]}})}
    if kind != "summary":
        fields["exemplars"] = [{"filtered_attributes": attributes({"e": [[]]})}]
    metrics.land(body(metric(kind, **fields), service=service), times=2)
    (row,) = rows(metrics, service, kind)
    assert row["Attributes"] == {"a": '{"b":[1]}'}
    assert row.get("Exemplars.FilteredAttributes", [{"e": "[[]]"}]) == [{"e": "[[]]"}]


def test_what_one_kind_makes_rewritten_is_not_twice_in_another(metrics: Lander, service: str) -> None:
    """The gauge is landed as it was sent before the sum is found to be nested."""
    plain, nested = metric("gauge"), metric("sum", attributes=attributes({"a": {}}))
    metrics.land(body(plain, nested, service=service), times=2)
    assert counts(metrics, service) == [1, 1, 0, 0, 0]


def test_the_tenant_is_the_collector_s_field(metrics: Lander, service: str) -> None:
    """Field 2046 of a resource's metrics, which the collector puts there; also in a segment that is rewritten."""
    sent = ExportMetricsServiceRequest.FromString(body(*map(metric, KINDS), service=service))
    sent.resource_metrics[0].MergeFromString(b"\xf2\x7f\x04acme")
    metrics.land(sent.SerializeToString())
    nested = {"attributes": attributes({"a": {}})}
    metrics.land(body(*(metric(kind, **nested) for kind in KINDS), service=service), tenant="acme")
    for kind in KINDS:
        assert [row["TenantId"] for row in rows(metrics, service, kind)] == ["acme", "acme"]


@pytest.mark.parametrize(
    ("count", "together", "nested"),
    [(10, 1, True), (100, 50, False), (100, 50, True)],
    ids=["one by one", "flat", "nested"],
)
def test_random_metrics(metrics: Lander, count: int, together: int, nested: bool) -> None:
    """Everything that requests vary in, at any time, against the plain conversion."""
    for kind in KINDS:
        metrics.store.command(f"TRUNCATE TABLE otel_metrics_{kind}")
    requests = Requests(count, START, any_time=True, nested=nested)
    sent = [requests.metrics().meant for _ in range(count)]
    rewritten = metrics.counts.rewritten_segments
    expected: dict[str, list[Any]] = {f"otel_metrics_{kind}": [] for kind in KINDS}
    for at in range(0, count, together):
        segment = sent[at : at + together]
        found = [data_points(request) for request in segment]
        kinds = sum(1 << bit for bit, table in enumerate(expected) if any(one[table] for one in found))
        metrics.land(*(request.SerializeToString() for request in segment), kinds=kinds)
        for table, wanted in expected.items():
            wanted += [row for one in found for row in one[table]]
    assert all(expected.values())
    assert differences(metrics.store, expected) == []
    assert (metrics.counts.rewritten_segments > rewritten) is nested
    assert metrics.counts.quarantined == 0
