"""The write-ahead log: a record is on disk before its sender is told so.

One thread writes. Records that arrive while it waits for the disk go out together with the next ``fdatasync``. A
segment is closed when it is large or old enough, and handed on to be inserted.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from .errors import LogFull
from .record import Record
from .segment import Segment, identity, new_path, sync_folder
from .settings import MIB, Settings

_log = logging.getLogger(__name__)

_WAITING_BYTES = 64 * MIB
"""Most that may wait in memory for the disk, beyond one request."""


class Log:
    """Appends records; ``sealed`` is called with every segment that is complete, in the thread that writes."""

    def __init__(self, settings: Settings, number: int, waiting: int, sealed: Callable[[Segment], None]) -> None:
        """``number`` is that of the last segment there is, ``waiting`` the bytes that earlier segments hold."""
        self._settings = settings
        self._folder = settings.log
        self._number = number
        self._sealed = sealed
        self._changed = threading.Condition()
        self._queue: deque[tuple[Record, Future[None]]] = deque()
        self._queued_bytes = 0
        self._disk_bytes = waiting
        self._closing = False
        # How many records came, were written, should be handed on soon, and were handed on.
        self._appended = self._written = self._wanted = self._handed_on = 0
        self._open: _Open | None = None
        self._thread = threading.Thread(target=self._run, name="otel-llm-log", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were accepted and are not in the store yet."""
        return self._queued_bytes + self._disk_bytes

    @property
    def problem(self) -> str:
        """Why records are refused; empty when they are not."""
        if self._closing:
            return "The collector is shutting down."
        if self.waiting_bytes >= self._settings.log_bytes:
            return f"The log is full: it holds {self.waiting_bytes >> 20} MiB that the store has not taken yet."
        return ""

    def append(self, record: Record) -> Future[None]:
        """Write a record; the future is done when it is on disk. Raises :class:`LogFull` when there is no room."""
        size = record.size
        with self._changed:
            if self._closing:
                raise LogFull("The collector is shutting down.")
            if self.waiting_bytes + size > self._settings.log_bytes:
                raise LogFull(f"The log holds {self.waiting_bytes >> 20} MiB that the store has not taken yet.")
            if self._queue and self._queued_bytes + size > _WAITING_BYTES:
                raise LogFull("The disk does not keep up.")
            done: Future[None] = Future()
            done.set_running_or_notify_cancel()  # a sender that goes away does not undo its record
            self._queue.append((record, done))
            self._appended += 1
            self._queued_bytes += size
            self._changed.notify_all()
        return done

    def freed(self, size: int) -> None:
        """A segment of that size is gone from the disk."""
        with self._changed:
            self._disk_bytes -= size

    def seal(self) -> None:
        """Hand on what has been written so far; returns when ``sealed`` has been called with it."""
        with self._changed:
            wanted = self._wanted = self._appended
            self._changed.notify_all()
            while self._handed_on < wanted and self._thread.is_alive():
                self._changed.wait(1)

    def close(self) -> None:
        """Refuse new records, write those that wait and hand on the last segment."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            with self._changed:
                self._closing = True
                while self._queue:
                    self._queue.popleft()[1].set_exception(LogFull("The log has stopped."))
                self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._queue or self._closing or self._ripe()):
                    self._changed.wait(self._patience())
                batch = self._take()
            if batch:
                self._write(batch)
            if self._ripe():
                self._seal()
            with self._changed:
                if self._closing and not self._queue:
                    self._seal()
                    return

    def _ripe(self) -> bool:
        """Whether the open segment should be handed on."""
        if self._open is None:
            return False
        return self._open.due(self._settings) or self._written >= self._wanted > self._handed_on

    def _patience(self) -> float | None:
        """Seconds until the open segment is old; for ever when there is none."""
        if self._open is None:
            return None
        return max(0.0, self._open.began + self._settings.segment_age_s - time.monotonic())

    def _take(self) -> list[tuple[Record, Future[None]]]:
        """The records that wait, up to the room that the open segment has, and always one."""
        room = self._settings.segment_bytes - (self._open.size if self._open else 0)
        batch: list[tuple[Record, Future[None]]] = []
        while self._queue and (not batch or self._queue[0][0].size <= room):
            record, done = self._queue.popleft()
            room -= record.size
            batch.append((record, done))
        return batch

    def _write(self, batch: list[tuple[Record, Future[None]]]) -> None:
        size = sum(record.size for record, _ in batch)
        failure: LogFull | None = None
        try:
            if self._open is None:
                self._number = max(self._number + 1, time.time_ns())
                self._open = _Open(new_path(self._folder, self._number))
            self._open.write([record for record, _ in batch])
        except OSError as error:
            _log.error("The log in %s cannot be written: %s", self._folder, error)
            failure = LogFull(f"The log cannot be written: {error.strerror}.")
        with self._changed:
            self._written += len(batch)
            self._queued_bytes -= size
            if failure is None:
                self._disk_bytes += size
            if self._open is None:
                self._handed_on = self._written
        for _, done in batch:
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)

    def _seal(self) -> None:
        """Close the open segment and hand it on."""
        segment, self._open = self._open, None
        if segment is not None and (whole := segment.close()) is not None:
            self._sealed(whole)
        with self._changed:
            self._handed_on = self._written
            self._changed.notify_all()


class _Open:
    """The segment that is being written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()
        self.size = 0
        self.spans = 0
        self._identity = identity(path)
        self._failed = False
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        sync_folder(path.parent)

    def due(self, settings: Settings) -> bool:
        age = time.monotonic() - self.began
        return self._failed or self.size >= settings.segment_bytes or age >= settings.segment_age_s

    def write(self, records: list[Record]) -> None:
        """Append records and wait for the disk; all of them or, with an ``OSError``, none."""
        data = memoryview(b"".join(record.encode(self._identity) for record in records))
        try:
            written = 0
            while written < len(data):
                written += os.write(self._file, data[written:])
            os.fdatasync(self._file)
        except OSError:
            self._failed = True
            raise
        self.size += len(data)
        self.spans += sum(record.spans for record in records)

    def close(self) -> Segment | None:
        """The segment as far as it was promised, or ``None`` when nothing was.

        A failed write may have left more in the file, which is cut off, here or at the latest before it is inserted.
        """
        os.close(self._file)
        segment = Segment(self.path, self.size, self.spans)
        try:
            if not self.size:
                self.path.unlink()
            elif self._failed:
                segment.trim()
        except OSError as error:
            _log.warning("Segment %s cannot be trimmed yet: %s", self.path.name, error)
        return segment if self.size else None
