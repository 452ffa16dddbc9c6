"""Jaeger's remote storage under load, and asked what nobody should: exact answers, or a sentence that says why not."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from typing import Any

import grpc.aio
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_llm_collector.jaeger.messages import message
from tests.support.collector import Handle, get, send
from tests.support.jaeger_client import TIMEOUT_S, address, ask, method, search, spans
from tests.support.otlp import START, body, span

PROTOBUF = {"Content-Type": "application/x-protobuf"}
MANY = 10_000
CHUNK_BYTES = 4 << 20
"""Largest message that gRPC's clients take, unless they are told otherwise; Jaeger tells nothing."""
SEARCHES, CHANNELS, TRACES = 1000, 50, 100
PAUSE_S = 0.2
_OWN = (("grpc.use_local_subchannel_pool", 1),)
"""A connection for each channel: on a single one there are no more calls at once than the collector allows."""
MEMORY_BYTES = 1 << 30
"""Most that a thousand searches may add to the process, which a statement alone may have twice."""
NEVER = -62_135_596_800
"""Seconds of the time that Go has where there is none: the year 1."""


def _store(collector: Handle, *sent: Any, service: str) -> None:
    for n in range(0, len(sent), 2000):
        answer = send("POST", f"{collector.http}/v1/traces", body(*sent[n : n + 2000], service=service), PROTOBUF)
        assert answer[0] == 200
    collector.flush()


@pytest.fixture(scope="module")
def trace(collector: Handle) -> bytes:
    """A trace of ten thousand spans, of some 700 bytes each."""
    trace = b"\x01" * 16
    own = (
        span({"n": n, "text": f"{n} " * 100}, trace_id=trace, span_id=(n + 1).to_bytes(8, "big"), name=f"step {n % 7}")
        for n in range(MANY)
    )
    _store(collector, *own, service="large")
    return trace


def _traces(*ids: bytes) -> Any:
    request = message("GetTracesRequest")()
    for trace_id in ids:
        request.query.add(trace_id=trace_id)
    return request


def test_a_trace_of_ten_thousand_spans_comes_back_whole(collector: Handle, trace: bytes) -> None:
    """In pieces, none of them empty or larger than a client takes."""
    for name, request in (("GetTraces", _traces(trace)), ("FindTraces", search(service_name="large"))):
        code, said, chunks = ask(collector.jaeger, name, request)
        assert code == "OK", said
        assert len(chunks) > 1
        assert all(spans([chunk]) for chunk in chunks)
        assert max(chunk.ByteSize() for chunk in chunks) < CHUNK_BYTES
        found = spans(chunks)
        assert {one.trace_id for one in found} == {trace}
        assert sorted(int.from_bytes(one.span_id, "big") for one in found) == list(range(1, MANY + 1))
        assert all(one.attributes[0].value.int_value == int.from_bytes(one.span_id, "big") - 1 for one in found)


def test_a_piece_is_of_one_trace(collector: Handle, trace: bytes) -> None:
    """Of several traces one comes after the other; who asks for none that is there gets nothing."""
    others = [bytes([n]) * 16 for n in range(2, 30)]
    _store(collector, *(span(trace_id=other) for other in others for _ in range(3)), service="small")
    code, _, chunks = ask(collector.jaeger, "GetTraces", _traces(*others, b"\xee" * 16, trace))
    assert code == "OK"
    each = [{one.trace_id for one in spans([chunk])} for chunk in chunks]
    assert {len(ids) for ids in each} == {1}
    order = [next(iter(ids)) for ids in each]
    assert list(dict.fromkeys(order)) == [*others, trace]
    assert ask(collector.jaeger, "GetTraces", _traces(b"\xee" * 16)) == ("OK", "", [])
    assert ask(collector.jaeger, "FindTraces", search(service_name="nobody")) == ("OK", "", [])


def test_a_thousand_searches_at_once(collector: Handle, trace: bytes) -> None:
    """All are answered, or told that they are too many; meanwhile spans come in and are stored."""
    _store(collector, *(span({"n": n}) for n in range(TRACES)), service="many")
    before = collector.status()["process"]["rss_bytes"]
    most = before

    async def one(channel: Any, n: int) -> tuple[str, int]:
        request = search(service_name="many", attributes=[("n", str(n % TRACES))])
        try:
            found = [part async for part in method(channel, "FindTraceIDs")(request, timeout=TIMEOUT_S)]
        except grpc.aio.AioRpcError as error:
            return error.code().name, 0
        return "OK", len(found[0].trace_ids)

    async def meanwhile(searching: asyncio.Future[Any]) -> int:
        nonlocal most
        stored = 0
        while not searching.done():
            answer = await asyncio.to_thread(
                send, "POST", f"{collector.http}/v1/traces", body(span(), service="meanwhile"), PROTOBUF
            )
            assert answer[0] == 200
            assert (await asyncio.to_thread(get, f"{collector.api}/readyz"))[0] == 200
            most = max(most, collector.status()["process"]["rss_bytes"])
            stored += 1
            await asyncio.sleep(PAUSE_S)
        return stored

    async def all_of_them() -> tuple[list[tuple[str, int]], int]:
        channels = [grpc.aio.insecure_channel(address(collector.jaeger), _OWN) for _ in range(CHANNELS)]
        searching = asyncio.gather(*(one(channels[n % CHANNELS], n) for n in range(SEARCHES)))
        stored = await meanwhile(searching)
        answers = await searching
        for channel in channels:
            await channel.close()
        return answers, stored

    answers, stored = asyncio.run(all_of_them())
    outcomes = Counter(answers)
    assert set(outcomes) <= {("OK", 1), ("RESOURCE_EXHAUSTED", 0)}
    assert outcomes["OK", 1]  # how many is a matter of speed: none waits longer than a statement may take
    assert most - before < MEMORY_BYTES
    collector.flush()
    (row,) = collector.query("SELECT count() AS spans FROM otel_traces WHERE ServiceName = 'meanwhile'")
    assert row["spans"] == stored > 0
    code, _, chunks = ask(collector.jaeger, "GetTraces", _traces(trace))
    assert (code, len(spans(chunks))) == ("OK", MANY)


def test_who_takes_nothing_holds_nobody_up(collector: Handle, trace: bytes) -> None:
    """Clients that read the first piece of a large trace and no more."""

    async def stall() -> list[Any]:
        async with grpc.aio.insecure_channel(address(collector.jaeger)) as channel:
            calls = [method(channel, "GetTraces")(_traces(trace)) for _ in range(20)]
            first = [await call.read() for call in calls[:4]]
            services = await method(channel, "GetServices")(message("GetServicesRequest")(), timeout=30).read()
            for call in calls:
                call.cancel()
            return [*first, services]

    *first, services = asyncio.run(stall())
    assert all(isinstance(one, TracesData) and spans([one]) for one in first)
    assert "large" in services.services
    assert ask(collector.jaeger, "GetTraces", _traces(trace))[0] == "OK"


def _with(name: str, seconds: int, nanos: int) -> Any:
    request = search(service_name="large")
    part = getattr(request.query, name)
    part.seconds, part.nanos = seconds, nanos
    return request


@pytest.mark.parametrize(
    ("name", "request_", "field"),
    [
        ("GetTraces", _traces(b"abc"), "trace_id"),
        ("GetTraces", _traces(b""), "trace_id"),
        ("GetTraces", _traces(b"\x01" * 17), "trace_id"),
        ("GetOperations", message("GetOperationsRequest")(), "service"),
        ("FindTraces", search(depth=-1), "search_depth"),
        ("FindTraces", search(depth=2**31 - 1), "search_depth"),
        ("FindTraces", search(duration_min=-1), "duration_min"),
        ("FindTraces", search(duration_max=-5 * 10**9), "duration_max"),
        ("FindTraces", search(duration_min=2, duration_max=1), "duration_max"),
        ("FindTraces", search(start_time_min=START + 1, start_time_max=START), "start_time_max"),
        ("FindTraces", _with("start_time_min", 0, -1), "start_time_min"),
        ("FindTraces", _with("start_time_max", 0, 10**9), "start_time_max"),
        ("FindTraces", _with("duration_min", 0, 2**31 - 1), "duration_min"),
        ("FindTraces", search(attributes=[("k" * (1 << 20), "v")]), "attributes[0].key"),
        ("FindTraces", search(attributes=[("k", "v" * 100_000)]), "attributes[0].value"),
        ("FindTraces", search(attributes=[(str(n), "v") for n in range(10_000)]), "attributes"),
        ("FindTraces", search(service_name="s" * 100_000), "service_name"),
        ("FindTraceIDs", search(operation_name="o" * 100_000), "operation_name"),
        ("FindTraceSummaries", search(depth=-(2**31)), "search_depth"),
        ("FindTraces", b"\x0a\x05\x0a\x03\xff\xfe\xfd", "FindTracesRequest"),
        ("FindTraces", b"\xff\xff\xff", "FindTracesRequest"),
        ("GetDependencies", message("GetDependenciesRequest")(), "start_time"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_meant_is_refused(collector: Handle, name: str, request_: Any, field: str) -> None:
    """With a sentence that names the field, and nothing of SQL."""
    code, said, messages = ask(collector.jaeger, name, request_)
    if code == "RESOURCE_EXHAUSTED":  # by gRPC itself, which takes no message of that size
        assert len(request_.SerializeToString()) > 1 << 20
        return
    assert (code, messages) == ("INVALID_ARGUMENT", [])
    assert field in said
    assert said.endswith(".")
    assert "DB::" not in said


@pytest.mark.parametrize(
    "request_",
    [
        search(depth=0, service_name="odd"),
        search(service_name="odd", start_time_min=-(10**18)),
        search(service_name="odd", start_time_max=2**63 * 10),
        search(service_name="odd", duration_max=315_576_000_000 * 10**9),
        _with("start_time_max", NEVER, 0),
        _with("start_time_min", NEVER, 0),
    ],
    ids=["no depth", "before 1970", "after 2262", "ten thousand years", "no end as Go has it", "no start as Go has it"],
)
def test_what_is_out_of_range_but_clear_is_answered(collector: Handle, trace: bytes, request_: Any) -> None:
    _store(collector, span({"a": "b"}, trace_id=b"\xab" * 16), service="odd")
    code, said, chunks = ask(collector.jaeger, "FindTraceIDs", request_)
    assert code == "OK", said
    wanted = b"\xab" * 16 if request_.query.service_name == "odd" else trace
    assert [one.trace_id for one in chunks[0].trace_ids] == [wanted]


@pytest.mark.parametrize(
    "text", ["it's", 'a "b"', "a\\b", "a\\'b", "a\x00b", "%", "_", "{key:String}", "\U0001f525", "/*"]
)
def test_every_text_is_found_exactly(collector: Handle, text: str) -> None:
    """As the name of a service, of an operation, and as an attribute's key and value."""
    trace = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    _store(collector, span({text: text}, trace_id=trace, name=text), service=text)
    found = [
        search(service_name=text), search(operation_name=text), search(attributes=[(text, text)]),
        search(service_name=text, operation_name=text, attributes=[(text, text)]),
    ]  # fmt: skip
    for request in found:
        code, said, chunks = ask(collector.jaeger, "FindTraceIDs", request)
        assert code == "OK", said
        assert [one.trace_id for one in chunks[0].trace_ids] == [trace]
    for request in (search(service_name=text + "x"), search(service_name=text, attributes=[(text, text + "x")])):
        assert not ask(collector.jaeger, "FindTraceIDs", request)[2][0].trace_ids
    operations = message("GetOperationsRequest")(service=text)
    assert [one.name for one in ask(collector.jaeger, "GetOperations", operations)[2][0].operations] == [text]


def test_errors_as_jaeger_asks_for_them(collector: Handle) -> None:
    """Search words that are no attributes, as Jaeger's newest memory storage takes them."""
    at = {"start_time_unix_nano": time.time_ns() - 10**9, "end_time_unix_nano": time.time_ns()}
    ids = {code: bytes([200 + code]) * 16 for code in (0, 1, 2)}
    for code, trace_id in ids.items():
        _store(collector, span(trace_id=trace_id, status={"code": code}, kind=2 + code, **at), service="status")
    for key, value, codes in (
        ("error", "true", [2]), ("error", "false", [0, 1]), ("error", "maybe", []),
        ("span.status", "ok", [1]), ("span.status", "ERROR", [2]), ("span.status", "unset", [0]),
        ("span.kind", "server", [0]), ("span.kind", "producer", [2]), ("scope.name", "scope", [0, 1, 2]),
        ("scope.version", "2", []), ("resource.service.name", "status", [0, 1, 2]),
    ):  # fmt: skip
        request = search(service_name="status", attributes=[(key, value)])
        code, said, chunks = ask(collector.jaeger, "FindTraceIDs", request)
        assert code == "OK", said
        found = {one.trace_id for one in chunks[0].trace_ids}
        assert found == {ids[code] for code in codes}, (key, value)
