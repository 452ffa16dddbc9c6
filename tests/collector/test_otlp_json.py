"""OTLP/JSON at the door: what is known of a document and what is not, its depth and size, random ones, answers."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_llm_collector.errors import Malformed
from otel_llm_collector.otlp.json_body import response_json
from tests.support.otlp_json import SPAN, convert, refusal, span, traces, wrong
from tests.support.random_messages import fill, otlp_json, spoil

KINDS = (ExportTraceServiceRequest, ExportLogsServiceRequest, ExportMetricsServiceRequest)


def test_unknown_fields_are_passed_over() -> None:
    """Whatever is in them, at every level."""
    document = traces(traceId="5b8e", fooBar={"traceId": 5, "deep": [[{"kind": "x"}]]})
    document["resourceSpans"][0]["news"] = [None, {"x": 1.5}]
    document["more"] = 1
    assert convert(ExportTraceServiceRequest, document) == convert(ExportTraceServiceRequest, traces(traceId="5b8e"))


def test_names_in_snake_case_are_unknown() -> None:
    """Even where what they hold could not be read."""
    assert span(trace_id=5, start_time_unix_nano="x", name="n") == Span(name="n")
    assert convert(ExportTraceServiceRequest, {"resource_spans": [{}]}) == ExportTraceServiceRequest()


def test_what_only_profiles_have_is_ignored() -> None:
    """Indexes into a table that these requests do not have."""
    pair = span(attributes=[{"keyStrindex": 1, "value": {"stringValueStrindex": 2}}]).attributes[0]
    assert (pair.key, pair.key_strindex, pair.value.WhichOneof("value")) == ("", 0, None)


def test_null_is_as_good_as_absent() -> None:
    """For every type of field, though not for an item of a list."""
    names = [field.json_name for field in Span.DESCRIPTOR.fields]
    assert span(**dict.fromkeys(names)) == Span()
    assert convert(ExportTraceServiceRequest, {"resourceSpans": None}) == ExportTraceServiceRequest()
    assert wrong(events=[{}, None]) == f"{SPAN}.events[1]: null is not an object."


@pytest.mark.parametrize(
    "body", [b"{}", b" {} ", b'{"resourceSpans":[]}', b'{"resourceSpans":[{},{"scopeSpans":[]}]}', b'{"x":1}']
)
def test_an_empty_request_is_a_request(body: bytes) -> None:
    """Nothing at all, and envelopes around nothing."""
    assert not [
        found
        for group in convert(ExportTraceServiceRequest, body).resource_spans
        for scope in group.scope_spans
        for found in scope.spans
    ]


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"true"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    """JSON as it may be."""
    assert refusal(ExportTraceServiceRequest, body).endswith("is not an object.")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"{}x", b"{'a':1}", b'{"a":1,}', b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\x00"}',
        b"\x0a\x00", b'{"a":"\\ud83d', b'{"a":"\\x"}', b"\\ud83d\x00",
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Cut, of another encoding, with bytes that are not UTF-8."""
    assert refusal(ExportTraceServiceRequest, body).startswith("The body is not JSON: ")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"attributes": {}}, "attributes: an object is not a list"),
        ({"attributes": [{"key": 5}]}, "attributes[0].key: 5 is not a string"),
        ({"attributes": [{}, {"key": "k", "value": []}]}, "attributes[1].value: a list is not an object"),
        ({"attributes": ["key"]}, 'attributes[0]: "key" is not an object'),
        ({"status": []}, "status: a list is not an object"),
        (
            {"links": [{"attributes": [{"key": "k", "value": {"intValue": "x"}}]}]},
            "links[0].attributes[0].value.intValue: ",
        ),
        (
            {
                "attributes": [
                    {"key": "k", "value": {"kvlistValue": {"values": [{}, {"key": "k", "value": {"intValue": {}}}]}}}
                ]
            },
            "attributes[0].value.kvlistValue.values[1].value.intValue: an object is not an integer",
        ),
    ],
    ids=str,
)
def test_the_message_leads_to_the_field(fields: dict[str, Any], path: str) -> None:
    """Names and places, from the top, and what would be right."""
    assert wrong(**fields).startswith(f"{SPAN}.{path}")


def test_of_a_long_value_the_beginning_is_shown() -> None:
    """A message is for people."""
    assert len(wrong(traceId="x" * 100_000)) < 200


def test_a_request_of_another_signal_is_refused() -> None:
    """Its fields would be unknown ones, and all of it lost without a word."""
    assert refusal(ExportTraceServiceRequest, {"resourceLogs": [{}]}) == (
        "resourceLogs: this is a request of logs; traces have resourceSpans."
    )
    assert "metrics have resourceMetrics" in refusal(ExportMetricsServiceRequest, traces())
    assert len(convert(ExportTraceServiceRequest, {"resourceLogs": [{}], "resourceSpans": [{}]}).resource_spans) == 1


def _nested(levels: int, array: bool) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(levels):
        value = (
            {"arrayValue": {"values": [value]}}
            if array
            else {"kvlistValue": {"values": [{"key": "k", "value": value}]}}
        )
    return traces(attributes=[{"key": "k", "value": value}])


@pytest.mark.parametrize(("array", "most"), [(True, 47), (False, 31)])
def test_values_nest_as_deep_as_protobuf_reads_them(array: bool, most: int) -> None:
    """Not one level less; one more is refused here and not by an overflow of the stack."""
    deepest = convert(ExportTraceServiceRequest, _nested(most, array))
    assert json_format.MessageToJson(deepest).count("Value") == most + 1
    assert "inside more than 100 others" in refusal(ExportTraceServiceRequest, _nested(most + 1, array))
    assert "inside more than 100 others" in refusal(ExportTraceServiceRequest, _nested(200, array))


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"resourceSpans":[', b'[{"kvlistValue":'])
def test_json_without_end_is_refused(opening: bytes) -> None:
    """A hundred thousand levels, known and unknown."""
    assert refusal(ExportTraceServiceRequest, opening * 100_000).startswith("The body is not JSON: ")
    assert refusal(ExportTraceServiceRequest, b'{"x":' + opening * 100_000).startswith("The body is not JSON: ")


def test_too_many_values_are_refused_before_they_are_made() -> None:
    """A byte of JSON can take fifty of memory; what is inside strings is not counted."""
    many = b'{"x":[' + b"{}," * (1 << 21) + b"1]}"
    assert "more than 2097152 values" in refusal(ExportTraceServiceRequest, many)
    assert (
        convert(ExportTraceServiceRequest, b'{"x":["' + b'{},\\"' * (1 << 21) + b'"]}') == ExportTraceServiceRequest()
    )


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_random_requests_come_back_whole(kind: type[Message]) -> None:
    """Every field of every message, written by another encoder."""
    chance = random.Random(kind.__name__)
    seen = 0
    for _ in range(200):
        message = kind()
        fill(message, chance)
        document = otlp_json(message)
        converted = convert(kind, document)
        assert converted == message, document
        seen += message.ByteSize()
    assert seen > 50_000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_is_taken_is_read_as_protobuf_reads_it(kind: type[Message]) -> None:
    """With values changed by chance, and without ids, which protobuf's own JSON has in base64."""
    chance = random.Random(kind.__name__)
    taken = refused = 0
    for _ in range(300):
        message = kind()
        fill(message, chance, depth=4)
        document = json.loads(json.dumps(otlp_json(message)), object_hook=_without_ids)
        spoil(document, chance)
        try:
            converted = convert(kind, document)
        except Malformed:
            refused += 1
            continue
        taken += 1
        assert converted == json_format.ParseDict(document, kind(), ignore_unknown_fields=True), document
    assert taken > 30
    assert refused > 30


def _without_ids(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in ("traceId", "spanId", "parentSpanId")}


def test_an_answer_without_anything_to_say_is_empty() -> None:
    """Full success."""
    assert response_json(ExportTraceServiceResponse()) == b"{}"


def test_an_answer_tells_what_was_rejected() -> None:
    """The number as a string."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 1
    answer.partial_success.error_message = "grün"
    assert response_json(answer).decode() == '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"grün"}}'


def test_a_status_is_an_answer_too() -> None:
    """Errors are in the encoding of the request."""
    assert json.loads(response_json(Status(code=3, message="no"))) == {"code": 3, "message": "no"}
