"""Files that somebody may change while the collector runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from otel_llm_collector.errors import CollectorError

T = TypeVar("T")
_log = logging.getLogger(__name__)
_PAUSE_S = 1.0


class Watched(Generic[T]):
    """What files hold, read again when they have changed, at most once a second; usable from any thread.

    When they cannot be read any more the last good reading stays, and the log says why, once.
    """

    def __init__(self, paths: Sequence[Path], load: Callable[[], T]) -> None:
        """``load`` raises ``CollectorError`` where the files are wrong; the first time, it is raised here."""
        self._paths = paths
        self._load = load
        self._lock = threading.Lock()
        self._looked = time.monotonic()
        self._marks = self._look()
        self._value = load()

    def get(self) -> T:
        """The last good reading."""
        if time.monotonic() - self._looked >= _PAUSE_S:
            with self._lock:
                self._refresh()
        return self._value

    def _refresh(self) -> None:
        self._looked = time.monotonic()
        marks = self._look()
        if marks == self._marks:
            return
        self._marks = marks
        try:
            self._value = self._load()
        except CollectorError as error:
            _log.error("%s What was read before stays in force.", error)

    def _look(self) -> list[tuple[int, int, int] | None]:
        return [_mark(path) for path in self._paths]


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file; ``None`` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
