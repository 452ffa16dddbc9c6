"""The digests of requests whose segment is gone from the log, so that a resend is recognised after a restart too.

Two files: when the newer one is full it takes the place of the older. An entry that is cut off by a crash is of a
segment that is still in the log.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from .record import DIGEST_SIZE
from .segment import PRIVATE, sync_folder, write_all

REMEMBERED = 65536
"""Requests whose resend is recognised: at 20 requests a second, those of the last hour."""


class Seen:
    """Digests on disk; ``load`` gives them oldest first."""

    def __init__(self, folder: Path) -> None:
        self._newer = folder / "seen"
        self._older = folder / "seen.old"
        self._lock = threading.Lock()
        self._named = False
        """Whether the name of the newer file is on disk."""

    def load(self) -> Iterator[bytes]:
        """Those of earlier runs, as far as they are whole."""
        for path in (self._older, self._newer):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            for at in range(0, len(data) - DIGEST_SIZE + 1, DIGEST_SIZE):
                yield data[at : at + DIGEST_SIZE]

    def add(self, digests: Iterable[bytes]) -> None:
        """Remember the digests of a segment; they are on disk when this returns. Raises ``OSError``."""
        with self._lock:
            file = os.open(self._newer, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
            try:
                if extra := os.fstat(file).st_size % DIGEST_SIZE:  # of a write that a crash or a fault cut off
                    os.ftruncate(file, os.fstat(file).st_size - extra)
                write_all(file, b"".join(digests))
                os.fdatasync(file)
                size = os.fstat(file).st_size
            finally:
                os.close(file)
            if not self._named:
                sync_folder(self._newer.parent)
                self._named = True
            if size >= REMEMBERED * DIGEST_SIZE:
                self._newer.replace(self._older)
                self._named = False
