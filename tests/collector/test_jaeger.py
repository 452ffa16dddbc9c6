"""Jaeger's remote storage as a client of it sees it; ``tests/jaeger`` has a Jaeger that reads it."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import grpc
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otel_llm_collector.jaeger import reader
from otel_llm_collector.jaeger.messages import message
from tests.collector.conftest import Start
from tests.support.collector import Handle, send
from tests.support.jaeger_client import address, spans
from tests.support.jaeger_client import method as method_of
from tests.support.jaeger_storage import JaegerStorage, store
from tests.support.otlp import START, attributes, request, span

TYPE = {"Content-Type": "application/x-protobuf"}
SECOND = 10**9
PATIENCE_S = 30.0


def _text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"string_value": value}}


def test_traces_are_given_back_as_they_came(collector: Handle, jaeger: JaegerStorage) -> None:
    """In the order in which they are asked for; an id that is nowhere, or comes twice, changes nothing."""
    first, second = os.urandom(16), os.urandom(16)
    sent = [
        span({"n": n, "list": [1, 2], "map": {"a": {"b": b"c"}}}, trace_id=trace_id, start_time_unix_nano=START + n)
        for trace_id in (first, second)
        for n in range(3)
    ]
    store(collector, *sent)
    found = jaeger.spans(second, os.urandom(16), first, second)
    assert [span.trace_id for span in found] == [second] * 3 + [first] * 3
    assert sorted(found, key=lambda span: span.span_id) == sent
    assert jaeger.spans(os.urandom(16)) == jaeger.spans() == []


def test_what_a_search_can_ask_for(collector: Handle, jaeger: JaegerStorage) -> None:
    """Attributes wherever they are, and by which type; what Jaeger means by some that are none."""
    service, id_ = f"searched {os.urandom(4).hex()}", os.urandom(16)
    found = span(
        {
            "text": "one",
            "count": 5,
            "share": 0.5,
            "whole": 2.0,
            "on": True,
            "raw": b"\0\1",
            "empty": "",
            "key=a": "b\\'c",
        },
        trace_id=id_,
        name="op",
        kind=Span.SPAN_KIND_SERVER,
        status=Status(code=Status.STATUS_CODE_ERROR),
    )
    found.events.add(time_unix_nano=START, name="e", attributes=attributes({"of.event": "e1"}))
    found.links.add(trace_id=b"l" * 16, span_id=b"l" * 8, attributes=attributes({"of.link": "l1"}))
    sent = request(found, service=service, resource={"of.resource": "r1"})
    scope = sent.resource_spans[0].scope_spans[0].scope
    scope.name, scope.version = "scope name", "7.8"
    scope.attributes.extend(attributes({"of.scope": "s1"}))
    assert send("POST", f"{collector.http}/v1/traces", sent.SerializeToString(), TYPE)[0] == 200
    store(collector, span({"text": "other"}, name="op 2"), service=service)

    def finds(*attributes: dict[str, Any], **query: Any) -> bool:
        return jaeger.find(service_name=service, attributes=attributes, **query) == {id_}

    for key, value in (
        ("text", "one"), ("count", "5"), ("share", "0.5"), ("whole", "2"), ("on", "true"), ("raw", "AAE="),
        ("empty", ""), ("key=a", "b\\'c"), ("of.event", "e1"), ("of.link", "l1"), ("of.resource", "r1"),
        ("of.scope", "s1"), ("error", "true"), ("error", "T"), ("span.kind", "server"), ("span.kind", "SERVER"),
        ("span.status", "error"), ("scope.name", "scope name"), ("scope.version", "7.8"),
        ("resource.of.resource", "r1"),
    ):  # fmt: skip
        assert finds(_text(key, value)), (key, value)
    for key, value in (
        ("text", "on"), ("absent", ""), ("count", "5.0"), ("error", "false"), ("error", "perhaps"),
        ("span.kind", "client"), ("span.status", "ok"), ("resource.text", "one"), ("scope.name", "scope"),
        ("of.event", "l1"),
    ):  # fmt: skip
        assert not finds(_text(key, value)), (key, value)
    for key, kind, typed in (
        ("count", "int_value", 5), ("share", "double_value", 0.5), ("whole", "double_value", 2.0),
        ("on", "bool_value", True), ("raw", "bytes_value", b"\0\1"), ("error", "bool_value", True),
    ):  # fmt: skip
        assert finds({"key": key, "value": {kind: typed}}), (key, kind)
    assert finds(_text("text", "one"), _text("of.event", "e1"), _text("of.scope", "s1"), _text("count", "5"))
    assert not finds(_text("text", "one"), _text("count", "6"))
    assert finds({"key": "has no value"}, _text("text", "one"))
    assert finds(operation_name="op")
    assert jaeger.find(service_name=service, attributes=[_text("error", "false")]).isdisjoint({id_})
    assert finds(_text("text", "one"), duration_min={"seconds": 1}, duration_max={"seconds": 1})
    assert not finds(_text("text", "one"), duration_max={"nanos": 999_999_999})


def test_the_newest_traces_come_first_and_no_more_than_are_asked_for(collector: Handle, jaeger: JaegerStorage) -> None:
    """Over the whole time, from minutes to days ago; both ends of the time that is asked for belong to it."""
    service = f"newest {os.urandom(4).hex()}"
    ages = [0, 60, 1200, 5000, 40_000, 400_000]
    ids = [os.urandom(16) for _ in ages]
    times = [START - age * SECOND for age in ages]
    spans = [
        span(trace_id=id_, start_time_unix_nano=at, end_time_unix_nano=at) for id_, at in zip(ids, times, strict=True)
    ]
    store(collector, *random.sample(spans, len(spans)), service=service)

    def found(**query: Any) -> list[bytes]:
        (answer,) = jaeger.call("FindTraceIDs", {"query": {"service_name": service, **query}})
        return [one.trace_id for one in answer.trace_ids]

    assert found() == ids
    assert found(search_depth=2) == ids[:2]
    between = {
        "start_time_min": {"seconds": times[4] // SECOND, "nanos": times[4] % SECOND},
        "start_time_max": {"seconds": times[1] // SECOND, "nanos": times[1] % SECOND},
    }
    assert found(**between) == ids[1:5]
    assert found(**between, search_depth=1) == ids[1:2]
    streamed = jaeger.call("FindTraces", {"query": {"service_name": service, "search_depth": 3}})
    assert [data.resource_spans[0].scope_spans[0].spans[0].trace_id for data in streamed] == ids[:3]


def test_services_and_operations(collector: Handle, jaeger: JaegerStorage) -> None:
    """Each once; kinds as Jaeger writes them, and none where a span has none."""
    service = f"operations {os.urandom(4).hex()}"
    kinds = [Span.SPAN_KIND_SERVER, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_UNSPECIFIED, Span.SPAN_KIND_PRODUCER, 77]
    store(collector, *(span(name="op", kind=kind) for kind in kinds), service=service)
    assert list(jaeger.call("GetServices", {})[0].services).count(service) == 1

    def kinds_of(**fields: Any) -> list[str]:
        (answer,) = jaeger.call("GetOperations", {"service": service, **fields})
        assert {operation.name for operation in answer.operations} <= {"op"}
        return sorted(operation.span_kind for operation in answer.operations)

    assert sorted(set(kinds_of())) == ["", "producer", "server"]
    assert kinds_of(span_kind="server") == ["server"]
    assert kinds_of(span_kind="Server") == kinds_of(span_kind="no kind") == []
    assert jaeger.refused("GetOperations", {})[0] == grpc.StatusCode.INVALID_ARGUMENT


def test_summaries_count_what_the_spans_are(collector: Handle, jaeger: JaegerStorage) -> None:
    """The root, the times, failures and orphans; of random trees of three services."""
    name = os.urandom(4).hex()
    services = [f"{name} {n}" for n in range(3)]
    traces: dict[bytes, list[tuple[str, Span]]] = {}
    for _ in range(20):
        trace_id = os.urandom(16)
        spans: list[tuple[str, Span]] = []
        for n in range(random.randrange(1, 9)):
            at = START + random.randrange(10**6)
            parent = random.choice([b"", os.urandom(8), *(known.span_id for _, known in spans)])
            code = random.choice([Status.STATUS_CODE_UNSET, Status.STATUS_CODE_ERROR])
            own = span(
                trace_id=trace_id,
                parent_span_id=parent,
                name=f"op {n}",
                status=Status(code=code),
                start_time_unix_nano=at,
                end_time_unix_nano=at + random.randrange(10**6),
            )
            spans.append((random.choice(services), own))
        traces[trace_id] = spans
    for service in services:
        store(
            collector,
            *(span for spans in traces.values() for of, span in spans if of == service),
            span(name="alone"),
            service=service,
        )
    seen = {}
    for service in services:
        for answer in jaeger.call("FindTraceSummaries", {"query": {"service_name": service}}):
            seen |= {summary.trace_id: summary for summary in answer.summaries}
    for trace_id, spans in traces.items():
        summary = seen[trace_id]
        alone = [span for _, span in spans]
        roots = sorted((span.start_time_unix_nano, of, span.name) for of, span in spans if not span.parent_span_id)
        _, service, operation = roots[0] if roots else (0, "", "")
        assert (summary.root_service_name, summary.root_operation_name) == (service, operation)
        assert summary.min_start_time_unix_nano == min(span.start_time_unix_nano for span in alone)
        assert summary.max_end_time_unix_nano == max(span.end_time_unix_nano for span in alone)
        assert summary.span_count == len(spans)
        failed = Counter(of for of, span in spans if span.status.code == Status.STATUS_CODE_ERROR)
        assert summary.error_span_count == failed.total()
        ids = {span.span_id for span in alone}
        assert summary.orphan_span_count == sum(bool(s.parent_span_id) and s.parent_span_id not in ids for s in alone)
        counts = Counter(of for of, _ in spans)
        assert [(of.name, of.span_count, of.error_span_count) for of in summary.services] == [
            (of, counts[of], failed[of]) for of in sorted(counts)
        ]


def test_capabilities(jaeger: JaegerStorage) -> None:
    """What newer releases of Jaeger ask before they search without a service."""
    (answer,) = jaeger.call("GetCapabilities", {})
    assert answer.search.without_service_name
    assert answer.search.same_span_conjunction


@pytest.mark.parametrize("spans", [reader.PAGE, reader.PAGE + 1, 2 * reader.PAGE + 500])
def test_a_trace_of_many_spans_is_whole(spans: int, collector: Handle, jaeger: JaegerStorage) -> None:
    """At the edges of a page, with spans that began at one time and have one id, beside a small trace."""
    big, small = os.urandom(16), os.urandom(16)
    sent = [
        span(
            {"n": n},
            trace_id=big,
            start_time_unix_nano=START + n // 3 * SECOND,
            span_id=(n // 2 + 1).to_bytes(8, "big"),
        )
        for n in range(spans)
    ]
    store(collector, *sent, span(trace_id=small))
    found = jaeger.spans(small, big)
    assert [span.trace_id for span in found] == [small] + [big] * spans
    numbers = [span.attributes[0].value.int_value for span in found[1:]]
    assert sorted(numbers) == list(range(spans))


def test_spans_that_are_too_large_to_be_read_at_once(start: Start, tmp_path: Path) -> None:
    """They are read in smaller pages."""
    collector = start(tmp_path / "data", query_memory_bytes=40 << 20)
    trace_id = os.urandom(16)
    for n in range(4):
        store(
            collector, *(span({"n": n * 10 + m, "x": os.urandom(400_000).hex()}, trace_id=trace_id) for m in range(10))
        )
    with JaegerStorage(collector.jaeger) as jaeger:
        found = jaeger.spans(trace_id)
        assert sorted(span.attributes[0].value.int_value for span in found) == list(range(40))


def test_a_span_that_is_larger_than_jaeger_reads(collector: Handle) -> None:
    """Its largest values are cut, and it says so; a client with gRPC's own limits gets it."""
    trace_id = os.urandom(16)
    large = span({"long": "x" * (5 << 20), "map": {"long": "y" * (1 << 20)}, "short": "z"}, trace_id=trace_id)
    large.events.add(name="e", attributes=attributes({"of.event": "v" * (1 << 20)}))
    store(collector, large, span({"other": "o"}, trace_id=trace_id))
    with grpc.insecure_channel(address(collector.jaeger)) as channel:
        request = message("GetTracesRequest")(query=[{"trace_id": trace_id}])
        found = spans(list(method_of(channel, "GetTraces")(request, timeout=PATIENCE_S)))
    (own,) = [span for span in found if span.events]
    values = {pair.key: pair.value for pair in own.attributes}
    assert values["short"].string_value == "z"
    assert values["long"].string_value == "x" * 1024 + " …"
    (warning,) = values["@jaeger@warnings"].array_value.values
    assert warning.string_value.startswith("long is cut here: it has 5242885 bytes")
    assert values["map"] == large.attributes[1].value
    assert len(found) == 2


def test_requests_that_cannot_be_meant(jaeger: JaegerStorage) -> None:
    """Each is told which field is wrong."""
    for method, fields, name in (
        ("GetTraces", {"query": [{"trace_id": b"abc"}]}, "query[0].trace_id"),
        ("GetTraces", {"query": [{"trace_id": b"a" * 16, "end_time": {"nanos": -1}}]}, "query[0].end_time.nanos"),
        ("FindTraces", {"query": {"search_depth": -1}}, "search_depth"),
        ("FindTraceIDs", {"query": {"search_depth": 2**31 - 1}}, "search_depth"),
        ("FindTraces", {"query": {"start_time_min": {"seconds": 2}, "start_time_max": {}}}, "start_time_max"),
        ("FindTraces", {"query": {"duration_min": {"seconds": -1}}}, "duration_min"),
        ("FindTraces", {"query": {"duration_min": {"seconds": 2}, "duration_max": {"seconds": 1}}}, "duration_max"),
        ("FindTraces", {"query": {"attributes": [_text("k", "v")] * 33}}, "attributes"),
        ("FindTraces", {"query": {"attributes": [_text("k" * 10_000, "v")]}}, "attributes[0].key"),
        ("FindTraceSummaries", {"query": {"service_name": "s" * 10_000}}, "service_name"),
        ("GetDependencies", {}, "start_time"),
        ("GetDependencies", {"start_time": {"seconds": 2}, "end_time": {"seconds": 1}}, "end_time"),
        ("FindTraces", b"\x0a\xff", "FindTracesRequest"),
        ("FindTraces", b"\x0a\x03\x0a\x01\xff", "FindTracesRequest"),
    ):  # fmt: skip
        code, said = jaeger.refused(method, fields)
        assert code == grpc.StatusCode.INVALID_ARGUMENT, (method, fields, code, said)
        assert name in said
    with pytest.raises(grpc.RpcError) as error:
        jaeger.channel.unary_unary("/jaeger.storage.v2.TraceReader/DropTraces")(b"")
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_times_at_the_edges(jaeger: JaegerStorage) -> None:
    """Of what a message can say, before and after all that the store can hold."""
    first, last = {"seconds": -(2**62)}, {"seconds": 2**62, "nanos": 999_999_999}
    query = {"start_time_min": first, "start_time_max": last, "duration_max": {"seconds": 2**62}, "search_depth": 1}
    assert len(jaeger.find(**query)) == 1
    assert jaeger.find(start_time_min={"seconds": 2**62}, start_time_max=last) == set()
    assert jaeger.call("GetDependencies", {"start_time": first, "end_time": last})
