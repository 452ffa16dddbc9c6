"""One HTTP connection: what aiohttp does, and a deadline and a size for the head of each request."""

from __future__ import annotations

import asyncio
import logging
import socket
from http import HTTPStatus

from aiohttp import StreamReader, web
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from otel_llm_collector.errors import Malformed
from otel_llm_collector.settings import Settings

from .peers import Connections

_TOO_MANY = "Too many"
"""How the message of aiohttp's parser begins when there are more fields than it takes."""
_UNREAD = getattr(socket, "TCP_USER_TIMEOUT", None)
"""By this option the system ends a connection of which nothing is read, though there is something; macOS has none."""


def _is_news(record: logging.LogRecord) -> bool:
    """Who hangs up knows it: that is not worth a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], ConnectionError))


_log = logging.getLogger(__name__)
_log.addFilter(_is_news)


class Connection(web.RequestHandler):
    """Answers requests; ``ended`` is done when the connection is.

    A head that is not whole in ``head_seconds``, from the connection's begin or from its own first byte, ends it, and
    so does one of more than ``head_bytes``, and a client that reads nothing of an answer for as long. Between requests
    it may be idle for ``idle_seconds``.
    """

    __slots__ = ("_connections", "_head", "_head_bytes", "_head_seconds", "_late", "ended")

    def __init__(self, server: web.Server, connections: Connections, settings: Settings, decompress: bool) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=settings.idle_seconds,
            lingering_time=settings.head_seconds,
            max_line_size=settings.head_bytes,
            max_field_size=settings.head_bytes,
            max_headers=settings.head_fields,
            auto_decompress=decompress,
            access_log=None,  # type: ignore[arg-type] # None is aiohttp's own word for no log
            logger=_log,
        )
        self._connections = connections
        self._head_seconds = settings.head_seconds
        self._head_bytes = settings.head_bytes
        self._head = 0
        self._late: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if _UNREAD is not None:
            own: socket.socket = transport.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_TCP, _UNREAD, int(self._head_seconds * 1000))
        self._late = self._loop.call_later(self._head_seconds, self._too_late)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._in_time()
        self._connections.late += isinstance(exc, TimeoutError)
        if not self.ended.done():
            self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._end_a_broken_body()
        if not self._waits_for_a_head():
            self._in_time()
            return
        self._head += len(data)
        if self._late is None:
            self._late = self._loop.call_later(self._head_seconds, self._too_late)
        if self._head > self._head_bytes and self.transport is not None:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.transport.write(f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: 0\r\n\r\n".encode())
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Says what is wrong with a head without what was in it: that may have been a key."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        answer = web.Response(status=HTTPStatus.BAD_REQUEST, text="This is not HTTP as it is spoken here.\n")
        if isinstance(exc, LineTooLong) or (message or "").startswith(_TOO_MANY):
            answer = web.Response(
                status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
                text="The head of the request is too large: a line of it, or the number of its fields.\n",
            )
        answer.force_close()
        return answer

    def _end_a_broken_body(self) -> None:
        """Tell who reads a body that it ends in what is no HTTP: aiohttp says so to the next request only."""
        if not self._messages or isinstance(self._messages[-1][0], RawRequestMessage):
            return
        if len(self._messages) > 1:
            body: StreamReader | None = self._messages[-2][1]
        else:
            body = self._current_request.content if self._current_request else None
        if body is not None and not body.is_eof():
            body.set_exception(Malformed("The body is broken: its chunks are not as HTTP has them."))
            body.feed_eof()

    def _waits_for_a_head(self) -> bool:
        return self._request_count == 0 or (self._waiter is not None and not self._waiter.done())

    def _in_time(self) -> None:
        self._head = 0
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _too_late(self) -> None:
        self._late = None
        self._connections.late += 1
        self.force_close()
