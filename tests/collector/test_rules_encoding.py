"""Rules 10 to 21 of the receiver's checklist (``docs/otlp.md``): what protobuf and JSON are taken for."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.collector import Handle, send
from tests.support.doors import (
    DOORS,
    NAMES,
    TYPES,
    Answer,
    data_point,
    document,
    documents,
    encoded,
    export,
    log_record,
    request,
    rows,
    stored,
)
from tests.support.otlp import START, span, value

CHANGED_CASE = "5B8EFFF798038103D269B633813FC60C"
VALUES = {
    "string": "a", "empty string": "", "bool": False, "int": -(1 << 63), "double": 1.5, "bytes": b"\x01\x02",
    "array": ["a", "b"], "numbers": [1, 2], "empty array": [], "nothing": None,
    "map": {"a": [1, {"b": [True, None]}]}, "mixed": ["a", 1, b"\x01"],
}  # fmt: skip
STORED = {
    "string": "a", "empty string": "", "bool": "false", "int": str(-(1 << 63)), "double": "1.5", "bytes": "AQI=",
    "array": '["a","b"]', "numbers": "[1,2]", "empty array": "[]", "nothing": "",
    "map": '{"a":[1,{"b":[true,null]}]}', "mixed": '["a",1,"AQ=="]',
}  # fmt: skip


def _json(collector: Handle, sent: bytes) -> Answer:
    return export(collector, "json", "traces", sent)


def _attributes(collector: Handle, service: str) -> dict[str, str]:
    (row,) = rows(collector, "traces", service, "SpanAttributes AS a")
    found: dict[str, str] = row["a"]
    return found


@pytest.mark.parametrize("signal", NAMES)
def test_rule_10_protobuf_is_answered_in_protobuf(collector: Handle, service: str, signal: str) -> None:
    """By the header, and by what can be read."""
    answer = export(collector, "protobuf", signal, request(signal, service))
    assert (answer.code, answer.headers["Content-Type"], answer.body) == (200, "application/x-protobuf", b"")


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize("type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_rule_11_json_is_answered_in_json(collector: Handle, service: str, signal: str, type: str) -> None:
    """Whatever else the content type says."""
    answer = export(collector, "json", signal, request(signal, service), Content_Type=type)
    assert (answer.code, answer.headers["Content-Type"], answer.body) == (200, "application/json", b"{}")


@pytest.mark.parametrize("signal", NAMES)
def test_rule_12_a_refusal_is_in_the_encoding_of_the_request(collector: Handle, signal: str) -> None:
    """A status that a client can read as it reads a success."""
    for door, garbage in (("protobuf", b"garbage"), ("json", b"{garbage")):
        answer = export(collector, door, signal, garbage)
        assert (answer.code, answer.headers["Content-Type"]) == (400, TYPES[door])
        assert answer.message.code == 3
        assert answer.message.message


@pytest.mark.parametrize("type", ["", "text/plain", "application/octet-stream", "application/grpc", "multipart/x; y=z"])
def test_rule_13_another_content_type_is_415(collector: Handle, service: str, type: str) -> None:
    """Which no exporter tries again on; the two that there are stand in the sentence."""
    answer = export(collector, "protobuf", "traces", request("traces", service), Content_Type=type)
    assert answer.code == 415
    for known in TYPES.values():
        assert known in answer.message.message


def test_rule_14_ids_in_json_are_hexadecimal_in_any_case(collector: Handle, service: str) -> None:
    """Not base64, which is refused with the place where it stands."""
    for number, trace in enumerate((CHANGED_CASE, CHANGED_CASE.lower())):
        sent = documents(service, document(traceId=trace, spanId=f"EEE19B7EC3C1B17{number}", parentSpanId="AB" * 8))
        assert _json(collector, sent).code == 200
    assert (
        rows(collector, "traces", service, "TraceId AS t, ParentSpanId AS p")
        == [{"t": CHANGED_CASE.lower(), "p": "ab" * 8}] * 2
    )
    for field, size in (("traceId", 16), ("spanId", 8), ("parentSpanId", 8)):
        text = base64.b64encode(bytes(range(200, 200 + size))).decode()
        answer = _json(collector, documents(service, document(**{field: text})))
        assert answer.code == 400
        assert field in answer.message.message
    linked = document(links=[{"traceId": CHANGED_CASE, "spanId": base64.b64encode(b"\xff" * 8).decode()}])
    assert _json(collector, documents(service, linked)).code == 400


def test_rule_15_enums_in_json_are_integers(collector: Handle, service: str) -> None:
    """Their names are refused, in every message that has one."""
    assert _json(collector, documents(service, document(kind=2, status={"code": 2}))).code == 200
    assert rows(collector, "traces", service, "SpanKind AS k, StatusCode AS s") == [{"k": "Server", "s": "Error"}]
    for fields in ({"kind": "SPAN_KIND_SERVER"}, {"status": {"code": "STATUS_CODE_ERROR"}}):
        assert _json(collector, documents(service, document(2, **fields))).code == 400
    severe = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"severityNumber": "SEVERITY_NUMBER_WARN"}]}]}]}
    assert export(collector, "json", "logs", json.dumps(severe).encode()).code == 400


@pytest.mark.parametrize("signal", NAMES)
def test_rule_16_fields_that_nobody_knows_are_passed_over(collector: Handle, service: str, signal: str) -> None:
    """In protobuf and in JSON, at the top and deep inside; the rest is stored."""
    newer = b"\xfa\x3f\x03abc" + b"\xf8\x3f\x07"  # fields 1023, of two kinds
    assert export(collector, "protobuf", signal, request(signal, service).SerializeToString() + newer).stored
    made = json.dumps({"fooBar": {"a": [1, {"b": None}]}})[1:-1]
    sent = encoded("json", request(signal, service)).replace(b"{", b"{" + made.encode() + b", ")
    assert b"{}" not in sent
    assert export(collector, "json", signal, sent).stored
    assert stored(collector, signal, service) == 2


def test_rule_17_names_in_snake_case_are_unknown(collector: Handle, service: str) -> None:
    """A span whose ids are written so has none."""
    wrong = {**document(), "trace_id": "ab" * 16}
    del wrong["traceId"]
    answer = _json(collector, documents(service, wrong, document(2, trace_state="a=b", parent_span_id="12" * 8)))
    assert (answer.code, answer.message.partial_success.rejected_spans) == (200, 1)
    assert rows(collector, "traces", service, "TraceState AS t, ParentSpanId AS p") == [{"t": "", "p": ""}]


def test_rule_18_integers_of_64_bits_are_strings_or_numbers(collector: Handle, service: str) -> None:
    """Both are exact to the last digit."""
    big = (1 << 63) - 1
    for number, kind in enumerate((str, int), 1):
        pair = {"key": "n", "value": {"intValue": kind(big)}}
        sent = document(number, startTimeUnixNano=kind(START + 1), attributes=[pair])
        assert _json(collector, documents(service, sent)).code == 200
    found = rows(collector, "traces", service, "toUnixTimestamp64Nano(Timestamp) AS t, SpanAttributes['n'] AS n")
    assert [(int(row["t"]), row["n"]) for row in found] == [(START + 1, str(big))] * 2


def test_rule_19_bytes_in_json_are_base64(collector: Handle, service: str) -> None:
    """They are stored as what protobuf sends."""
    pair = {"key": "b", "value": {"bytesValue": "AQI="}}
    assert _json(collector, documents(service, document(attributes=[pair]))).code == 200
    assert export(collector, "protobuf", "traces", request("traces", service, span({"b": b"\x01\x02"}))).stored
    assert rows(collector, "traces", service, "SpanAttributes['b'] AS b") == [{"b": "AQI="}] * 2


@pytest.mark.parametrize("door", DOORS)
def test_rule_20_every_kind_of_value_comes_through(collector: Handle, service: str, door: str) -> None:
    """Nested ones and empty ones too, as spans' attributes, resources' and as the body of a log record."""
    assert export(collector, door, "traces", request("traces", service, span(VALUES), **VALUES)).stored
    assert _attributes(collector, service) == STORED
    (row,) = rows(collector, "traces", service, "ResourceAttributes AS r")
    assert row["r"] == {"service.name": service, **STORED}
    records = [log_record(body=value(content)) for content in VALUES.values()]
    assert export(collector, door, "logs", request("logs", service, *records)).stored
    assert [row["b"] for row in rows(collector, "logs", service, "Body AS b", "Timestamp")] == list(STORED.values())


def test_rule_20_references_to_strings_are_nothing(collector: Handle, service: str) -> None:
    """Only profiles have them: a value or a key that is one is absent, and no reason to refuse."""
    pairs = [{"key": "v", "value": {"stringValueStrindex": 4}}, {"keyStrindex": 3, "value": {"intValue": 1}}]
    assert _json(collector, documents(service, document(attributes=pairs))).code == 200
    sent = request("traces", service)
    attribute = sent.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="v")
    attribute.value.string_value_strindex = 4
    assert export(collector, "protobuf", "traces", sent).code == 200
    assert [row["v"] for row in rows(collector, "traces", service, "SpanAttributes['v'] AS v")] == ["", ""]


@pytest.mark.parametrize("door", DOORS)
def test_rule_21_numbers_that_are_none(collector: Handle, service: str, door: str) -> None:
    """NaN and the infinities of doubles, as protobuf's JSON writes them."""
    values = {"nan": float("nan"), "inf": float("inf"), "minus": float("-inf")}
    assert export(collector, door, "traces", request("traces", service, span(values))).stored
    assert _attributes(collector, service) == {"nan": "NaN", "inf": "+Inf", "minus": "-Inf"}
    points = [data_point(as_double=number) for number in values.values()]
    assert export(collector, door, "metrics", request("metrics", service, *points)).stored
    found = rows(collector, "metrics", service, "toString(Value) AS v", "Value")
    assert sorted(row["v"] for row in found) == ["-inf", "inf", "nan"]


def test_rule_21_json_has_no_word_for_them(collector: Handle) -> None:
    """NaN without quotes is no JSON: 400, never 500."""
    sent = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"gauge":{"dataPoints":[{"asDouble":NaN}]}}]}]}]}'
    assert send("POST", f"{collector.http}/v1/metrics", sent, {"Content-Type": TYPES["json"]})[0] == 400
