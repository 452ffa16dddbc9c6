"""What arrives over the sockets is in the tables, value by value."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.collector.conftest import Start
from tests.support.collector import Handle, send
from tests.support.otlp import START, attributes, body, span, utc

PROTOBUF = {"Content-Type": "application/x-protobuf"}


def _store(collector: Handle, *spans: Span, service: str, **more: Any) -> None:
    status, _, answer = send("POST", f"{collector.http}/v1/traces", body(*spans, service=service, **more), PROTOBUF)
    assert (status, answer) == (200, b"")
    collector.flush()


def _spans(collector: Handle, service: str) -> list[dict[str, Any]]:
    return collector.query(
        "SELECT * FROM otel_traces WHERE ServiceName = {service:String} ORDER BY SpanName", service=service
    )


def _attributes(collector: Handle, service: str) -> dict[str, str]:
    (row,) = _spans(collector, service)
    found: dict[str, str] = row["SpanAttributes"]
    return found


def test_a_whole_span(collector: Handle, service: str) -> None:
    """Every column of otel_traces."""
    sent = span(
        {"text": "hello"},
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent_span_id=b"\xff" * 8,
        trace_state="a=b",
        name="GET /",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=START + 5,
        end_time_unix_nano=START + 1_500_000_005,
        status=Status(code=Status.STATUS_CODE_ERROR, message="broken"),
        flags=0x301,
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=3,
    )
    sent.events.add(time_unix_nano=START + 7, name="exception", dropped_attributes_count=4).attributes.extend(
        attributes({"e": 0})
    )
    link = sent.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, trace_state="l", flags=0x101)
    link.dropped_attributes_count = 5
    link.attributes.extend(attributes({"l": False}))
    _store(collector, sent, service=service, resource={"host": "h"})
    (row,) = _spans(collector, service)
    assert row == {
        "Timestamp": utc(START + 5),
        "TraceId": "000102030405060708090a0b0c0d0e0f",
        "SpanId": "0001020304050607",
        "ParentSpanId": "ffffffffffffffff",
        "TraceState": "a=b",
        "SpanName": "GET /",
        "SpanKind": "Server",
        "ServiceName": service,
        "ResourceAttributes": {"service.name": service, "host": "h"},
        "ScopeName": "scope",
        "ScopeVersion": "1.2",
        "SpanAttributes": {"text": "hello"},
        "Duration": 1_500_000_000,
        "StatusCode": "Error",
        "StatusMessage": "broken",
        "Events.Timestamp": [utc(START + 7)],
        "Events.Name": ["exception"],
        "Events.Attributes": [{"e": "0"}],
        "Links.TraceId": ["01" * 16],
        "Links.SpanId": ["02" * 8],
        "Links.TraceState": ["l"],
        "Links.Attributes": [{"l": "false"}],
        "ResourceAttributeItems": [f"service.name={service}", "host=h"],
        "SpanAttributeItems": ["text=hello"],
        "TenantId": "",
        "TraceFlags": 0x301,
        "DroppedAttributesCount": 1,
        "DroppedEventsCount": 2,
        "DroppedLinksCount": 3,
        "Events.DroppedAttributesCount": [4],
        "Links.DroppedAttributesCount": [5],
        "Links.Flags": [0x101],
        "ResourceSchemaUrl": "",
        "ResourceDroppedAttributesCount": 0,
        "ScopeSchemaUrl": "",
        "ScopeAttributes": {},
        "ScopeDroppedAttributesCount": 0,
        "ResourceAttributeTypes": [1, 1],
        "ScopeAttributeTypes": [],
        "SpanAttributeTypes": [1],
        "Events.AttributeTypes": [[3]],
        "Links.AttributeTypes": [[2]],
        "NestedValues": [],
    }
    (bounds,) = collector.query(
        "SELECT toString(min(Start)) AS s, toString(max(End)) AS e FROM otel_traces_trace_id_ts "
        "WHERE TraceId = {trace:String}",
        trace=row["TraceId"],
    )
    assert bounds == {"s": utc(START, 0), "e": utc(START, 0)}


def test_values_of_every_kind(collector: Handle, service: str) -> None:
    """0, false and '' are values; arrays are JSON; bytes are base64."""
    _store(
        collector,
        span(
            {
                "zero": 0, "false": False, "empty": "", "true": True, "int": -(2**63), "double": 1.5, "whole": 2.0,
                "nan": float("nan"), "inf": float("inf"), "-inf": float("-inf"), "nothing": None, "bytes": b"\x01\x02",
                "texts": ["a/b", 'q"\n', ""], "mixed": [0, False, 1.5, b"\x01", None], "none": [], "ünï": "cödé \0",
            }
        ),
        service=service,
    )  # fmt: skip
    assert _attributes(collector, service) == {
        "zero": "0", "false": "false", "empty": "", "true": "true", "int": "-9223372036854775808", "double": "1.5",
        "whole": "2", "nan": "NaN", "inf": "+Inf", "-inf": "-Inf", "nothing": "", "bytes": "AQI=",
        "texts": '["a/b","q\\"\\n",""]', "mixed": '[0,false,1.5,"AQ==",null]', "none": "[]", "ünï": "cödé \0",
    }  # fmt: skip


def test_nested_values_are_stored_as_json_and_only_once(collector: Handle, service: str) -> None:
    """The batch that holds them is rewritten; its other spans are unharmed."""
    before = collector.status()["signals"]["traces"]["rewritten_segments"]
    plain = [span({"n": n}, name=f"a{n}") for n in range(20)]
    deep: Any = {"leaf": 1}
    for _ in range(10):
        deep = {"in": [deep]}
    _store(collector, *plain, span({"deep": deep, "pairs": {"b": 0, "a": ""}, "n": 20}, name="z"), service=service)
    rows = _spans(collector, service)
    assert [row["SpanAttributes"]["n"] for row in rows if row["SpanName"] != "z"] == [
        str(n) for n in sorted(range(20), key=str)
    ]
    nested = rows[-1]["SpanAttributes"]
    assert nested["pairs"] == '{"a":"","b":0}'
    assert json.loads(nested["deep"]) == deep
    assert collector.status()["signals"]["traces"]["rewritten_segments"] == before + 1


def test_text_that_is_not_utf8_is_stored_mended(collector: Handle, service: str) -> None:
    """One bad byte does not cost the request."""
    sent = body(span({"text": "a_QQ_b"}), service=service).replace(b"QQ", b"\xc3\x28")
    assert send("POST", f"{collector.http}/v1/traces", sent, PROTOBUF)[0] == 200
    collector.flush()
    assert _attributes(collector, service) == {"text": "a_�(_b"}


def test_times_that_cannot_be_are_set_right(collector: Handle, service: str) -> None:
    """To the time of receipt, with what was sent beside it: other years, an end before its start, no time at all."""
    far, before = 2**64 - 1, collector.status()["signals"]["traces"]["clamped"]
    _store(
        collector,
        span(name="good", start_time_unix_nano=START, end_time_unix_nano=START + 5),
        span(name="backwards", start_time_unix_nano=START, end_time_unix_nano=START - 5),
        span(name="1970", start_time_unix_nano=7, end_time_unix_nano=1_000_000_007),
        span(name="2554", start_time_unix_nano=far, end_time_unix_nano=far),
        span(name="endless", start_time_unix_nano=START, end_time_unix_nano=far),
        service=service,
    )
    rows = {row["SpanName"]: row for row in _spans(collector, service)}
    sent = {name: row["SpanAttributes"] for name, row in rows.items()}
    start, end = "otel_llm.clock.start_time_unix_nano", "otel_llm.clock.end_time_unix_nano"
    assert sent == {
        "good": {},
        "backwards": {end: str(START - 5)},
        "1970": {start: "7", end: "1000000007"},
        "2554": {start: str(far), end: str(far)},
        "endless": {end: str(far)},
    }
    assert [rows[name]["Duration"] for name in sorted(rows)] == [1_000_000_000, 0, 0, 0, 5]
    now = time.time_ns()
    assert all(utc(now - 60_000_000_000) < rows[name]["Timestamp"] <= utc(now) for name in ("1970", "2554"))
    assert collector.status()["signals"]["traces"]["clamped"] == before + 4


def test_enums_out_of_range_are_stored(collector: Handle, service: str) -> None:
    """Kinds and codes that nobody has named are their numbers."""
    _store(
        collector,
        span(name="d", kind=77, status=Status(code=9)),
        span(name="e", kind=-1, status=Status(code=-1)),
        span(name="f", kind=0),
        service=service,
    )
    rows = {row["SpanName"]: row for row in _spans(collector, service)}
    assert [rows[name]["SpanKind"] for name in "def"] == ["77", "-1", "Unspecified"]
    assert [rows[name]["StatusCode"] for name in "def"] == ["9", "-1", "Unset"]


def _of_many_days(collector: Handle, service: str) -> int:
    """Stores a call of every other day of a year; on how many days it was stored."""
    day = 86_400_000_000_000
    spans = [
        span({"gen_ai.operation.name": "chat"}, start_time_unix_nano=START - n * 2 * day, end_time_unix_nano=START)
        for n in range(150)
    ]
    _store(collector, *spans, service=service)
    assert len(_spans(collector, service)) == 150
    assert collector.query(
        "SELECT sum(calls) AS n FROM llm_calls_hourly WHERE service_name = {s:String}", s=service
    ) == [{"n": 150}]
    (row,) = collector.query(
        "SELECT uniqExact(toDate(Timestamp, 'UTC')) AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service
    )
    return int(row["n"])


def test_clocks_that_are_all_wrong_do_not_stop_an_insert(collector: Handle, service: str) -> None:
    """Days in one batch are few: those of the last month."""
    assert _of_many_days(collector, service) <= 34 / 2


def test_days_may_be_as_many_as_is_set(tmp_path: Path, start: Start, service: str) -> None:
    """More than ClickHouse takes partitions by default, for who sends what is months old."""
    assert _of_many_days(start(tmp_path, late_days=366), service) == 150


def test_a_key_that_comes_twice_keeps_both(collector: Handle, service: str) -> None:
    """As the exporter does; reading by key gives the first."""
    sent = span({"k": "first"})
    sent.attributes.extend(attributes({"k": "second"}))
    _store(collector, sent, service=service)
    assert collector.query(
        "SELECT mapValues(SpanAttributes) AS all, SpanAttributes['k'] AS one FROM otel_traces "
        "WHERE ServiceName = {s:String}", s=service,
    ) == [{"all": ["first", "second"], "one": "first"}]  # fmt: skip


CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-5",
    "gen_ai.response.finish_reasons": ["stop", "length"],
    "gen_ai.request.temperature": 0.0,
    "gen_ai.request.seed": -7,
    "gen_ai.request.stream": True,
    "server.port": 443,
    "gen_ai.usage.input_tokens": 100,
    "gen_ai.usage.output_tokens": 0,
    "gen_ai.usage.cache_read.input_tokens": 40,
    "otel_llm.cost.total": 2.9999999999999997e-05,
    "otel_llm.cost.status": "priced",
    "gen_ai.prompt.name": "topics",
    "gen_ai.prompt.version": "3",
    "gen_ai.prompt.variable.topic": "cats",
    "otel_llm.request.id": "r-1",
    "otel_llm.request.top_logprobs": 3,
    "otel_llm.metadata.team": "search",
    "otel_llm.tags": ["a", "b"],
    "otel_llm.guardrail.outcome": "blocked",
    "otel_llm.guardrail.blocked": True,
    "otel_llm.tenant.id": "acme",
    "otel_llm.call.type": "chat",
    "gen_ai.input.messages": "secret",
}


def test_a_call_has_its_columns(collector: Handle, service: str) -> None:
    """Each with its type; what is absent is NULL or empty, never zero."""
    _store(collector, span(CALL, name="chat gpt-5"), service=service, resource={"deployment.environment": "prod"})
    (row,) = collector.query("SELECT * FROM llm_calls WHERE service_name = {s:String}", s=service)
    expected = {
        "operation": "chat", "provider": "openai", "request_model": "gpt-5", "response_model": "",
        "finish_reasons": ["stop", "length"], "temperature": 0, "top_p": None, "seed": -7, "is_stream": True,
        "server_port": 443, "input_tokens": 100, "output_tokens": 0, "cache_read_tokens": 40, "total_tokens": 100,
        "reasoning_tokens": None, "cost_total": 0.00003, "cost_input": None, "cost_status": "priced",
        "prompt_name": "topics", "prompt_version": "3", "prompt_variables": {"topic": "cats"}, "request_id": "r-1",
        "request_params": {"top_logprobs": "3"}, "metadata": {"team": "search"}, "tags": ["a", "b"],
        "guardrail_outcome": "blocked", "guardrail_blocked": True, "tenant_id": "acme", "call_type": "chat",
        "was_successful": None, "stop_sequences": [], "environment": "prod", "service_name": service,
        "span_name": "chat gpt-5", "duration_s": 1, "status_code": "Unset", "retry_count": 0, "cache_hit": False,
        "start_time": utc(START), "end_time": utc(START + 1_000_000_000),
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert "secret" not in json.dumps(row)
    assert row["attributes"]["gen_ai.request.seed"] == "-7"


def test_a_call_s_handle_is_its_traceparent(collector: Handle, service: str) -> None:
    """Unless the span has a handle of its own."""
    given = span({**CALL, "otel_llm.call.id": "mine"}, trace_id=b"b" * 16, span_id=b"given id")
    _store(collector, span(CALL, trace_id=b"a" * 16, span_id=b"derived!"), given, service=service)
    rows = collector.query("SELECT call_id FROM llm_calls WHERE service_name = {s:String} ORDER BY trace_id", s=service)
    assert [row["call_id"] for row in rows] == [f"00-{b'a'.hex() * 16}-{b'derived!'.hex()}-01", "mine"]


def test_a_call_of_another_instrumentation_is_read_by_its_names(collector: Handle, service: str) -> None:
    """Older and other names, where the standard one is absent."""
    _store(
        collector,
        span(
            {
                "gen_ai.system": "vertex_ai",
                "gen_ai.usage.prompt_tokens": 5,
                "llm.token_count.completion": 6,
                "gen_ai.usage.cost": 0.25,
                "gen_ai.response.finish_reasons": "stop",
                "traceloop.prompt.key": "old",
            }
        ),
        service=service,
    )
    (row,) = collector.query("SELECT * FROM llm_calls WHERE service_name = {s:String}", s=service)
    expected = {
        "provider": "vertex_ai", "operation": "", "input_tokens": 5, "output_tokens": 6, "cost_total": 0.25,
        "finish_reasons": ["stop"], "prompt_name": "old",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected


def test_values_that_do_not_fit_are_absent(collector: Handle, service: str) -> None:
    """A bad value costs its own column, not the insert."""
    _store(
        collector,
        span({**CALL, "gen_ai.usage.input_tokens": "many", "gen_ai.usage.output_tokens": -1, "server.port": 70_000,
              "otel_llm.cost.total": "free", "gen_ai.request.temperature": "hot", "otel_llm.tags": '["broken'}),
        service=service,
    )  # fmt: skip
    (row,) = collector.query("SELECT * FROM llm_calls WHERE service_name = {s:String}", s=service)
    names = ("input_tokens", "output_tokens", "server_port", "cost_total", "temperature", "tags", "total_tokens")
    assert [row[name] for name in names] == [None, None, 0, None, None, [], 0]


def test_spans_that_are_no_calls_stay_out_of_llm_calls(collector: Handle, service: str) -> None:
    """They are in otel_traces all the same."""
    _store(collector, span({"http.request.method": "GET"}), span(CALL), service=service)
    assert len(_spans(collector, service)) == 2
    assert collector.query("SELECT count() AS n FROM llm_calls WHERE service_name = {s:String}", s=service) == [
        {"n": 1}
    ]


def test_the_roll_up_is_the_sum_of_the_calls(collector: Handle, service: str) -> None:
    """Every measure, by every key, over several inserts."""
    for batch in range(3):
        spans = []
        for n in range(40):
            call = {
                **CALL,
                "gen_ai.request.model": f"m{n % 3}",
                "gen_ai.prompt.version": str(n % 2),
                "gen_ai.usage.input_tokens": n * 10 + batch + 1,
                "otel_llm.guardrail.blocked": n % 5 == 0,
                "otel_llm.cost.total": n / 1000,
            }
            if n % 7 == 0:
                del call["otel_llm.cost.total"]
            if n % 4 == 0:
                call["error.type"] = "Timeout"
            start = START + n * 600_000_000_000
            status = Status(code=Status.STATUS_CODE_ERROR) if n % 6 == 0 else None
            spans.append(span(call, start_time_unix_nano=start, end_time_unix_nano=start + n * 10**6, status=status))
        _store(collector, *spans, service=service)
    keys = "hour, tenant_id, service_name, provider, request_model, prompt_name, prompt_version, call_type"
    raw = collector.query(
        f"SELECT toStartOfHour(start_time) AS hour, {keys.partition(', ')[2]}, count() AS calls, "
        "countIf(status_code = 'Error' OR error_type != '') AS errors, countIf(guardrail_blocked) AS blocked, "
        "countIf(c.cost_total IS NULL) AS unpriced, sum(input_tokens) AS input_tokens, "
        "sum(output_tokens) AS output_tokens, sum(cache_read_tokens) AS cache_read_tokens, "
        "sum(ifNull(c.cost_total, 0)) AS cost_total, round(sum(duration_s), 6) AS duration_s "
        f"FROM llm_calls AS c WHERE service_name = {{s:String}} GROUP BY {keys} ORDER BY {keys}",
        s=service,
    )
    summed = collector.query(
        f"SELECT {keys}, sum(calls) AS calls, sum(errors) AS errors, sum(blocked) AS blocked, "
        "sum(unpriced) AS unpriced, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, "
        "sum(cache_read_tokens) AS cache_read_tokens, sum(cost_total) AS cost_total, "
        "round(sum(duration_s), 6) AS duration_s "
        f"FROM llm_calls_hourly WHERE service_name = {{s:String}} GROUP BY {keys} ORDER BY {keys}",
        s=service,
    )
    assert raw == summed
    assert sum(row["calls"] for row in raw) == 120
    assert sum(row["errors"] for row in raw) > 0
    assert sum(row["unpriced"] for row in raw) == 18


@pytest.mark.parametrize("count", [1, 70_000])
def test_one_segment_of_any_size_is_stored_once(collector: Handle, service: str, count: int) -> None:
    """One span; and more than ClickHouse puts into one block."""
    call = {"gen_ai.operation.name": "chat"}
    _store(collector, *(span(call, trace_id=b"one trace, 16 by") for _ in range(count)), service=service)
    assert collector.query(
        "SELECT count() AS n, uniqExact(SpanId) AS u FROM otel_traces WHERE ServiceName = {s:String}", s=service
    ) == [{"n": count, "u": count}]
    assert collector.query(
        "SELECT sum(calls) AS n FROM llm_calls_hourly WHERE service_name = {s:String}", s=service
    ) == [{"n": count}]
