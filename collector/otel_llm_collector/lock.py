"""One collector a data folder: a lock that ends with its process, holding the process's number."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from .errors import CollectorError


class Locked(CollectorError):
    """Another process holds the folder; the message names it."""


class FolderLock:
    """Holds ``<folder>/lock`` until ``release``; a lock whose process has died is free."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise :class:`Locked` with the pid that has it; ``OSError`` where it cannot be written."""
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise Locked(
                f"Process {holder} already uses {self.path.parent.resolve()}; stop it or use another --data."
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None
