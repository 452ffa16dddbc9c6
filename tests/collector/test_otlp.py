"""Checking requests at the door, and rewriting values that ClickHouse does not take."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_llm_collector.errors import Malformed
from otel_llm_collector.log.record import Good
from otel_llm_collector.otlp.check import Checked
from otel_llm_collector.otlp.check import check as check_in
from otel_llm_collector.otlp.clock import Window
from otel_llm_collector.otlp.flatten import flatten
from otel_llm_collector.signals import LOGS, METRICS, TRACES, Signal
from tests.support.otlp import START, body, request, span


def check(sent: bytes) -> Checked:
    return check_in(TRACES, sent, Window.at(START, 32))


def test_a_good_request_passes_as_the_same_bytes() -> None:
    """Which are kept once."""
    sent = body(span(), span())
    checked = check(sent)
    assert checked.body is sent
    assert (checked.items, checked.rejected, checked.reason) == (2, 0, "")


def test_an_empty_request_is_a_request() -> None:
    """No bytes, and envelopes without spans."""
    assert check(b"").items == 0
    assert check(body()).items == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"trace_id": b""},
        {"trace_id": b"12345"},
        {"trace_id": bytes(16)},
        {"trace_id": b"x" * 17},
        {"span_id": b""},
        {"span_id": bytes(8)},
        {"span_id": b"123456789"},
    ],
    ids=str,
)
def test_a_span_without_valid_ids_is_left_out(fields: dict[str, bytes]) -> None:
    """Its siblings stay, and the answer says how many did not and why."""
    good = [span({"n": 1}), span({"n": 2})]
    checked = check(body(good[0], span(**fields), good[1]))
    assert (checked.items, checked.rejected) == (2, 1)
    assert checked.reason.startswith("1 of 3 spans have no valid ids")
    assert list(ExportTraceServiceRequest.FromString(checked.body).resource_spans[0].scope_spans[0].spans) == good


def test_a_request_of_bad_spans_alone_is_refused() -> None:
    """As OTLP logs sent as traces are: nothing in it can be stored."""
    with pytest.raises(Malformed, match="2 of 2 spans have no valid ids"):
        check(body(span(trace_id=b""), span(span_id=b"")))


@pytest.mark.parametrize(
    "sent", [b"\xff\xff\xff", b"garbage", b"{}", body(span())[:-3]], ids=["bytes", "text", "json", "cut"]
)
def test_what_is_no_request_is_refused(sent: bytes) -> None:
    """Truncated and foreign bodies, before they are anywhere near the store."""
    with pytest.raises(Malformed, match="not an OTLP"):
        check(sent)


def test_nesting_without_end_is_refused() -> None:
    """Depth is bounded by the parser, not by Python's stack."""
    inner = b""
    for _ in range(5000):  # AnyValue.array_value.values, over and over
        inner = b"\x0a" + _varint(len(inner)) + inner
        inner = b"\x2a" + _varint(len(inner)) + inner
    attribute = b"\x0a\x01k\x12" + _varint(len(inner)) + inner
    found = b"\x4a" + _varint(len(attribute)) + attribute
    for _ in range(2):
        found = b"\x12" + _varint(len(found)) + found
    with pytest.raises(Malformed):
        check(b"\x0a" + _varint(len(found)) + found)


def _inside(fields: tuple[int, ...], content: bytes) -> bytes:
    """Content in fields, the outermost first."""
    for number in reversed(fields):
        content = bytes((number << 3 | 2,)) + _varint(len(content)) + content
    return content


SCOPE = (1, 2)


@pytest.mark.parametrize(
    ("signal", "around", "empty"),
    [
        pytest.param(TRACES, (), b"\x0a\x00", id="resources"),
        pytest.param(TRACES, (1,), b"\x12\x00", id="scopes"),
        pytest.param(TRACES, SCOPE, b"\x12\x00", id="spans"),
        pytest.param(LOGS, SCOPE, b"\x12\x00", id="log records"),
        pytest.param(METRICS, SCOPE, b"\x12\x00", id="metrics"),
        pytest.param(METRICS, (*SCOPE, 2, 5), b"\x0a\x00", id="points"),
        pytest.param(METRICS, (*SCOPE, 2, 10), b"\x0a\x00", id="points of a histogram"),
    ],
)
def test_nothing_again_and_again_is_refused(signal: Signal, around: tuple[int, ...], empty: bytes) -> None:
    """Two bytes each, of which rows of fifty would be made."""
    with pytest.raises(Malformed, match="are empty: with what is around them they have less than 16 bytes each"):
        check_in(signal, _inside(around, empty * 10_000), Window.at(START, 32))


def test_some_that_are_empty_are_taken() -> None:
    """Nothing forbids them."""
    sent = _inside(SCOPE, b"\x12\x00" * 1000)
    assert check_in(LOGS, sent, Window.at(START, 32)).items == 1000


def test_more_messages_than_a_request_may_have() -> None:
    """They are counted before they are parsed."""
    with pytest.raises(Malformed, match="more than 2097152 messages in protobuf; send fewer spans"):
        check(b"\x0a\x00" * (2097152 + 1))


def test_more_items_than_a_request_may_have() -> None:
    """However much is in each."""
    record = _inside((2,), b"\x09" + START.to_bytes(8, "little") + b"\x1a\x05ERROR")
    with pytest.raises(Malformed, match="more than 524288 log records, with what is around them; send fewer"):
        check_in(LOGS, _inside(SCOPE, record * 600_000), Window.at(START, 32))


def test_text_is_mended_in_so_many_messages() -> None:
    """Each is looked at for it, which takes long."""
    with pytest.raises(Malformed, match="text that is not UTF-8, or is no protobuf; send fewer spans"):
        check(b"\x0a\x00" * 262144 + _inside((1, 3), b"\xff"))


def test_bad_spans_among_good_ones() -> None:
    """Are left out whatever their order, and the good ones keep theirs."""
    spans = [span({"n": n}, trace_id=b"" if n % 2 else b"x" * 16) for n in range(2000)]
    checked = check(body(*spans))
    assert (checked.items, checked.rejected) == (1000, 1000)
    (group,) = ExportTraceServiceRequest.FromString(checked.body).resource_spans
    assert list(group.scope_spans[0].spans) == spans[::2]


def test_a_field_that_comes_twice_in_a_body_as_long_as_it_should_be() -> None:
    """What protobuf reads is kept, the last of each: numbers that are not packed take as much less as it takes more."""
    point = b"\x19" + START.to_bytes(8, "little") + b"\x31" + (1).to_bytes(8, "little")
    points = b"".join(_inside((1,), point) for _ in range(7))
    sent = _inside((*SCOPE, 2), _inside((1,), b"FIRST") + _inside((1,), b"LAST!") + _inside((9,), points))
    assert METRICS.request.FromString(sent).ByteSize() == len(sent)
    found = check_in(METRICS, sent, Window.at(START, 32)).body
    assert b"FIRST" not in found
    assert b"LAST!" in found


def test_marks_of_our_own_are_left_out() -> None:
    """Those of a group, with what else nobody knows there; fields of a newer OTLP stay."""
    newer = b"\xca\x3e\x05newer"  # field 1001
    sent = request(span())
    sent.resource_spans[0].MergeFromString(newer)
    assert check(sent.SerializeToString()).body == sent.SerializeToString()
    sent.resource_spans[0].MergeFromString(b"\xf2\x7f\x04evil")
    found = check(sent.SerializeToString()).body
    assert b"evil" not in found
    assert b"newer" not in found
    sent.resource_spans[0].DiscardUnknownFields()
    assert found == sent.SerializeToString()


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def test_text_that_is_not_utf8_is_mended() -> None:
    """Every kind of text field, at every depth; good text and bytes stay as they are."""
    sent = request(
        span({"key_QQ": "v_QQ", "list": ["QQ", {"in_QQ": "QQ"}], "raw": b"\xff\xfe", "fine": "grün"}, name="name_QQ"),
        service="svc_QQ",
    ).SerializeToString()
    checked = check(sent.replace(b"QQ", b"\xff\xc3"))
    message = ExportTraceServiceRequest.FromString(checked.body)
    found = message.resource_spans[0].scope_spans[0].spans[0]
    assert found.name == "name_��"
    assert message.resource_spans[0].resource.attributes[0].value.string_value == "svc_��"
    values = {pair.key: pair.value for pair in found.attributes}
    assert values["key_��"].string_value == "v_��"
    assert values["list"].array_value.values[0].string_value == "��"
    assert values["list"].array_value.values[1].kvlist_value.values[0].key == "in_��"
    assert values["raw"].bytes_value == b"\xff\xfe"
    assert values["fine"].string_value == "grün"


def test_nested_values_become_text() -> None:
    """Only those that nest: what the view over otlp_traces_in reads by itself is left to it."""
    sent = span(
        {
            "map": {"b": 1, "a": [True, None, 1.5, b"\x01"], "c": {"ü": "\n"}},
            "deep": [[1], ["x"]],
            "flat": [1, 2],
            "mixed": [1, "x"],
            "numbers": {"one": 1.0, "big": 1e21, "small": 1e-7, "inf": float("inf"), "nan": float("nan")},
        }
    )
    sent.events.add(name="e").attributes.extend(span({"m": {"k": "v"}}).attributes)
    sent.links.add().attributes.extend(span({"m": {}}).attributes)
    whole = body(sent, resource={"process": {"id": 1}})
    data = TracesData.FromString(flatten(TRACES, whole, [Good(0, 0, len(whole), 1, 1, b"", "")]))
    found = data.resource_spans[0].scope_spans[0].spans[0]
    values = {pair.key: pair.value for pair in found.attributes}
    assert values["map"].string_value == '{"a":[true,null,1.5,"AQ=="],"b":1,"c":{"ü":"\\n"}}'
    assert values["deep"].string_value == '[[1],["x"]]'
    assert values["flat"].WhichOneof("value") == "array_value"
    assert values["mixed"].string_value == '[1,"x"]'
    assert values["numbers"].string_value == '{"big":1e21,"inf":"+Inf","nan":"NaN","one":1,"small":1e-7}'
    assert found.events[0].attributes[0].value.string_value == '{"k":"v"}'
    assert found.links[0].attributes[0].value.string_value == "{}"
    assert data.resource_spans[0].resource.attributes[1].value.string_value == '{"id":1}'


def test_what_is_above_the_items_is_rewritten_once() -> None:
    """However many they are."""
    whole = body(*(span() for _ in range(500)), resource={"process": {"text": "x" * 10_000}})
    assert len(flatten(TRACES, whole, [Good(0, 0, len(whole), 1, 1, b"", "")])) < len(whole) + 30_000
