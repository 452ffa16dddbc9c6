"""A collector that can be emptied: what Jaeger's storage integration suite asks of a backend between its tests.

``POST`` to its URL puts a fresh collector, with a store of its own, behind the ports that Jaeger knows; so nothing is
left of what came before, not even that it has been seen.
"""

from __future__ import annotations

import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from .collector import Handle, start_collector
from .relay import Relay


class Purger:
    """``url`` empties, ``reader`` and ``writer`` are Jaeger's protocol and OTLP over gRPC. A context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.purges = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._collector = self._fresh()
            stack.callback(lambda: self._collector.stop())
            self._reader = stack.enter_context(Relay(self._collector.jaeger))
            self._writer = stack.enter_context(Relay(self._collector.grpc))
            self.reader, self.writer = self._reader.url, self._writer.url
            server = HTTPServer(("127.0.0.1", 0), self._handler())
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.url = f"http://127.0.0.1:{server.server_port}/"
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _fresh(self) -> Handle:
        return start_collector(self._folder / str(self.purges))

    def _purge(self) -> None:
        self.purges += 1
        before, self._collector = self._collector, self._fresh()
        self._reader.turn(self._collector.jaeger)
        self._writer.turn(self._collector.grpc)
        before.stop()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        purge = self._purge

        class Handler(BaseHTTPRequestHandler):
            """Answers when the store is empty."""

            def do_POST(self) -> None:
                purge()
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        return Handler
