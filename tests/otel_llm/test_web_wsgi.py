"""WSGI, call by call: spans, ids, and an application and a server that notice nothing."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from opentelemetry import propagate
from opentelemetry.propagators.textmap import default_getter
from opentelemetry.sdk.trace import Span
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import otel_llm
from otel_llm.context import current
from otel_llm.web import WSGIMiddleware
from otel_llm.web.request import Request
from tests.conftest import Spans
from tests.support.served import get, opened, wsgiref_serves

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def environ(**more: Any) -> dict[str, Any]:
    """A request as servers describe it."""
    made: dict[str, Any] = {"PATH_INFO": "/ask", "SERVER_PORT": "8000", **more}
    setup_testing_defaults(made)
    return made


class Started:
    """A server's ``start_response``: what it was called with, and what it gives."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.written: list[bytes] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], *more: Any) -> Callable[[bytes], None]:
        self.calls.append((status, headers, *more))
        return self.written.append

    @property
    def headers(self) -> dict[str, str]:
        """Those of the last call."""
        return dict(self.calls[-1][1])


def answers(environ: Any, start_response: Any) -> list[bytes]:
    """An application that answers."""
    start_response("200 OK", [("X-Own", "kept")])
    return [b"all"]


def test_a_request_is_a_server_span_in_its_callers_trace(instrumented: Spans) -> None:
    """The span by the stable conventions, the ids on the answer, and all else as the application has it."""
    seen: dict[str, Any] = {}

    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen.update(current())
        return answers(environ, start_response)

    started = Started()
    given = environ(HTTP_TRACEPARENT=PARENT, HTTP_X_REQUEST_ID="r-1", PATH_INFO="/caf\xc3\xa9", SCRIPT_NAME="/at")
    body = WSGIMiddleware(app)(given, started)
    assert len(body) == 1  # type: ignore[arg-type]
    assert instrumented.all() == []
    assert list(body) == list(body) == [b"all"]
    assert seen == {"otel_llm.request.id": "r-1"}
    assert started.calls[0][0] == "200 OK"
    assert started.headers == {"X-Own": "kept", "X-Request-ID": "r-1", "X-Trace-ID": TRACE}
    span = instrumented.one()
    assert (span.name, span.kind, span.status.status_code) == ("GET", SpanKind.SERVER, StatusCode.UNSET)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET", "http.response.status_code": 200, "url.scheme": "http", "url.path": "/at/café",
        "server.address": "127.0.0.1", "server.port": 8000, "network.protocol.version": "1.0",
        "otel_llm.request.id": "r-1",
    }  # fmt: skip
    assert current() == {}
    assert not get_current_span().get_span_context().is_valid


@pytest.mark.parametrize("given", ["", "a b", "a\r\nb", "é", "x" * 129, "x" * 1_000_000], ids=range(6))
def test_an_id_that_is_none_is_not_taken(given: str, instrumented: Spans) -> None:
    """A new one is made, which is valid."""
    started = Started()
    list(WSGIMiddleware(answers)(environ(HTTP_X_REQUEST_ID=given), started))
    assert len(started.headers["X-Request-ID"]) == 32


def test_an_odd_method_is_other(instrumented: Spans) -> None:
    """Whatever letters it has; names of spans have few values."""
    list(WSGIMiddleware(answers)(environ(REQUEST_METHOD="\udcff" + "X" * 1000), Started()))
    span = instrumented.one()
    assert span.name == "HTTP"
    assert (span.attributes or {})["http.request.method"] == "_OTHER"
    assert (span.attributes or {})["http.request.method_original"] == "?" + "X" * 255


def test_chunks_are_made_in_the_requests_context_by_whatever_thread(instrumented: Spans) -> None:
    """What a generator enters stays entered between two chunks; the server's threads have nothing of it."""
    mine: ContextVar[int] = ContextVar("mine", default=0)

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        with otel_llm.context(user_id="ada"):
            for number in (1, 2):
                mine.set(mine.get() + number)
                with otel_llm.observe(f"chunk {number}"):
                    yield f"{current()['user.id']} {current()['otel_llm.request.id']} {mine.get()}".encode()

    body = WSGIMiddleware(app)(environ(HTTP_X_REQUEST_ID="r-1"), Started())
    chunks: list[bytes] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: chunks.append(next(iter(body))))
        thread.start()
        thread.join()
    assert chunks == [b"ada r-1 1", b"ada r-1 3"]
    assert (mine.get(), current()) == (0, {})
    assert list(body) == []
    *observed, server = instrumented.all()
    assert [span.parent.span_id for span in observed if span.parent] == [server.context.span_id] * 2


def test_an_application_that_writes_and_one_that_starts_twice(instrumented: Spans) -> None:
    """What the server gives and raises is the application's; the last status is the span's."""

    def writes(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])(b"written")
        return []

    def twice(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        try:
            raise ValueError("secret")
        except ValueError:
            start_response("500 Oh no", [("a", "b")], sys.exc_info())
        return [b"sorry"]

    started = Started()
    assert list(WSGIMiddleware(writes)(environ(), started)) == []
    assert started.written == [b"written"]
    assert list(WSGIMiddleware(twice)(environ(), started)) == [b"sorry"]
    assert started.calls[2][2][0] is ValueError
    assert list(started.headers) == ["a", "X-Request-ID", "X-Trace-ID"]
    assert [(span.attributes or {})["http.response.status_code"] for span in instrumented.all()] == [200, 500]


def test_a_server_that_refuses_a_second_start(instrumented: Spans) -> None:
    """Its error reaches the application as it is."""

    def twice(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        start_response("200 OK", [])
        return [b""]

    def start(status: str, headers: Any, exc_info: Any = None) -> None:
        if calls:
            raise AssertionError("Headers already set")
        calls.append(status)

    calls: list[str] = []
    with pytest.raises(AssertionError, match="Headers already set"):
        WSGIMiddleware(twice)(environ(), start)
    assert instrumented.attributes()["error.type"] == "AssertionError"


def test_failures_before_and_between_chunks(instrumented: Spans) -> None:
    """The exception is the application's own; what it says is not recorded."""

    def before(environ: Any, start_response: Any) -> list[bytes]:
        raise ValueError("secret")

    def between(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"a"
        raise ValueError("secret")

    for app in (before, between):
        with pytest.raises(ValueError, match="secret"):
            list(WSGIMiddleware(app)(environ(), Started()))
    for span in instrumented.all():
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
        assert "secret" not in span.to_json()


def test_a_body_that_is_closed_early_or_never(instrumented: Spans) -> None:
    """The span ends all the same, once, and says how; the application's own end runs where its chunks did."""
    ended: list[dict[str, Any]] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"a"
            yield b"b"
        finally:
            ended.append(current())

    body = WSGIMiddleware(app)(environ(HTTP_X_REQUEST_ID="r-1"), Started())
    assert next(iter(body)) == b"a"
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert ended == [{"otel_llm.request.id": "r-1"}]
    assert next(iter(WSGIMiddleware(app)(environ(), Started()))) == b"a"
    gc.collect()
    unstarted = WSGIMiddleware(app)(environ(), Started())
    del unstarted
    gc.collect()
    outcomes = [(span.attributes or {})["otel_llm.stream.outcome"] for span in instrumented.all()]
    assert outcomes == ["closed_early", "abandoned", "abandoned"]


def test_a_file_is_the_servers_to_send(instrumented: Spans, tmp_path: Any) -> None:
    """It gets the very object, by which it knows that it may."""
    (tmp_path / "file").write_bytes(b"content")
    with (tmp_path / "file").open("rb") as file:
        wrapper = FileWrapper(file)
        given = environ(**{"wsgi.file_wrapper": FileWrapper})
        assert WSGIMiddleware(lambda environ, start_response: wrapper)(given, Started()) is wrapper  # type: ignore[arg-type, return-value]
    assert "otel_llm.stream.outcome" not in instrumented.attributes()


def test_twice_around_is_once(instrumented: Spans) -> None:
    """An application that is mounted in another."""
    started = Started()
    list(WSGIMiddleware(WSGIMiddleware(answers))(environ(), started))
    assert list(started.headers) == ["X-Own", "X-Request-ID", "X-Trace-ID"]
    assert instrumented.one().name == "GET"


def test_a_fault_of_ours_is_said_once(
    instrumented: Spans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Wherever it is, the application answers as it does; the log has one line of it."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_llm.config._said", set())
    places: list[tuple[Any, str]] = [(Request, "__init__"), (Request, "enter"), (Request, "headers"), (Span, "end")]
    for owner, where in places:
        with monkeypatch.context() as patched, caplog.at_level(logging.WARNING):
            patched.setattr(owner, where, fail)
            started = Started()
            assert list(WSGIMiddleware(answers)(environ(), started)) == [b"all"]
        assert started.headers["X-Own"] == "kept"
    assert [record.args for record in caplog.records] == [
        ("a request that comes in",), ("the headers of a response",), ("the end of a span",),
    ]  # fmt: skip


def test_over_a_socket(instrumented: Spans) -> None:
    """By the standard library's server: its length, and a client that goes away in the middle."""
    gone = threading.Event()

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"all"] if environ["PATH_INFO"] == "/all" else _long(gone)

    with wsgiref_serves(WSGIMiddleware(app)) as url:
        status, headers, body = get(f"{url}/all", {"traceparent": PARENT})
        assert (status, body, headers["content-length"], headers["x-trace-id"]) == (200, b"all", "3", TRACE)
        with opened(f"{url}/long") as answer:
            answer.read(10)
        assert gone.wait(30)
    whole, left = instrumented.all()
    assert "otel_llm.stream.outcome" not in (whole.attributes or {})
    assert (left.attributes or {})["otel_llm.stream.outcome"] == "closed_early"


def _long(gone: threading.Event) -> Iterator[bytes]:
    with contextlib.ExitStack() as stack:
        stack.callback(gone.set)
        for _ in range(1000):
            yield b"x" * 65536


def test_a_body_is_closed_while_another_thread_waits_for_a_chunk(instrumented: Spans) -> None:
    """What is told to stop so stops; a thing that is no header is no trouble."""

    class Waiting:
        def __init__(self) -> None:
            self.asked, self.told = threading.Event(), threading.Event()

        def __iter__(self) -> Waiting:
            return self

        def __next__(self) -> bytes:
            self.asked.set()
            assert self.told.wait(30)
            raise StopIteration

        def close(self) -> None:
            self.told.set()

    waiting = Waiting()

    def app(environ: Any, start_response: Any) -> Waiting:
        start_response("200 OK", [])
        return waiting

    body: Any = WSGIMiddleware(app)({"REQUEST_METHOD": "GET", "HTTP_ODD": 7}, lambda *given: None)
    with ThreadPoolExecutor(1) as pool:
        chunks = pool.submit(list, body)
        assert waiting.asked.wait(30)
        body.close()
        assert chunks.result() == []
    assert instrumented.one().kind is SpanKind.SERVER


def test_headers_are_found_by_a_propagators_own_letters(instrumented: Spans) -> None:
    """X-Ray's, for one, has capitals."""

    class Capitals(TraceContextTextMapPropagator):
        def extract(self, carrier: Any, context: Any = None, getter: Any = default_getter) -> Any:
            given = getter.get(carrier, "X-Own-Trace")
            return super().extract({"traceparent": given[0]} if given else {}, context)

    before = propagate.get_global_textmap()
    propagate.set_global_textmap(Capitals())
    try:
        environ = {"REQUEST_METHOD": "GET", "HTTP_X_OWN_TRACE": PARENT}
        list(WSGIMiddleware(lambda environ, start: [b""])(environ, lambda *given: None))
    finally:
        propagate.set_global_textmap(before)
    assert f"{instrumented.one().context.trace_id:032x}" == TRACE
