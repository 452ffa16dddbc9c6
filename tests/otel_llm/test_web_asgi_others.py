"""ASGI beside what others do: their spans, samplers, faults, odd messages, and what a server left of a request."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from typing import Any

import pytest
from opentelemetry.baggage import get_all
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, set_span_in_context

import otel_llm
from otel_llm.context import current
from otel_llm.web import ASGIMiddleware
from otel_llm.web.request import Request
from tests.conftest import Spans
from tests.support.asgi import PARENT, TRACE, Sent, answer, answers, headers_of, play, scope


def test_a_server_span_of_others_is_the_one(instrumented: Spans) -> None:
    """It gets the request's id, and is theirs to end; a client's in this process, and what a server runs in, is not."""
    tracer = instrumented.provider.get_tracer("other")

    async def below(kind: SpanKind) -> Sent:
        sent: Sent = []

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        with tracer.start_as_current_span("theirs", kind=kind):
            carried = [(name.encode(), value.encode()) for name, value in otel_llm.carrier().items()]
            given = scope(carried if kind is SpanKind.CLIENT else [])
            await ASGIMiddleware(answers)(given, None, send)  # type: ignore[arg-type]
            ended.append(len(instrumented.all()))
        return sent

    ended: list[int] = []
    sent = asyncio.run(below(SpanKind.SERVER))
    assert ended == [0]
    assert headers_of(sent)["x-trace-id"] == f"{instrumented.one().context.trace_id:032x}"
    assert instrumented.attributes() == {"otel_llm.request.id": headers_of(sent)["x-request-id"]}
    asyncio.run(below(SpanKind.CLIENT))
    asyncio.run(below(SpanKind.INTERNAL))
    _, ours, client, alone, _ = instrumented.all()
    assert ours.parent is not None
    assert ours.parent.span_id == client.context.span_id
    assert ours.kind is alone.kind is SpanKind.SERVER
    assert alone.parent is None


def test_a_sampled_out_parent(spans: Spans) -> None:
    """Nothing is recorded of a request whose caller's trace is not; its ids are the same, and go on."""
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(1)))
    otel_llm.instrument(tracer_provider=provider)
    carried: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        carried.update(otel_llm.carrier())
        await answer(send)

    given = scope([(b"traceparent", PARENT.replace("-01", "-00").encode())])
    _, sent = play(ASGIMiddleware(app), given)
    assert headers_of(sent)["x-trace-id"] == TRACE
    assert carried["traceparent"].startswith(f"00-{TRACE}-")
    assert carried["traceparent"].endswith("-00")


def test_without_instrumentation_there_are_ids_all_the_same() -> None:
    """The request's; there is no trace."""
    assert set(headers_of(play(ASGIMiddleware(answers), scope())[1])) == {"x-own", "x-request-id"}


def test_a_fault_of_ours_is_said_once(
    instrumented: Spans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever it is, the application answers as it does; the log has one line of it."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_llm.config._said", set())
    places = [(Request, "__init__"), (Request, "enter"), (Request, "headers"), (Request, "responds"), (Span, "end")]
    for owner, where in places:
        with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
            patched.setattr(owner, where, fail)
            returned, sent = play(ASGIMiddleware(answers), scope())
        assert returned == "returned"
        assert (sent[0]["status"], sent[0]["headers"][0], sent[1]["body"]) == (200, (b"x-own", b"kept"), b"all")
    assert [record.args for record in caplog.records] == [
        ("a request that comes in",), ("the headers of a response",), ("the end of a span",),
    ]  # fmt: skip


def test_odd_messages_are_the_applications(instrumented: Spans) -> None:
    """Headers that are a generator, a head without headers, and trailers, which come after the last byte."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": iter([(b"a", b"1")]), "trailers": True})
        await send({"type": "http.response.body", "body": b""})
        ended.append(len(instrumented.all()))
        await send({"type": "http.response.trailers", "headers": []})

    async def bare(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204})

    ended: list[int] = []
    assert list(headers_of(play(ASGIMiddleware(app), scope())[1])) == ["a", "x-request-id", "x-trace-id"]
    assert ended == [0]
    assert instrumented.one().attributes is not None
    assert list(headers_of(play(ASGIMiddleware(bare), scope())[1])) == ["x-request-id", "x-trace-id"]


def test_headers_that_can_be_read_once_are_the_applications(instrumented: Spans) -> None:
    """They reach it whole."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert list(scope["headers"]) == [(b"a", b"1")]
        await answer(send)

    given = scope()
    given["headers"] = iter([(b"a", b"1")])
    play(ASGIMiddleware(app), given)
    assert instrumented.one().name == "GET"


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("sampled", [b"01", b"00"])
def test_a_request_that_runs_in_what_another_left_is_its_own(status: int, sampled: bytes, instrumented: Spans) -> None:
    """As uvicorn runs the next one of a connection after a large body: no user, span or trace of the one before."""
    seen: list[dict[str, Any]] = []
    traces: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(dict(current()))
        if scope["path"] == "/first":
            with otel_llm.context(user_id="ada", baggage=True):
                scope["left"] = contextvars.copy_context()
                await answer(send, status)
        else:
            traces.append(otel_llm.carrier()["traceparent"].split("-")[1])
            assert "baggage" not in otel_llm.carrier()
            await answer(send, status)

    async def run() -> None:
        async def send(message: Any) -> None:
            pass

        given = scope([(b"traceparent", PARENT[:-2].encode() + sampled)], path="/first")
        with otel_llm.context(tenant_id="acme"):
            await ASGIMiddleware(app)(given, None, send)  # type: ignore[arg-type]
        for path in ("/second", "/third"):
            next_one = ASGIMiddleware(app)(scope(path=path), None, send)  # type: ignore[arg-type]
            await asyncio.create_task(next_one, context=given["left"])  # type: ignore[arg-type]

    asyncio.run(run())
    assert [said.get("user.id") for said in seen] == [None] * 3
    assert [said.get("otel_llm.tenant.id") for said in seen] == [seen[0]["otel_llm.tenant.id"]] * 3
    assert len({said["otel_llm.request.id"] for said in seen}) == 3
    assert TRACE not in traces
    assert len(set(traces)) == 2
    paths = [(span.attributes or {})["url.path"] for span in instrumented.all()]
    assert paths == ["/first", "/second", "/third"][sampled == b"00" :]


def test_baggage_that_is_not_believed_is_not_handed_on(instrumented: Spans) -> None:
    """Else a service behind a public one would believe it; what is not ours passes, also below a span of others."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(otel_llm.carrier()["baggage"])
        await answer(send)

    given = [(b"baggage", b"otel_llm.user_id=victim,otel_llm.task_id=7,theirs=1")]
    play(ASGIMiddleware(app), scope(given))

    async def instrumentation(scope: Any, receive: Any, send: Any) -> None:
        below = extract({"baggage": given[0][1].decode()})
        span = instrumented.provider.get_tracer("theirs").start_span("GET", below, SpanKind.SERVER)
        token = attach(set_span_in_context(span, below))
        await ASGIMiddleware(app)(scope, receive, send)
        assert set(get_all()) == {"otel_llm.user_id", "otel_llm.task_id", "theirs"}
        detach(token)
        span.end()

    play(instrumentation, scope(given))
    assert seen == ["theirs=1"] * 2


def test_a_file_that_the_server_sends_ends_the_response(instrumented: Spans) -> None:
    """By ASGI's extension."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/x"})

    play(ASGIMiddleware(app), scope())
    assert "otel_llm.stream.outcome" not in instrumented.attributes()


def test_requests_that_run_in_what_others_left_are_not_kept(instrumented: Spans) -> None:
    """However many follow one another on a connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["left"].append(contextvars.copy_context())
        await answer(send)

    async def run() -> None:
        async def send(message: Any) -> None:
            pass

        left = [contextvars.copy_context()]
        for _ in range(20):
            served = ASGIMiddleware(app)(scope(left=left), None, send)  # type: ignore[arg-type]
            await asyncio.create_task(served, context=left[-1])
            del left[:-1]
        gc.collect()
        assert sum(type(thing) is Request for thing in gc.get_objects()) < 5

    asyncio.run(run())
