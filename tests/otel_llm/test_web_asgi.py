"""ASGI, message by message: spans, ids, baggage, and an application that notices nothing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from opentelemetry.baggage import get_all
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract
from opentelemetry.sdk.trace import Span, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import SpanKind, StatusCode, get_current_span, set_span_in_context

import otel_llm
from otel_llm.context import current
from otel_llm.web import ASGIMiddleware
from otel_llm.web.request import Request
from tests.conftest import Spans

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"
Sent = list[dict[str, Any]]


def scope(headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> dict[str, Any]:
    """A request as servers describe it."""
    return {
        "type": "http", "method": "GET", "scheme": "http", "path": "/ask", "root_path": "", "http_version": "1.1",
        "server": ("127.0.0.1", 8000), "headers": list(headers), **more,
    }  # fmt: skip


async def answer(send: Callable[[dict[str, Any]], Awaitable[None]], status: int = 200, **head: Any) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"kept")], **head})
    await send({"type": "http.response.body", "body": b"all"})


async def answers(scope: Any, receive: Any, send: Any) -> str:
    """An application that answers, and returns something."""
    await answer(send)
    return "returned"


def play(app: Any, given: dict[str, Any]) -> tuple[Any, Sent]:
    """What an application returns, and what it sends."""
    sent: Sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def run() -> Any:
        returned = await app(given, receive, send)
        assert current() == {}
        assert not get_current_span().get_span_context().is_valid
        return returned

    return asyncio.run(run()), sent


def headers_of(sent: Sent) -> dict[str, str]:
    """The headers of an answer."""
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}


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
