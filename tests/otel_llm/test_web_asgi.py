"""ASGI, message by message: spans, ids, baggage, and an application that notices nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

import otel_llm
from otel_llm.context import current
from otel_llm.web import ASGIMiddleware
from tests.conftest import Spans
from tests.support.asgi import PARENT, TRACE, answer, answers, headers_of, play, scope


def test_a_request_is_a_server_span_in_its_callers_trace(instrumented: Spans) -> None:
    """The span by the stable conventions, the ids on the answer, and all else as the application has it."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> str:
        seen.update(current())
        return await answers(scope, receive, send)

    given = scope([(b"traceparent", PARENT.encode()), (b"X-Request-ID", b"order:7.a_b-C"), (b"user-agent", b"curl/8")])
    returned, sent = play(ASGIMiddleware(app), given)
    assert returned == "returned"
    assert seen == {"otel_llm.request.id": "order:7.a_b-C"}
    assert headers_of(sent) == {"x-own": "kept", "x-request-id": "order:7.a_b-C", "x-trace-id": TRACE}
    assert sent[1] == {"type": "http.response.body", "body": b"all"}
    span = instrumented.one()
    assert (span.name, span.kind, span.status.status_code) == ("GET", SpanKind.SERVER, StatusCode.UNSET)
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, "b7ad6b7169203331")
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET", "http.response.status_code": 200, "url.scheme": "http", "url.path": "/ask",
        "server.address": "127.0.0.1", "server.port": 8000, "network.protocol.version": "1.1",
        "user_agent.original": "curl/8", "otel_llm.request.id": "order:7.a_b-C",
    }  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [b"", b"a b", b"a\r\nset-cookie: x", "é".encode(), b"\xff", b"x" * 129, b"x" * 1_000_000, b"a,b", b"a/../b"],
    ids=["empty", "space", "line", "utf-8", "no-utf-8", "long", "1-MB", "list", "path"],
)
def test_an_id_that_is_none_is_not_taken(given: bytes, instrumented: Spans) -> None:
    """A new one is made, which is valid."""
    _, sent = play(ASGIMiddleware(answers), scope([(b"x-request-id", given)]))
    made = headers_of(sent)["x-request-id"]
    assert len(made) == 32
    assert set(made) <= set("0123456789abcdef")
    assert instrumented.attributes()["otel_llm.request.id"] == made


@pytest.mark.parametrize(
    "given",
    [
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" + b" " * 1_000_000,
        b"\xff\x00\r\n",
        b"",
    ],
    ids=["zeros", "version", "letters", "1-MB", "bytes", "empty"],
)
def test_a_forged_traceparent_begins_a_new_trace(given: bytes, instrumented: Spans) -> None:
    """As the W3C says."""
    _, sent = play(ASGIMiddleware(answers), scope([(b"traceparent", given)]))
    span = instrumented.one()
    assert span.parent is None
    assert headers_of(sent)["x-trace-id"] == f"{span.context.trace_id:032x}" != TRACE


def test_what_the_application_sets_is_not_set_again(instrumented: Spans) -> None:
    """Headers of the application's own win."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, headers=[(b"X-Request-ID", b"own"), (b"x-trace-id", b"own")])

    assert play(ASGIMiddleware(app), scope())[1][0]["headers"] == [(b"X-Request-ID", b"own"), (b"x-trace-id", b"own")]


def test_baggage_is_read_only_where_that_is_asked_for(instrumented: Spans) -> None:
    """Our keys and no others; values that cannot be are left out; ten thousand keys are no trouble."""
    seen: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append({name: value for name, value in current().items() if name != "otel_llm.request.id"})
        await answer(send)

    said = b"otel_llm.user_id=ada%20l,otel_llm.session_id=a%0Ab,otel_llm.tenant_id=" + b"x" * 257 + b",otel_llm.admin=1"
    many = b",".join(b"otel_llm.user_id%d=x" % number for number in range(10_000))
    for baggage, accepted in ((said, False), (said, True), (many, True), (b"\xff=\r\n", True)):
        play(ASGIMiddleware(app, accept_baggage=accepted), scope([(b"baggage", baggage)]))
    assert seen == [{}, {"user.id": "ada l"}, {}, {}]


def test_a_request_id_comes_by_baggage_too(instrumented: Spans) -> None:
    """Where none comes by its own header."""
    given = [(b"baggage", b"otel_llm.request_id=r-1")]
    assert headers_of(play(ASGIMiddleware(answers, accept_baggage=True), scope(given))[1])["x-request-id"] == "r-1"
    given.append((b"x-request-id", b"r-2"))
    assert headers_of(play(ASGIMiddleware(answers, accept_baggage=True), scope(given))[1])["x-request-id"] == "r-2"


def test_failures_before_and_after_the_answer_began(instrumented: Spans) -> None:
    """The exception is the application's own; what it says is not recorded."""

    async def before(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("secret")

    async def after(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ValueError("secret")

    async def said(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, 500)
        raise ValueError("secret")

    for app in (before, after, said):
        with pytest.raises(ValueError, match="secret"):
            play(ASGIMiddleware(app), scope())
    for span in instrumented.all():
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
        assert (span.attributes or {})["error.type"] == "ValueError"
        assert "secret" not in span.to_json()
    assert [(span.attributes or {}).get("http.response.status_code") for span in instrumented.all()] == [None, 200, 500]


def test_statuses(instrumented: Spans) -> None:
    """A failure is the server's from 500 on."""
    for status in (404, 503):

        async def app(scope: Any, receive: Any, send: Any, status: int = status) -> None:
            await answer(send, status)

        play(ASGIMiddleware(app), scope())
    assert [span.status.status_code for span in instrumented.all()] == [StatusCode.UNSET, StatusCode.ERROR]
    assert (instrumented.all()[1].attributes or {})["error.type"] == "503"


def test_the_span_ends_with_the_last_byte(instrumented: Spans) -> None:
    """Not with the first, and not with what the application does afterwards, which is below it all the same."""
    ended: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        ended.append(len(instrumented.all()))
        await send({"type": "http.response.body", "body": b"b"})
        ended.append(len(instrumented.all()))
        with otel_llm.observe("afterwards"):
            pass

    play(ASGIMiddleware(app), scope())
    server, afterwards = instrumented.all()
    assert ended == [0, 1]
    assert afterwards.parent is not None
    assert afterwards.parent.span_id == server.context.span_id
    assert "otel_llm.stream.outcome" not in (server.attributes or {})


def test_a_response_that_is_left_and_a_task_that_is_cancelled(instrumented: Spans) -> None:
    """How the span ended is said; a cancellation is the caller's to see."""

    async def leaves(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})

    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    async def cancel() -> None:
        task = asyncio.create_task(ASGIMiddleware(waits)(scope(), None, None))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    play(ASGIMiddleware(leaves), scope())
    asyncio.run(cancel())
    assert [(span.attributes or {})["otel_llm.stream.outcome"] for span in instrumented.all()] == [
        "closed_early", "cancelled",
    ]  # fmt: skip
    assert {span.status.status_code for span in instrumented.all()} == {StatusCode.UNSET}


def test_a_client_that_is_gone(instrumented: Spans) -> None:
    """Servers say so where something is sent: the error is the application's, the span ends."""

    async def gone(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    async def run() -> None:
        await ASGIMiddleware(answers)(scope(), None, gone)  # type: ignore[arg-type]

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert instrumented.attributes()["otel_llm.stream.outcome"] == "error"


def test_what_is_no_request_goes_by(instrumented: Spans) -> None:
    """The lifespan is untouched, to the very objects."""
    seen: list[Any] = []

    async def app(*given: Any) -> str:
        seen.extend(given)
        return "returned"

    async def receive() -> Any: ...

    async def send(message: Any) -> None: ...

    lifespan = {"type": "lifespan", "asgi": {"version": "3.0"}}
    assert asyncio.run(ASGIMiddleware(app)(lifespan, receive, send)) == "returned"
    assert [one is other for one, other in zip(seen, (lifespan, receive, send), strict=True)] == [True] * 3
    assert lifespan == {"type": "lifespan", "asgi": {"version": "3.0"}}
    assert instrumented.all() == []


def test_a_websocket_is_one_request(instrumented: Spans) -> None:
    """From its handshake, the answer to which has the ids, to its end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": current()["otel_llm.request.id"]})

    given = scope([(b"x-request-id", b"r-1")], type="websocket", scheme="ws")
    del given["method"]
    _, sent = play(ASGIMiddleware(app), given)
    assert headers_of(sent)["x-request-id"] == sent[1]["text"] == "r-1"
    assert instrumented.one().name == "GET"
    assert instrumented.attributes()["url.scheme"] == "ws"


def test_twice_around_is_once(instrumented: Spans) -> None:
    """A middleware around an application, and one of its own, or of one that is mounted in it."""
    _, sent = play(ASGIMiddleware(ASGIMiddleware(answers)), scope())
    assert [name for name, _ in sent[0]["headers"]] == [b"x-own", b"x-request-id", b"x-trace-id"]
    assert instrumented.one().name == "GET"
