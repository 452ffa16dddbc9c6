"""The values of OTLP/JSON: ids, enums, numbers, text, bytes, each as its encoding has them and not otherwise."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.otlp_json import SPAN, attribute, convert, metric, metrics, refusal, span, traces, value, wrong

TRACE, OWN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_ids_are_hexadecimal_in_any_case(change: Any) -> None:
    """Those of a span, of its parent and of its links."""
    link = {"traceId": change(TRACE), "spanId": change(OWN)}
    found = span(traceId=change(TRACE), spanId=change(OWN), parentSpanId=change(OWN), links=[link])
    assert found.trace_id == found.links[0].trace_id == bytes.fromhex(TRACE)
    assert found.span_id == found.parent_span_id == found.links[0].span_id == bytes.fromhex(OWN)


def test_ids_of_log_records_and_exemplars_are_hexadecimal() -> None:
    """The same in the other signals."""
    ids = {"traceId": TRACE, "spanId": OWN}
    logs = convert(ExportLogsServiceRequest, {"resourceLogs": [{"scopeLogs": [{"logRecords": [ids]}]}]})
    record = logs.resource_logs[0].scope_logs[0].log_records[0]
    exemplar = metric(gauge={"dataPoints": [{"exemplars": [ids]}]}).gauge.data_points[0].exemplars[0]
    assert record.trace_id == exemplar.trace_id == bytes.fromhex(TRACE)
    assert record.span_id == exemplar.span_id == bytes.fromhex(OWN)


@pytest.mark.parametrize("sent", ["W47/95gDgQPSabYzgT/GDA==", "xyz", "abc", "0x12", " ab", "ａｂ", 12, ["ab"], True])
def test_an_id_that_is_not_hexadecimal_is_refused(sent: Any) -> None:
    """In base64, as protobuf's own JSON has ids, too: read as hexadecimal it would be another id."""
    assert wrong(name="x", traceId=sent).startswith(f"{SPAN}.traceId: ")
    assert "hexadecimal" in wrong(links=[{"spanId": sent}])


def test_ids_of_any_length_are_kept() -> None:
    """Which spans have valid ids is decided behind."""
    assert span(traceId="", spanId="abcd").span_id == b"\xab\xcd"
    assert span(traceId="00" * 17).trace_id == bytes(17)


def test_enums_are_integers() -> None:
    """Unknown ones are kept, as protobuf keeps them."""
    found = span(kind=2, status={"code": 77})
    assert (found.kind, found.status.code) == (2, 77)
    assert span(kind=-1).kind == -1


@pytest.mark.parametrize("sent", ["SPAN_KIND_SERVER", "2", 1.5, 2.0, True, 1 << 31, {}])
def test_an_enum_that_is_no_integer_is_refused(sent: Any) -> None:
    """A name above all."""
    assert wrong(kind=sent).startswith(f"{SPAN}.kind: ")


@pytest.mark.parametrize("sent", ["1544712660300000000", 1544712660300000000, 1544712660300000000.0])
def test_integers_of_64_bits_are_strings_or_numbers(sent: Any) -> None:
    """Both give the same."""
    assert span(startTimeUnixNano=sent).start_time_unix_nano == 1544712660300000000
    assert value({"intValue": sent}).int_value == 1544712660300000000
    assert metric(sum={"dataPoints": [{"asInt": sent}]}).sum.data_points[0].as_int == 1544712660300000000


def test_the_ends_of_the_range_of_an_integer_are_exact() -> None:
    """No number goes by way of a double."""
    for number in (-(1 << 63), -1, 0, 127, 128, 16383, 16384, (1 << 53) + 1, (1 << 63) - 1):
        assert value({"intValue": number}).int_value == value({"intValue": str(number)}).int_value == number
    for number in (0, (1 << 63) + 1, (1 << 64) - 1):
        assert span(endTimeUnixNano=number).end_time_unix_nano == number
        assert metric(summary={"dataPoints": [{"count": str(number)}]}).summary.data_points[0].count == number


@pytest.mark.parametrize(
    "sent",
    ["", " 1", "+1", "1.0", "1e3", "0x1", "1_0", "--1", "-", "٣", "NaN", "9" * 5000, 1.5, 1e300, True, [], {}],
    ids=lambda sent: str(sent)[:9],
)
def test_what_is_no_integer_is_refused(sent: Any) -> None:
    """Fractions, other spellings, other types."""
    assert wrong(**attribute({"intValue": sent})).startswith(f"{SPAN}.attributes[0].value.intValue: ")
    assert wrong(startTimeUnixNano=sent).startswith(f"{SPAN}.startTimeUnixNano: ")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("startTimeUnixNano", -1),
        ("startTimeUnixNano", 1 << 64),
        ("droppedAttributesCount", -1),
        ("droppedAttributesCount", 1 << 32),
        ("flags", 1 << 32),
    ],
)
def test_an_integer_out_of_range_is_refused(name: str, number: int) -> None:
    """As a string and as a number, and not only by what a double can tell."""
    assert "is not an integer from 0 to" in wrong(**{name: number})
    assert "is not an integer from 0 to" in wrong(**{name: str(number)})


@pytest.mark.parametrize("number", [1 << 63, -(1 << 63) - 1])
def test_a_signed_integer_out_of_range_is_refused(number: int) -> None:
    """The parser gives those as doubles: the lower one is then equal to the lowest that is in range."""
    for sent in (number, str(number)):
        assert "intValue: " in wrong(**attribute({"intValue": sent}))


def test_small_integers_are_numbers_or_strings() -> None:
    """Of 32 bits, as protobuf's JSON has them."""
    assert span(droppedAttributesCount=7, flags="257", droppedEventsCount="4294967295") == Span(
        dropped_attributes_count=7, flags=257, dropped_events_count=(1 << 32) - 1
    )


@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308])
def test_doubles_are_numbers(number: float) -> None:
    """Bit for bit, in strings too."""
    for sent in (number, repr(number)):
        assert struct.pack("<d", value({"doubleValue": sent}).double_value) == struct.pack("<d", number)


def test_doubles_may_be_integers_and_none_at_all() -> None:
    """NaN and the infinities are strings."""
    assert value({"doubleValue": 3}).double_value == 3.0
    assert value({"doubleValue": (1 << 64) - 1}).double_value == float((1 << 64) - 1)
    assert value({"doubleValue": "Infinity"}).double_value == float("inf")
    assert value({"doubleValue": "-Infinity"}).double_value == float("-inf")
    nan = value({"doubleValue": "NaN"}).double_value
    assert nan != nan


@pytest.mark.parametrize("sent", ["nan", "inf", "Inf", "", "1_0", " 1", "0x1", "1e999", "1.", True, []])
def test_what_is_no_double_is_refused(sent: Any) -> None:
    """Python's other spellings too."""
    assert 'is not a number, "NaN", "Infinity" or "-Infinity"' in wrong(
        attributes=[{"key": "n", "value": {"doubleValue": sent}}]
    )


@pytest.mark.parametrize("body", [b"NaN", b"Infinity", b"1e999"])
def test_numbers_that_json_has_not_are_refused(body: bytes) -> None:
    """Unquoted NaN is no JSON."""
    sent = json.dumps(traces(droppedEventsCount="HERE")).encode().replace(b'"HERE"', body)
    assert refusal(ExportTraceServiceRequest, sent).startswith("The body is not JSON: ")


@pytest.mark.parametrize("sent", ["true", 1, 0, "", {}])
def test_truth_is_true_or_false(sent: Any) -> None:
    """Nothing that is like it."""
    assert value({"boolValue": True}).bool_value is True
    assert value({"boolValue": False}).WhichOneof("value") == "bool_value"
    assert "is not true or false" in wrong(**attribute({"boolValue": sent}))


def test_numbers_in_lists_are_packed() -> None:
    """Counts as strings or numbers, bounds as doubles; one that is wrong is named by its place."""
    sent = {"bucketCounts": ["1", 2, "18446744073709551615"], "explicitBounds": [1, 2.5, "Infinity"]}
    point = metric(histogram={"dataPoints": [sent]}).histogram.data_points[0]
    assert list(point.bucket_counts) == [1, 2, (1 << 64) - 1]
    assert list(point.explicit_bounds) == [1.0, 2.5, float("inf")]
    assert "histogram.dataPoints[0].bucketCounts[1]: -1 is not" in refusal(
        ExportMetricsServiceRequest, metrics(histogram={"dataPoints": [{"bucketCounts": [1, -1]}]})
    )


@pytest.mark.parametrize("sent", ["-_-_AQ==", "+/+/AQ==", "-_-_AQ", "+/-_AQ"])
def test_bytes_are_base64(sent: str) -> None:
    """Of both alphabets, padded or not."""
    assert value({"bytesValue": sent}).bytes_value == b"\xfb\xff\xbf\x01"


@pytest.mark.parametrize("sent", ["A", "AQ==AQ==", "====", "A Q=", "AQ\n=", "é", "AQ*=", 5, []])
def test_what_is_no_base64_is_refused(sent: Any) -> None:
    """Rather than read without what does not belong."""
    assert "is not base64" in wrong(**attribute({"bytesValue": sent}))


def test_every_kind_of_value_can_be_sent() -> None:
    """Nested, empty and missing ones; zero and nothing are not the same."""
    values = [
        {"stringValue": ""}, {"boolValue": False}, {"intValue": 0}, {"doubleValue": 0}, {"bytesValue": ""},
        {"arrayValue": {}}, {"kvlistValue": {}}, {},
        {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {}]}}}]}},
    ]  # fmt: skip
    kinds = [value(sent).WhichOneof("value") for sent in values]
    assert kinds == [
        "string_value", "bool_value", "int_value", "double_value", "bytes_value", "array_value", "kvlist_value", None,
        "kvlist_value",
    ]  # fmt: skip
    inner = value({"arrayValue": {"values": values}}).array_value.values
    assert [found.WhichOneof("value") for found in inner] == kinds
    assert inner[8].kvlist_value.values[0].value.array_value.values[0].string_value == "x"


def test_a_value_has_one_kind() -> None:
    """Two would be one to protobuf, the later, and both to who looks at each; null is none."""
    both = {"stringValue": "x", "intValue": 1}
    assert wrong(attributes=[{"key": "k", "value": both}]) == (
        f"{SPAN}.attributes[0].value: stringValue and intValue exclude one another."
    )
    point = metrics(gauge={"dataPoints": [{"asInt": 1, "asDouble": 1}]})
    assert "dataPoints[0]: asDouble and asInt exclude one another." in refusal(ExportMetricsServiceRequest, point)
    assert value({"stringValue": "x", "intValue": None}).string_value == "x"


def test_an_attribute_of_any_shape_is_read() -> None:
    """Whatever the order, with what is unknown, without a value, without a key."""
    pairs = [
        {"value": {"intValue": "1"}, "key": "turned"},
        {"key": "more", "value": {"other": 1, "intValue": 2}, "another": {}},
        {"key": "empty", "value": {}},
        {"key": "null", "value": None},
        {"key": "null inside", "value": {"stringValue": None}},
        {"key": "none"},
        {"value": {"intValue": 3}},
        {},
        {"key": None, "value": {"unknown": 1}},
    ]
    found = [(pair.key, pair.HasField("value"), pair.value.int_value) for pair in span(attributes=pairs).attributes]
    assert found == [
        ("turned", True, 1), ("more", True, 2), ("empty", True, 0), ("null", False, 0), ("null inside", True, 0),
        ("none", False, 0), ("", True, 3), ("", False, 0), ("", True, 0),
    ]  # fmt: skip


def test_text_is_kept_as_it_is() -> None:
    """NUL, control characters and what lies outside the first plane, plain or escaped."""
    text = 'a\x00b\x1f"\\/\u2028\U0001f600é'
    for plain in (True, False):
        body = json.dumps(traces(name=text), ensure_ascii=not plain).encode()
        assert convert(ExportTraceServiceRequest, body).resource_spans[0].scope_spans[0].spans[0].name == text
    assert "5 is not a string" in wrong(name=5)


def test_text_may_be_long() -> None:
    """Where its length, or that of a message with it, takes one more byte: a name, an attribute's key and its value."""
    for size in (*range(130), 16383, 16384, (1 << 21) - 1, 1 << 21):
        found = span(name="n" * size, attributes=[{"key": "k" * size, "value": {"stringValue": "v" * size}}])
        assert (len(found.name), len(found.attributes[0].key)) == (size, size)
        assert found.attributes[0].value.string_value == "v" * size


def test_half_of_a_surrogate_pair_is_mended() -> None:
    """It is what is left where a JavaScript string was cut, and the official Python exporter sends it too."""
    sent = json.dumps(traces(name="\ud83d and \ude00\ud83d \U0001f600", traceState=r"\ud83d \\ud83d")).encode()
    found = convert(ExportTraceServiceRequest, sent).resource_spans[0].scope_spans[0].spans[0]
    assert found.name == "\ufffd and \ufffd\ufffd \U0001f600"
    assert found.trace_state == r"\ud83d \\ud83d"
