"""Middleware for ASGI: FastAPI, Starlette, Django, Litestar, Quart and so on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from otel_llm.config import fault
from otel_llm.web.incoming import KEY, Incoming
from otel_llm.web.request import Request, outcome_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[Any]]

#: The messages that carry the headers of a response.
_HEADS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
#: Those that may be the last of a response: its bytes, or the file that the server is to send.
_BODIES = frozenset(
    {"http.response.body", "http.response.pathsend", "http.response.zerocopysend", "websocket.http.response.body"}
)


class ASGIMiddleware:
    """Makes requests of an ASGI application part of their callers' traces, and calls below part of their request.

    A server span lives until the last byte of the response was sent or the client went away, unless an instrumentation
    has begun one. ``X-Request-ID`` is taken where it is one (1 to 128 of ``A-Z a-z 0-9 . _ : -``), else made; it is in
    force as ``context(request_id=...)``. Responses get ``X-Request-ID`` and ``X-Trace-ID`` (32 hexadecimal digits),
    unless the application sets them. With ``accept_baggage`` what callers said with ``context(..., baggage=True)`` is
    in force too: for services that only callers of one's own can reach. Without, it goes no further.
    """

    def __init__(self, app: App, *, accept_baggage: bool = False) -> None:
        self.app = app
        self._accept_baggage = accept_baggage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> Any:
        """Serves a request or a websocket; all else goes by."""
        exchange = _Exchange.begun(scope, send, self._accept_baggage)
        if exchange is None:
            return await self.app(scope, receive, send)
        try:
            returned = await self.app(scope, receive, exchange.send)
        except BaseException as error:
            exchange.end(outcome_of(error), error)
            raise
        exchange.end("closed_early" if exchange.responding else "completed")
        return returned


class _Exchange:
    """A request and what is sent in answer to it."""

    def __init__(self, request: Request, scope: Scope, send: Send) -> None:
        self._request = request
        self._scope = scope
        self._send = send
        self._root = scope.get("root_path", "")
        self.responding = False
        """Whether a response has begun that is not complete."""

    @classmethod
    def begun(cls, scope: Scope, send: Send, accept_baggage: bool) -> _Exchange | None:
        """One that has begun; ``None`` for what is no request, or one of ours already."""
        try:
            if scope["type"] not in ("http", "websocket") or KEY in scope:
                return None
            request = Request(Incoming.of_scope(scope), accept_baggage)
            scope[KEY] = request.id
            request.enter()
            return cls(request, scope, send)
        except Exception:
            fault("a request that comes in")
            return None

    async def send(self, message: Message) -> None:
        """Sends a message of the application's on, with our headers where it has any."""
        await self._send(self._seen(message))
        if self.responding and message["type"] in _BODIES and not message.get("more_body", False):
            self.responding = False
            self._request.route = self._route()
            self._request.sent()

    def _seen(self, message: Message) -> Message:
        try:
            if message["type"] not in _HEADS:
                return message
            if "status" in message:
                self._request.responds(message["status"])
                self.responding = not message.get("trailers", False)
            headers = list(message.get("headers") or ())
            ours = self._request.headers(bytes(name).decode("latin-1") for name, _ in headers)
            return {
                **message,
                "headers": [*headers, *((name.lower().encode(), value.encode()) for name, value in ours)],
            }
        except Exception:
            fault("the headers of a response")
            return message

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """The application has returned or raised."""
        self._request.leave()
        self._request.route = self._route()
        self._request.end(outcome, error)

    def _route(self) -> str:
        """The pattern of the path, where the framework says which it was: FastAPI and Starlette do."""
        try:
            path = getattr(self._scope.get("route"), "path", None)
            mounted = self._scope.get("root_path", "").removeprefix(self._root)
            return f"{mounted}{path}" if isinstance(path, str) else ""
        except Exception:
            fault("the route of a request")
            return ""
