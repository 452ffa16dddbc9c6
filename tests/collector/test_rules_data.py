"""Rules 38 to 46 of the receiver's checklist (``docs/otlp.md``): what spans, log records and data points mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector.conftest import Start
from tests.support.collector import Handle
from tests.support.doors import DOORS, NAMES, TABLES, export, log_record, request, rows, stored
from tests.support.otlp import START, attributes, span, utc, value

WRONG_IDS: list[dict[str, bytes]] = [
    {"trace_id": b""}, {"trace_id": bytes(16)}, {"trace_id": b"x" * 17}, {"span_id": b""}, {"span_id": bytes(8)},
    {"span_id": b"x" * 9},
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_rule_38_spans_without_valid_ids_are_rejected(collector: Handle, service: str, door: str) -> None:
    """One by one, whatever is wrong with the id; their siblings are stored."""
    spans = [span(), *(span(**ids) for ids in WRONG_IDS), span()]
    answer = export(collector, door, "traces", request("traces", service, *spans))
    assert answer.message.partial_success.rejected_spans == len(WRONG_IDS)
    assert stored(collector, "traces", service) == 2


@pytest.mark.parametrize("door", DOORS)
def test_rule_38_log_records_without_valid_ids_are_of_no_trace(collector: Handle, service: str, door: str) -> None:
    """They keep their place."""
    records = [log_record(**{"trace_id": b"t" * 16, "span_id": b"s" * 8, **ids}) for ids in WRONG_IDS]
    answer = export(collector, door, "logs", request("logs", service, *records))
    assert not answer.message.HasField("partial_success")
    trace, own = (b"t" * 16).hex(), (b"s" * 8).hex()
    found = rows(collector, "logs", service, "TraceId AS t, SpanId AS s", "Timestamp")
    assert found == [{"t": "", "s": own}] * 3 + [{"t": trace, "s": ""}] * 3


@pytest.mark.parametrize("door", DOORS)
def test_rule_39_a_root_has_no_parent_and_flags_are_kept(collector: Handle, service: str, door: str) -> None:
    """All bits of a span's, which say more than that it is sampled; of a log record's the eight of the trace."""
    sent = request("traces", service, span(flags=0x301), span(parent_span_id=b"p" * 8, flags=2**32 - 1))
    assert export(collector, door, "traces", sent).stored
    assert rows(collector, "traces", service, "ParentSpanId AS p, TraceFlags AS f", "f") == [
        {"p": "", "f": 0x301}, {"p": (b"p" * 8).hex(), "f": 2**32 - 1},
    ]  # fmt: skip
    assert export(collector, door, "logs", request("logs", service, log_record(flags=0x301))).stored
    assert rows(collector, "logs", service, "TraceFlags AS f") == [{"f": 1}]


@pytest.mark.parametrize("door", DOORS)
def test_rule_40_what_is_not_set_and_what_cannot_be(collector: Handle, service: str, door: str) -> None:
    """No kind, no status, and an end before the start: the row is there, its duration is 0, the end is kept."""
    odd = span(kind=0, start_time_unix_nano=START, end_time_unix_nano=START - 5)
    assert export(collector, door, "traces", request("traces", service, odd)).stored
    columns = "SpanKind AS k, StatusCode AS s, Duration AS d, SpanAttributes['otel_llm.clock.end_time_unix_nano'] AS e"
    assert [{**row, "d": int(row["d"])} for row in rows(collector, "traces", service, columns)] == [
        {"k": "Unspecified", "s": "Unset", "d": 0, "e": str(START - 5)}
    ]


@pytest.mark.parametrize("door", DOORS)
def test_rule_41_a_record_without_a_time_was_when_it_was_seen(collector: Handle, service: str, door: str) -> None:
    """And one with neither is of now, which is said."""
    records = [
        log_record(time_unix_nano=0, observed_time_unix_nano=START + 7, severity_text="observed"),
        log_record(time_unix_nano=START + 9, observed_time_unix_nano=START + 7, severity_text="own"),
        log_record(time_unix_nano=0, severity_text="unknown"),
    ]
    assert export(collector, door, "logs", request("logs", service, *records)).stored
    observed, own, unknown = rows(
        collector, "logs", service,
        "toString(Timestamp) AS t, LogAttributes['otel_llm.clock.time_unix_nano'] AS sent", "SeverityText",
    )  # fmt: skip
    assert (observed, own) == ({"t": utc(START + 7), "sent": ""}, {"t": utc(START + 9), "sent": ""})
    assert unknown["sent"] == "0"
    assert unknown["t"] > utc(START + 9)


@pytest.mark.parametrize("door", DOORS)
def test_rule_42_keys_that_come_twice_and_enums_of_a_newer_version(collector: Handle, service: str, door: str) -> None:
    """No reason to refuse: both values are kept in their order, and a number without a name is stored as it is."""
    twice = span(kind=4, status=Status(code=2))
    twice.attributes.extend([KeyValue(key="k", value=value("first")), KeyValue(key="k", value=value("last"))])
    newer = Span.FromString(span(name="newer").SerializeToString() + b"\x30\x63" + b"\x7a\x02\x18\x63")
    assert (newer.kind, newer.status.code) == (99, 99)
    assert export(collector, door, "traces", request("traces", service, twice, newer)).stored
    columns = "mapValues(SpanAttributes) AS v, SpanKind AS k, StatusCode AS s"
    assert rows(collector, "traces", service, columns, "SpanName") == [
        {"v": ["first", "last"], "k": "Producer", "s": "Error"}, {"v": [], "k": "99", "s": "99"},
    ]  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
def test_rule_43_resources_and_scopes_may_be_missing_or_many(collector: Handle, service: str, door: str) -> None:
    """A span without either has no service and no scope; counts of what a sender dropped are stored."""
    sent = ExportTraceServiceRequest()
    bare = sent.resource_spans.add().scope_spans.add().spans
    bare.append(span(name=service))
    for number in (1, 2):
        group = sent.resource_spans.add()
        group.resource.attributes.extend(attributes({"service.name": f"{service}.{number}"}))
        group.resource.dropped_attributes_count = number
        for name in ("a", "b"):
            scope = group.scope_spans.add()
            scope.scope.name, scope.scope.dropped_attributes_count = name, 3
            dropped: Any = {
                "dropped_attributes_count": 4, "dropped_events_count": 5, "dropped_links_count": 6, "name": service
            }  # fmt: skip
            scope.spans.append(span(**dropped))
    assert export(collector, door, "traces", sent).stored
    collector.flush()
    found = collector.query(
        "SELECT ServiceName, ScopeName, ResourceDroppedAttributesCount, ScopeDroppedAttributesCount, "
        "DroppedAttributesCount, DroppedEventsCount, DroppedLinksCount FROM otel_traces "
        "WHERE SpanName = {s:String} ORDER BY ServiceName, ScopeName", s=service,
    )  # fmt: skip
    assert [tuple(row.values()) for row in found] == [
        ("", "", 0, 0, 0, 0, 0),
        *((f"{service}.{number}", name, number, 3, 4, 5, 6) for number in (1, 2) for name in ("a", "b")),
    ]


@pytest.mark.parametrize("signal", NAMES)
def test_rule_44_a_resend_is_stored_once(collector: Handle, service: str, signal: str) -> None:
    """Through whichever doors the same request comes; each time it is a success."""
    sent = request(signal, service)
    before = collector.status()["signals"][signal]["duplicate_requests"]
    for _ in range(2):
        for door in DOORS:
            assert export(collector, door, signal, sent).stored
    assert stored(collector, signal, service) == 1
    assert collector.status()["signals"][signal]["duplicate_requests"] == before + 5


def test_rule_44_a_call_in_another_request_is_merged(collector: Handle, service: str) -> None:
    """A sender that batches anew: one row of ``llm_calls`` by trace and span id, with FINAL."""
    call = span({"gen_ai.operation.name": "chat"})
    for sent in (request("traces", service, call), request("traces", service, call, span())):
        assert export(collector, "protobuf", "traces", sent).stored
        collector.flush()
    assert collector.query(
        "SELECT count() AS n FROM llm_calls FINAL WHERE service_name = {s:String}", s=service
    ) == [{"n": 1}]  # fmt: skip


def test_rule_45_what_is_acknowledged_outlives_a_crash(tmp_path: Path, start: Start) -> None:
    """Killed between the answer and the insert, with requests of every door and signal."""
    collector = start(tmp_path, segment_age_s=3600)
    for signal in NAMES:
        for door in DOORS:
            assert export(collector, door, signal, request(signal, "crash", door=door)).stored
    counted = " + ".join(f"(SELECT count() FROM {TABLES[signal]})" for signal in NAMES)
    assert collector.query(f"SELECT {counted} AS n") == [{"n": 0}]
    collector.kill()
    collector = start(tmp_path)
    assert [stored(collector, signal, "crash") for signal in NAMES] == [3, 3, 3]
    assert collector.stop() == 0


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize("url", ["", "https://opentelemetry.io/schemas/1.37.0", "no url at all"])
def test_rule_46_schema_urls_are_kept_and_mean_nothing(collector: Handle, service: str, signal: str, url: str) -> None:
    """Whatever they say, the data is taken as it is."""
    sent = request(signal, service)
    (group,) = sent.ListFields()[0][1]
    group.schema_url = url
    (scope,) = next(parts for field, parts in group.ListFields() if field.name.startswith("scope_"))
    scope.schema_url = url
    assert export(collector, "protobuf", signal, sent).stored
    assert rows(collector, signal, service, "ResourceSchemaUrl AS r, ScopeSchemaUrl AS s") == [{"r": url, "s": url}]
