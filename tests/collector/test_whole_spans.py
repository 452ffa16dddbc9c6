"""Spans are given back as they came: the exporter's columns and ours together lose nothing that OTLP has."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status, TracesData

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse.whole_spans import CHUNK_BYTES, chunks
from tests.support.collector import Handle, send
from tests.support.otlp import body, span
from tests.support.random_otlp import Requests
from tests.support.random_values import DOUBLES, ENUMS, INTS

PROTOBUF = {"Content-Type": "application/x-protobuf"}
_LAST = 2**63 - 1


def _given_back(collector: Handle, trace_id: bytes) -> TracesData:
    everything = {"first_time": 0, "first_span": "", "last_time": _LAST, "last_span": "", "most": 1000}
    rows = collector.query(schemas.read("whole_spans.sql"), trace_ids=[trace_id.hex()], **everything)
    return _message(chunks(rows))


def _message(data: Iterator[bytes]) -> TracesData:
    """The only one."""
    (found,) = data
    message: TracesData = TracesData.FromString(found)
    return message


def _alone(data: Any) -> Iterator[ResourceSpans]:
    """Every span in an envelope of its own, as far as OTLP knows it and the store has room for its times."""
    for group in data.resource_spans:
        for scope in group.scope_spans:
            for found in scope.spans:
                alone = ResourceSpans()
                alone.CopyFrom(group)
                del alone.scope_spans[:]
                above = alone.scope_spans.add()
                above.CopyFrom(scope)
                del above.spans[:]
                above.spans.add().CopyFrom(found)
                _understood(alone)
                yield alone


def _understood(alone: ResourceSpans) -> None:
    alone.DiscardUnknownFields()
    (scope,) = alone.scope_spans
    (found,) = scope.spans
    found.status.SetInParent()
    alone.resource.SetInParent()
    scope.scope.SetInParent()
    for event in found.events:
        event.time_unix_nano = min(event.time_unix_nano, _LAST)
    holders = [alone.resource, scope.scope, found, *found.events, *found.links]
    for attribute in (attribute for holder in holders for attribute in holder.attributes):
        attribute.value.SetInParent()
        if attribute.value.WhichOneof("value") == "string_value_strindex":  # of profiles: no value here
            attribute.value.Clear()


def _accepted(found: Span) -> bool:
    """Whether the collector takes a span without setting its times right."""
    has_ids = len(found.trace_id) == 16 and any(found.trace_id) and len(found.span_id) == 8 and any(found.span_id)
    return has_ids and found.start_time_unix_nano <= found.end_time_unix_nano


def test_spans_are_given_back_as_they_came(collector: Handle) -> None:
    """Every kind of value at every place, flags, counts, schema URLs, keys that come twice; from a random seed."""
    seed = random.randrange(2**32)
    requests = Requests(seed, time.time_ns())
    sent: dict[bytes, bytes] = {}
    for _ in range(60):
        request = requests.traces()
        assert send("POST", f"{collector.http}/v1/traces", request.body, PROTOBUF)[0] in (200, 400)
        for alone in _alone(request.meant):
            found = alone.scope_spans[0].spans[0]
            if _accepted(found):
                sent[found.trace_id] = alone.SerializeToString(deterministic=True)
    collector.flush()
    assert len(sent) > 50
    for trace_id, expected in sent.items():
        (found_alone,) = _alone(_given_back(collector, trace_id))
        assert found_alone.SerializeToString(deterministic=True) == expected, f"seed {seed}, trace {trace_id.hex()}"


def test_every_number_is_given_back_as_it_came(collector: Handle) -> None:
    """Kinds and states that nobody has named; numbers at the edges, alone and in arrays, where minus nought is one."""
    trace_id = b"all the numbers!"
    numbers: list[Any] = [*INTS, *DOUBLES]
    values: dict[str, Any] = {str(n): value for n, value in enumerate([*numbers, *([number] for number in numbers)])}
    values |= {"ints": list(INTS), "doubles": list(DOUBLES), "whole": [1.0, -0.0, 1e20]}
    sent = [span(values, trace_id=trace_id, kind=number, status=Status(code=number)) for number in ENUMS]
    assert send("POST", f"{collector.http}/v1/traces", body(*sent), PROTOBUF)[0] == 200
    collector.flush()
    back = {found.scope_spans[0].spans[0].span_id: found for found in _alone(_given_back(collector, trace_id))}
    for expected in sent:
        found = back[expected.span_id].scope_spans[0].spans[0]
        assert found.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)


def test_spans_of_one_scope_are_given_back_together(collector: Handle) -> None:
    """A resource and a scope are there once, in the order of time."""
    spans = [span({"n": n}, trace_id=b"one trace, given") for n in range(3)]
    for found in spans:
        assert send("POST", f"{collector.http}/v1/traces", body(found), PROTOBUF)[0] == 200
    other = span({"n": 4}, trace_id=b"one trace, given")
    assert send("POST", f"{collector.http}/v1/traces", body(other, service="other"), PROTOBUF)[0] == 200
    collector.flush()
    data = _given_back(collector, b"one trace, given")
    by_service = {
        group.resource.attributes[0].value.string_value: list(group.scope_spans[0].spans)
        for group in data.resource_spans
    }
    assert {name: len(found) for name, found in by_service.items()} == {"tests": 3, "other": 1}
    assert sorted(by_service["tests"], key=lambda found: found.span_id) == spans


def test_a_sender_that_says_what_its_values_were_harms_itself_only(collector: Handle) -> None:
    """Fields of the collector's own number in a span: a value that is not what they say is a text."""
    sent = [span({"k": "v"}, trace_id=b"a forged traces!") for _ in range(5)]
    forged = {1: b"\xf0\x7f\x06", 2: b"\xf0\x7f\x05", 3: b"\xf0\x7f\x03", 4: b"\xf0\x7f\x0c"}
    for number, field in forged.items():
        sent[number].attributes[0].MergeFromString(field)
    sent[2].MergeFromString(b"\xf2\x7f\x08/////w==")
    assert send("POST", f"{collector.http}/v1/traces", body(*sent), PROTOBUF)[0] == 200
    collector.flush()
    (group,) = _given_back(collector, b"a forged traces!").resource_spans
    found = {back.span_id: back.attributes[0].value.string_value for back in group.scope_spans[0].spans}
    assert found == {one.span_id: "v" for one in sent}


def test_a_span_that_the_exporter_wrote_has_texts(collector: Handle) -> None:
    """Its rows have none of our columns."""
    above = [[["service.name"], ["s"], []], 0, "", "", "", [[], [], []], 0, "", []]
    row = {
        "trace_id": "01" * 16, "above": json.dumps(above),
        "span": [
            "02" * 8, "", "", 0, "n", "Client", 5, 7, "Ok", "", [["a", "b"], ["1", "true"], []], 0, [], 0, [], 0, []
        ],
    }  # fmt: skip
    found = _message(chunks([row])).resource_spans[0].scope_spans[0].spans[0]
    assert [(pair.key, pair.value.string_value) for pair in found.attributes] == [("a", "1"), ("b", "true")]
    assert (found.kind, found.status.code, found.end_time_unix_nano) == (3, 1, 12)


def test_pieces_of_a_trace_are_small_and_of_one_trace() -> None:
    """What is more than a piece may hold goes on in the next one, under its resource and scope."""
    text = "x" * (CHUNK_BYTES // 3)
    own = ["02" * 8, "", "", 0, "n", "Client", 5, 7, "Ok", "", [["a"], [text], []], 0, [], 0, [], 0, []]
    above = json.dumps([[["service.name"], ["s"], []], 0, "", "scope", "", [[], [], []], 0, "", []])
    rows = [{"trace_id": f"{n:032x}", "above": above, "span": own} for n in (1, 1, 1, 1, 1, 2, 2)]
    found = [TracesData.FromString(data) for data in chunks(rows)]
    assert [[len(scope.spans) for group in data.resource_spans for scope in group.scope_spans] for data in found] == [
        [2], [2], [1], [2]
    ]  # fmt: skip
    for data, n in zip(found, (1, 1, 1, 2), strict=True):
        (group,) = data.resource_spans
        assert group.resource.attributes[0].value.string_value == "s"
        assert group.scope_spans[0].scope.name == "scope"
        assert {span.trace_id for span in group.scope_spans[0].spans} == {bytes.fromhex(f"{n:032x}")}
