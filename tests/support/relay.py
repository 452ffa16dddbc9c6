"""A port that stays while what is behind it is replaced."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_PIECE = 65536


class Relay:
    """Hands connections on to a URL; a context manager. ``url`` is where it listens, on loopback."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def turn(self, target: str) -> None:
        """Hand on to another URL from now on; who is connected has to connect again."""
        with self._lock:
            self._target = target
            self._cut()

    def _cut(self) -> None:
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # of the listener, once it is closed
            while True:
                connection, _ = self._listener.accept()
                with self._lock:
                    where = urlsplit(self._target)
                    behind = socket.create_connection((where.hostname, where.port))
                    self._open |= {connection, behind}
                for pair in ((connection, behind), (behind, connection)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        """One way of a connection, until either side ends it."""
        with contextlib.suppress(OSError):
            while piece := source.recv(_PIECE):
                sink.sendall(piece)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.discard(source)
        source.close()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._cut()
