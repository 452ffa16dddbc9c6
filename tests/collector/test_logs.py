"""Log records in the exporter's table: its columns, and every value that a record can have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_WARN, LogRecord

from otel_llm_collector.clickhouse.store import literal
from otel_llm_collector.signals import LOGS
from tests.support import reference
from tests.support.landing import Lander, landing
from tests.support.otlp import START, attributes, utc, value
from tests.support.random_otlp import Requests
from tests.support.rows import differences

LC = "LowCardinality(String)"
MAP = "Map(LowCardinality(String), String)"
#: The exporter's columns, in its order; ours may only follow them.
OTEL_LOGS = {
    "Timestamp": "DateTime64(9)",
    "TraceId": "String",
    "SpanId": "String",
    "TraceFlags": "UInt8",
    "SeverityText": LC,
    "SeverityNumber": "UInt8",
    "ServiceName": LC,
    "Body": "String",
    "ResourceSchemaUrl": LC,
    "ResourceAttributes": MAP,
    "ScopeSchemaUrl": LC,
    "ScopeName": "String",
    "ScopeVersion": LC,
    "ScopeAttributes": MAP,
    "LogAttributes": MAP,
    "EventName": "String",
    "__otel_materialized_k8s.cluster.name": LC,
    "__otel_materialized_k8s.container.name": LC,
    "__otel_materialized_k8s.deployment.name": LC,
    "__otel_materialized_k8s.namespace.name": LC,
    "__otel_materialized_k8s.node.name": LC,
    "__otel_materialized_k8s.pod.name": LC,
    "__otel_materialized_k8s.pod.uid": LC,
    "__otel_materialized_deployment.environment.name": LC,
    "TenantId": LC,
}
INDEXES = {
    "idx_trace_id": "bloom_filter(0.001)",
    "idx_res_attr_key": "bloom_filter(0.01)",
    "idx_res_attr_value": "bloom_filter(0.01)",
    "idx_scope_attr_key": "bloom_filter(0.01)",
    "idx_scope_attr_value": "bloom_filter(0.01)",
    "idx_log_attr_key": "bloom_filter(0.01)",
    "idx_log_attr_value": "bloom_filter(0.01)",
    "idx_lower_body": "tokenbf_v1(32768, 3, 0)",
    "idx_event_name": "bloom_filter(0.01)",
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lander]:
    """Lands segments of log records in a store of their own."""
    with landing(LOGS, tmp_path_factory.mktemp("logs")) as lander:
        yield lander


def body(*records: LogRecord, service: str, resource: dict[str, Any] | None = None) -> bytes:
    """A request with these records of one scope."""
    request = ExportLogsServiceRequest()
    group = request.resource_logs.add(schema_url="https://resource")
    group.resource.attributes.extend(attributes({"service.name": service, **(resource or {})}))
    scope = group.scope_logs.add(schema_url="https://scope")
    scope.scope.name, scope.scope.version = "scope", "1.2"
    scope.scope.attributes.extend(attributes({"s": 1}))
    scope.log_records.extend(records)
    encoded: bytes = request.SerializeToString()
    return encoded


def land(logs: Lander, service: str, *records: LogRecord, **options: Any) -> list[dict[str, Any]]:
    """The rows that the records become."""
    logs.land(body(*records, service=service), **options)
    return rows(logs, service)


def rows(logs: Lander, service: str) -> list[dict[str, Any]]:
    return logs.store.rows(f"SELECT * FROM otel_logs WHERE ServiceName = {literal(service)} ORDER BY SeverityText")


def test_the_table_is_the_exporter_s(logs: Lander) -> None:
    """Columns, their order, keys and indexes."""
    columns = logs.store.rows("SELECT name, type FROM system.columns WHERE table = 'otel_logs' ORDER BY position")
    assert [(row["name"], row["type"]) for row in columns] == list(OTEL_LOGS.items())
    (keys,) = logs.store.rows("SELECT partition_key, sorting_key FROM system.tables WHERE name = 'otel_logs'")
    assert keys == {
        "partition_key": "toDate(Timestamp)",
        "sorting_key": "toStartOfFiveMinutes(Timestamp), ServiceName, Timestamp",
    }
    indexes = logs.store.rows("SELECT name, type_full FROM system.data_skipping_indices WHERE table = 'otel_logs'")
    assert {row["name"]: row["type_full"] for row in indexes} == INDEXES


def test_a_whole_record(logs: Lander, service: str) -> None:
    """Every column."""
    record = LogRecord(
        time_unix_nano=START + 5,
        observed_time_unix_nano=START + 9,
        severity_number=SEVERITY_NUMBER_WARN,
        severity_text="WARN",
        body=value("It is late."),
        attributes=attributes({"n": 0, "t": False, "l": ["a", "b"]}),
        flags=0x301,
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        event_name="late",
    )
    assert land(logs, service, record) == [
        {
            "Timestamp": utc(START + 5),
            "TraceId": "000102030405060708090a0b0c0d0e0f",
            "SpanId": "0001020304050607",
            "TraceFlags": 1,
            "SeverityText": "WARN",
            "SeverityNumber": 13,
            "ServiceName": service,
            "Body": "It is late.",
            "ResourceSchemaUrl": "https://resource",
            "ResourceAttributes": {"service.name": service},
            "ScopeSchemaUrl": "https://scope",
            "ScopeName": "scope",
            "ScopeVersion": "1.2",
            "ScopeAttributes": {"s": "1"},
            "LogAttributes": {"n": "0", "t": "false", "l": '["a","b"]'},
            "EventName": "late",
            "TenantId": "",
        }
    ]


@pytest.mark.parametrize(
    ("time", "observed", "stored"),
    [
        (START, 1, utc(START)),
        (0, START, utc(START)),
        (0, 0, "1970-01-01 00:00:00.000000000"),
        (2**63, 0, "2262-04-11 23:47:16.854775807"),
        (2**64 - 1, 0, "2262-04-11 23:47:16.854775807"),
    ],
)
def test_a_record_without_a_time_has_the_one_of_its_observation(
    logs: Lander, service: str, time: int, observed: int, stored: str
) -> None:
    """And one behind the last that can be stored has that."""
    record = LogRecord(time_unix_nano=time, observed_time_unix_nano=observed)
    assert [row["Timestamp"] for row in land(logs, service, record)] == [stored]


@pytest.mark.parametrize("size", [0, 5, 15, 17], ids=str)
def test_a_record_whose_ids_are_none_is_kept_without_them(logs: Lander, service: str, size: int) -> None:
    """As one that belongs to no trace."""
    record = LogRecord(time_unix_nano=START, trace_id=b"x" * size, span_id=b"x" * size)
    assert [(row["TraceId"], row["SpanId"]) for row in land(logs, service, record)] == [("", "")]


def test_ids_of_nothing_but_zeros_are_none(logs: Lander, service: str) -> None:
    """W3C's invalid ids."""
    record = LogRecord(time_unix_nano=START, trace_id=bytes(16), span_id=bytes(8))
    assert [(row["TraceId"], row["SpanId"]) for row in land(logs, service, record)] == [("", "")]


@pytest.mark.parametrize(("sent", "stored"), [(0, 0), (24, 24), (255, 255), (256, 0), (-1, 0), (-(2**31), 0)])
def test_a_severity_that_no_byte_holds_is_none(logs: Lander, service: str, sent: int, stored: int) -> None:
    """Others are kept, also those without a name."""
    record = LogRecord(time_unix_nano=START, severity_number=sent)
    assert [row["SeverityNumber"] for row in land(logs, service, record)] == [stored]


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        ("text", "text"),
        ("", ""),
        ("a\x00b\n\"'\\", "a\x00b\n\"'\\"),
        (False, "false"),
        (0, "0"),
        (-(2**63), "-9223372036854775808"),
        (1e21, "1e21"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Inf"),
        (b"\x00\xff", "AP8="),
        (None, ""),
        ([], "[]"),
        ([1, 2], "[1,2]"),
        (["\x1f\u2028/"], '["\\u001F\\u2028/"]'),
        ([1, "a", None, 1e20, "\x1f"], '[1,"a",null,100000000000000000000,"\\u001F"]'),
        ([[1], {"b": 1, "a": [b"\xff"]}], '[[1],{"a":["/w=="],"b":1}]'),
        ({}, "{}"),
        ({"event": {"ok": True}, "at": [1.5]}, '{"at":[1.5],"event":{"ok":true}}'),
    ],
    ids=repr,
)
def test_a_body_of_any_kind(logs: Lander, service: str, content: Any, stored: str) -> None:
    """What is no text by itself is JSON, whether ClickHouse or we write it."""
    assert [row["Body"] for row in land(logs, service, LogRecord(time_unix_nano=START, body=value(content)))] == [
        stored
    ]


def test_kubernetes_columns_are_filled(logs: Lander, service: str) -> None:
    """The exporter's materialized columns."""
    sent = body(LogRecord(time_unix_nano=START), service=service, resource={"k8s.pod.name": "pod-1"})
    logs.land(sent)
    assert logs.store.rows(
        "SELECT `__otel_materialized_k8s.pod.name` AS pod, `__otel_materialized_k8s.node.name` AS node "
        f"FROM otel_logs WHERE ServiceName = {literal(service)}"
    ) == [{"pod": "pod-1", "node": ""}]


def test_the_tenant_is_the_collector_s_field(logs: Lander, service: str) -> None:
    """Field 2046 of a resource's records, which the collector puts there; also in a segment that is rewritten."""
    mark = b"\xf2\x7f\x04acme"
    sent = ExportLogsServiceRequest.FromString(body(LogRecord(time_unix_nano=START), service=service))
    sent.resource_logs[0].MergeFromString(mark)
    logs.land(sent.SerializeToString())
    nested = body(LogRecord(time_unix_nano=START, body=value({"a": 1})), service=service)
    logs.land(nested, tenant="acme")
    assert [row["TenantId"] for row in rows(logs, service)] == ["acme", "acme"]


@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_a_segment_that_is_landed_again_counts_once(logs: Lander, service: str, nested: bool) -> None:
    """As after a crash between the insert and the removal, rewritten or not, also over ClickHouse's block size."""
    records = [LogRecord(time_unix_nano=START, severity_text=str(number)) for number in range(70_000)]
    records[0].body.CopyFrom(value({"a": 1} if nested else "a"))
    logs.land(body(*records, service=service), times=3)
    (found,) = logs.store.rows(
        f"SELECT count() AS n, uniqExact(SeverityText) AS u FROM otel_logs WHERE ServiceName = {literal(service)}"
    )
    assert found == {"n": 70_000, "u": 70_000}


def test_one_nested_value_rewrites_its_segment_only(logs: Lander, service: str) -> None:
    """Others go as they are."""
    before = logs.counts.rewritten_segments
    land(logs, service, LogRecord(time_unix_nano=START, attributes=attributes({"a": [1, 2], "b": [True]})))
    assert logs.counts.rewritten_segments == before
    land(logs, service, LogRecord(time_unix_nano=START, attributes=attributes({"a": [1, "2"]})))
    assert logs.counts.rewritten_segments == before + 1


def test_of_a_value_that_is_two_the_last_counts(logs: Lander, service: str) -> None:
    """As for every reader of protobuf; ClickHouse alone would refuse the segment."""
    record = LogRecord(time_unix_nano=START, body=value("first"), severity_text="two").SerializeToString()
    record += b"\x2a\x02\x18\x07"  # body: int_value 7
    logs.land(_raw(service, record))
    assert [row["Body"] for row in rows(logs, service)] == ["7"]
    assert logs.counts.quarantined == 0


def _raw(service: str, record: bytes) -> bytes:
    """A request around a record that no class would write."""
    place = LogRecord(severity_text="x" * (len(record) - 2)).SerializeToString()
    whole = body(LogRecord(severity_text="x" * (len(record) - 2)), service=service)
    assert whole.count(place) == 1
    assert len(place) == len(record)
    return whole.replace(place, record)


@pytest.mark.parametrize(
    ("count", "together", "nested"),
    [(20, 1, True), (100, 50, False), (100, 50, True)],
    ids=["one by one", "flat", "nested"],
)
def test_random_records(logs: Lander, count: int, together: int, nested: bool) -> None:
    """Everything that requests vary in, at any time, against the plain conversion."""
    logs.store.command("TRUNCATE TABLE otel_logs")
    requests = Requests(count, START, any_time=True, nested=nested)
    sent = [requests.logs().meant for _ in range(count)]
    rewritten = logs.counts.rewritten_segments
    for at in range(0, count, together):
        logs.land(*(request.SerializeToString() for request in sent[at : at + together]))
    expected = [row for request in sent for row in reference.log_records(request)["otel_logs"]]
    assert len(expected) > count
    assert differences(logs.store, {"otel_logs": expected}) == []
    assert (logs.counts.rewritten_segments > rewritten) is nested
    assert logs.counts.quarantined == 0
