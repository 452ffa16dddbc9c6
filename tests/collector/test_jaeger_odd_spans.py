"""Spans that would keep Jaeger from all that is beside them: as others write them to the table, and very large."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status, TracesData

from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.jaeger.fitting import MESSAGE_BYTES, fitting
from tests.collector.conftest import Start
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, send
from tests.support.jaeger_client import spans
from tests.support.jaeger_storage import JaegerStorage
from tests.support.otlp import attributes, body, span

_TYPE = "application/x-protobuf"
_AT = 1_800_000_000 * 10**9
_ROW = {
    "Timestamp": f"fromUnixTimestamp64Nano({_AT}, 'UTC')",
    "SpanId": "'00000000000000aa'",
    "SpanName": "'op'",
    "SpanKind": "'Server'",
    "ServiceName": "'exporter'",
    "SpanAttributes": "map('k', 'v')",
    "Duration": "5",
    "StatusCode": "'Ok'",
}
"""Columns that the OpenTelemetry Collector's exporter writes; it knows none of ours."""


def test_rows_of_the_exporter(start: Start, server: ClickHouse, tmp_path: Path) -> None:
    """Text that is none, ends before the beginning, names of older versions: none of them costs a search its answer."""
    collector = start(tmp_path / "data", store=server.url)
    store = Store(server.url)
    odd = {
        os.urandom(16): column
        for column in (
            {},
            {"SpanAttributes": "map('k', unhex('61ff62'))"},
            {"StatusMessage": "unhex('ff')"},
            {"Duration": "toUInt64(-1000)"},
            {"Duration": "9223372036854775808"},
            {"SpanKind": "'SPAN_KIND_SERVER'"},
            {"StatusCode": "'STATUS_CODE_OK'"},
            {"SpanAttributes": "map('k', 'v', 'k', 'w')"},
        )
    }
    try:
        for trace_id, column in odd.items():
            row = {**_ROW, "TraceId": f"'{trace_id.hex()}'", **column}
            store.command(f"INSERT INTO otel_traces ({', '.join(row)}) VALUES ({', '.join(row.values())})")
        row = {**_ROW, "TraceId": "''"}
        store.command(f"INSERT INTO otel_traces ({', '.join(row)}) VALUES ({', '.join(row.values())})")
    finally:
        store.close()
    query = {"query": {"service_name": "exporter"}}
    with JaegerStorage(collector.jaeger) as jaeger:
        found = {span.trace_id: span for span in spans(jaeger.call("FindTraces", query))}
        (answer,) = jaeger.call("FindTraceSummaries", query)
        assert jaeger.find(**query["query"]) == {summary.trace_id for summary in answer.summaries} == set(odd)
    plain, text, message, backwards, long, kind, code, twice = (found[trace_id] for trace_id in odd)
    assert plain == Span(
        trace_id=plain.trace_id,
        span_id=bytes([0] * 7 + [0xAA]),
        name="op",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=_AT,
        end_time_unix_nano=_AT + 5,
        attributes=attributes({"k": "v"}),
        status=Status(code=Status.STATUS_CODE_OK),
    )
    assert text.attributes[0].value.string_value == "a\ufffdb"
    assert message.status.message == "\ufffd"
    assert backwards.end_time_unix_nano == _AT - 1000
    assert long.end_time_unix_nano == _AT + 2**63
    assert kind.kind == Span.SPAN_KIND_UNSPECIFIED
    assert code.status.code == Status.STATUS_CODE_UNSET
    assert [pair.value.string_value for pair in twice.attributes] == ["v", "w"]


def _many(span: Span) -> None:
    span.attributes.extend(attributes({f"k{n}": "v" * 40 for n in range(100_000)}))


def _medium(span: Span) -> None:
    span.attributes.extend(attributes({f"k{n}": "v" * 1500 for n in range(3000)}))


def _name(span: Span) -> None:
    span.name = "n" * (5 << 20)


def _message(span: Span) -> None:
    span.status.message = "m" * (5 << 20)


def _key(span: Span) -> None:
    span.attributes.extend(attributes({"k" * (5 << 20): "v"}))


def _events(span: Span) -> None:
    for n in range(60_000):
        span.events.add(name="e" * 100, time_unix_nano=n)


def _list(span: Span) -> None:
    values = [AnyValue(int_value=n) for n in range(1_500_000)]
    span.attributes.add(key="list").value.array_value.CopyFrom(ArrayValue(values=values))


@pytest.mark.parametrize("grow", [_many, _medium, _name, _message, _key, _events, _list])
def test_whatever_is_large_in_a_span(grow: Callable[[Span], None]) -> None:
    """It is made small enough for Jaeger, says so, and keeps its place in the trace; what is beside it is whole."""
    data = TracesData()
    group = data.resource_spans.add()
    group.resource.attributes.extend(attributes({"service.name": "tests"}))
    large, small = span(parent_span_id=b"p" * 8), span({"a": "b"})
    ids = (large.trace_id, large.span_id, large.parent_span_id, large.end_time_unix_nano)
    grow(large)
    group.scope_spans.add().spans.extend([small, large])
    assert data.ByteSize() > MESSAGE_BYTES
    sent = fitting(data.SerializeToString())
    assert len(sent) <= MESSAGE_BYTES
    beside, found = spans([TracesData.FromString(sent)])
    assert (found.trace_id, found.span_id, found.parent_span_id, found.end_time_unix_nano) == ids
    assert "in otel_traces" in found.attributes[-1].value.array_value.values[0].string_value
    assert beside.attributes[0] == small.attributes[0]
    assert len(found.attributes) + found.dropped_attributes_count == len(large.attributes) + 1
    assert len(found.events) + found.dropped_events_count == len(large.events)


def test_a_search_beside_a_span_that_is_large_everywhere(collector: Handle) -> None:
    """A client with gRPC's own limits gets the other traces."""
    service, large = f"large {os.urandom(4).hex()}", span()
    _many(large)
    for one in (large, span()):
        answer = send("POST", f"{collector.http}/v1/traces", body(one, service=service), {"Content-Type": _TYPE})
        assert answer[0] == 200
    collector.flush()
    with JaegerStorage(collector.jaeger) as jaeger:
        parts = jaeger.call("FindTraces", {"query": {"service_name": service}})
    assert len(spans(parts)) == 2
    assert max(part.ByteSize() for part in parts) <= MESSAGE_BYTES


def test_doubles_are_found_by_their_value(collector: Handle) -> None:
    """Whether ClickHouse writes them with an exponent or without."""
    service = f"doubles {os.urandom(4).hex()}"
    numbers = [1e15, 1e16, 123456789012345678.0, 1e20, 1e21, 1.5e300, 1e-5, 1e-6, 1e-7, 0.0, 0.1, 5e-324, -2.5, -1e17]
    sent = {number: span({"number": number}) for number in numbers}
    answer = send("POST", f"{collector.http}/v1/traces", body(*sent.values(), service=service), {"Content-Type": _TYPE})
    assert answer[0] == 200
    collector.flush()
    with JaegerStorage(collector.jaeger) as jaeger:
        for number, one in sent.items():
            wanted = [{"key": "number", "value": {"double_value": number}}]
            assert jaeger.find(service_name=service, attributes=wanted) == {one.trace_id}, number


def test_searches_at_the_edge_of_sense(collector: Handle) -> None:
    """All that is before 1970 is nothing; an attribute that must have two values is refused."""
    with JaegerStorage(collector.jaeger) as jaeger:
        assert jaeger.find(start_time_max={"seconds": -5}) == set()
        twice = [{"key": "k", "value": {"string_value": value}} for value in "ab"]
        code, said = jaeger.refused("FindTraces", {"query": {"attributes": twice}})
        assert (code, said.startswith("attributes[1].key")) == (grpc.StatusCode.INVALID_ARGUMENT, True)
