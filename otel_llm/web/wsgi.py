"""Middleware for WSGI: Flask, Django, Pyramid, Bottle and so on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import Context, copy_context
from typing import Any, cast

from otel_llm.config import fault
from otel_llm.reaper import closed, dropped, watch
from otel_llm.web.incoming import KEY, Incoming
from otel_llm.web.request import Request, outcome_of

Environ = dict[str, Any]
App = Callable[..., Iterable[bytes]]


class WSGIMiddleware:
    """Makes requests of a WSGI application part of their callers' traces, and calls below part of their request.

    As :class:`~otel_llm.web.ASGIMiddleware` does. The application and what it returned run in a context of their own,
    in whatever threads the server asks for the chunks.
    """

    def __init__(self, app: App, *, accept_baggage: bool = False) -> None:
        self.app = app
        self._accept_baggage = accept_baggage

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serves a request."""
        here = copy_context()
        request = self._begun(environ, here)
        if request is None:
            return self.app(environ, start_response)

        def start(status: str, headers: list[tuple[str, str]], *args: Any, **kwargs: Any) -> Any:
            request.route = _route(environ)  # Flask forgets it before the first chunk is asked for
            return start_response(status, _headed(request, status, headers), *args, **kwargs)

        try:
            body = here.run(self.app, environ, start)
        except BaseException as error:
            request.end(outcome_of(error), error)
            raise
        return _handed(body, here, request, environ)

    def _begun(self, environ: Environ, here: Context) -> Request | None:
        try:
            if KEY in environ:
                return None
            request = Request(Incoming.of_environ(environ), self._accept_baggage)
            environ[KEY] = request.id
            here.run(request.enter)
            return request
        except Exception:
            fault("a request that comes in")
            return None


def _headed(request: Request, status: str, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a response, with ours."""
    try:
        request.responds(int(status[:3]))
        return [*headers, *request.headers(name for name, _ in headers)]
    except Exception:
        fault("the headers of a response")
        return headers


def _handed(body: Iterable[bytes], here: Context, request: Request, environ: Environ) -> Iterable[bytes]:
    """What the application returned, as the server gets it; a file is the server's to send, by means of its own."""
    try:
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper):
            request.end("completed")
            return body
        reply = _Reply(request)
        watch(reply)
        return (_SizedBody if hasattr(body, "__len__") else _Body)(body, here, reply)
    except Exception:
        fault("what an application returned")
        return body


class _Reply:
    """The response of a request, as it ends."""

    __slots__ = ("call",)

    def __init__(self, request: Request) -> None:
        self.call = request

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the request."""
        closed(self)
        self.call.end(outcome, error)


class _Body:
    """What an application returned, gone through in the context of its request."""

    def __init__(self, body: Iterable[bytes], here: Context, reply: _Reply) -> None:
        self._body = body
        self._here = here
        self._reply = reply
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> Iterator[bytes]:
        self._chunks = None  # from the beginning, where what was returned can be
        return self

    def __next__(self) -> bytes:
        try:
            if self._chunks is None:
                self._chunks = self._here.run(iter, self._body)
            return self._here.run(next, self._chunks)
        except StopIteration:
            self._reply.end("completed")
            raise
        except BaseException as error:
            self._reply.end(outcome_of(error), error)
            raise

    def close(self) -> None:
        """Closes it; a server does so in the end, however that comes."""
        try:
            if hasattr(self._body, "close"):
                self._closed(cast(Any, self._body).close)
        finally:
            self._reply.end("closed_early")

    def _closed(self, close: Callable[[], object]) -> None:
        """Closes it in its context, or where another thread waits there for a chunk, in this one."""
        begun = []

        def run() -> None:
            begun.append(True)
            close()

        try:
            self._here.run(run)
        except RuntimeError:
            if begun:
                raise
            close()

    def __del__(self) -> None:
        dropped(self._reply)


class _SizedBody(_Body):
    """One that says how many chunks it has, by which servers tell its length."""

    def __len__(self) -> int:
        return len(cast(Any, self._body))


def _route(environ: Environ) -> str:
    """The pattern of the path, where the framework says which it was: Flask does."""
    try:
        rule = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
        return f"{environ.get('SCRIPT_NAME', '')}{rule}" if isinstance(rule, str) else ""
    except Exception:
        fault("the route of a request")
        return ""
