"""Applications behind real servers on loopback: uvicorn for ASGI, wsgiref for WSGI, each in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

import uvicorn


@contextlib.contextmanager
def uvicorn_serves(app: Any) -> Iterator[str]:
    """The URL of an ASGI application."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def wsgiref_serves(app: Any) -> Iterator[str]:
    """The URL of a WSGI application."""
    with make_server("127.0.0.1", 0, app, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers by lower-case name, and body of a plain GET, which carries nothing of anybody's trace."""
    with opened(url, headers) as answer:
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@contextlib.contextmanager
def opened(url: str, headers: dict[str, str] | None = None) -> Iterator[HTTPResponse]:
    """The answer to a GET, to be read or left; the connection is closed in the end."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    connection.request("GET", parts.path, headers=headers or {})
    with contextlib.closing(connection), connection.getresponse() as answer:
        yield answer
