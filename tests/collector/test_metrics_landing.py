"""Segments of metrics on their way into the tables: each kind once, and every value that a point can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from otel_llm_collector.signals import METRICS
from tests.support.landing import Lander, landing
from tests.support.metrics import body, land, metric, rows
from tests.support.otlp import START, attributes
from tests.support.random_otlp import Requests
from tests.support.reference_metrics import KINDS, data_points
from tests.support.rows import differences


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lander]:
    """Lands segments of metrics in a store of their own."""
    with landing(METRICS, tmp_path_factory.mktemp("metrics")) as lander:
        yield lander


def counts(metrics: Lander, service: str) -> list[int]:
    """How many points each table has."""
    return [len(rows(metrics, service, kind, "1")) for kind in KINDS]


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
    land(metrics, service, metric("gauge", **sent))
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
    row = land(metrics, service, metric(kind, **fields), times=2)
    assert row["Attributes"] == {"a": '{"b":[1]}'}
    assert row.get("Exemplars.FilteredAttributes", [{"e": "[[]]"}]) == [{"e": "[[]]"}]


def test_what_one_kind_makes_rewritten_is_not_twice_in_another(metrics: Lander, service: str) -> None:
    """The gauge is landed as it was sent before the sum is found to be nested."""
    plain, nested = metric("gauge"), metric("sum", attributes=attributes({"a": {}}))
    metrics.land(body(plain, nested, service=service), kinds=0b00011, times=2)
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
    [(10, 1, True), (50, 50, False), (50, 50, True)],
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
