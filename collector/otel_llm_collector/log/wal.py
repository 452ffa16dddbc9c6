"""The write-ahead log: a record is on disk before its sender is told so.

One thread writes. Records that arrive while it waits for the disk go out together with the next ``fdatasync``. Each
signal has a segment of its own, which is closed when it is large or old enough, and handed on to be inserted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from otel_llm_collector.errors import LogFull
from otel_llm_collector.measures.durations import Durations
from otel_llm_collector.settings import MIB, Settings
from otel_llm_collector.signals import Signal

from . import disk
from .open_segment import OpenSegment
from .record import Record
from .segment import Segment, new_path

_log = logging.getLogger(__name__)

_WAITING_BYTES = 64 * MIB
"""Most that may wait in memory for the disk, beyond one request."""
_SPARE_BYTES = MIB
"""What is left of the disk, besides two of the largest segment: one may have to be rewritten before it can go."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A record that is not on disk yet, and who waits for it."""

    signal: Signal
    record: Record
    done: Future[None]


class Log:
    """Appends records; ``sealed`` is called with every segment that is complete, in the thread that writes.

    ``copies`` are folders, for each signal by its name, in which every segment gets a second name: whoever reads there
    removes it there.
    """

    def __init__(
        self,
        settings: Settings,
        number: int,
        waiting: int,
        sealed: Callable[[Segment], None],
        copies: Mapping[str, Sequence[Path]] = MappingProxyType({}),
    ) -> None:
        """``number`` is that of the last segment there is, ``waiting`` the bytes that earlier segments hold."""
        self._settings = settings
        self._number = number
        self._sealed = sealed
        self._copies = copies
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._disk_bytes = waiting
        self._largest = min(waiting, settings.segment_bytes)
        self._closing = False
        # Whether a record was refused for want of room, and the sentence of a write that failed, until one succeeds.
        self._full = False
        self._fault = ""
        # How many records came, were written, should be handed on soon, and were handed on.
        self._appended = self._written = self._wanted = self._handed_on = 0
        self._open: dict[Signal, OpenSegment] = {}
        self.syncs = Durations()
        """How often and how long it waited for the disk."""
        self.thread = threading.Thread(target=self._run, name="otel-llm-log", daemon=True)

    def start(self) -> None:
        self.thread.start()

    @property
    def limit_bytes(self) -> int:
        """Most that may wait before records are refused."""
        return self._settings.log_bytes

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were accepted and are not in the store yet."""
        return self._queued_bytes + self._disk_bytes

    @property
    def oldest(self) -> float | None:
        """When the oldest record that is not handed on yet was written, in seconds since 1970."""
        return min((segment.began for segment in list(self._open.values())), default=None)

    @property
    def problem(self) -> str:
        """Why records are refused; empty when they are not."""
        if self._closing:
            return "The collector is shutting down."
        if self._full:
            return f"The log is full: it holds {self.waiting_bytes >> 20} MiB that the store has not taken yet."
        return self._fault

    def look(self) -> None:
        """Find out whether the disk can be written again after a write that failed, though nobody sends anything."""
        if self._fault:
            self._fault = disk.fault(self._settings.log, 2 * self._largest + _SPARE_BYTES)

    def append(self, signal: Signal, record: Record) -> Future[None]:
        """Write a record; the future is done when it is on disk. Raises :class:`LogFull` when there is no room."""
        size = record.size
        with self._changed:
            if self._closing:
                raise LogFull("The collector is shutting down.")
            self._full = self.waiting_bytes + size > self._settings.log_bytes
            if self._full:
                raise LogFull(f"The log holds {self.waiting_bytes >> 20} MiB that the store has not taken yet.")
            if self._queue and self._queued_bytes + size > _WAITING_BYTES:
                raise LogFull("The disk does not keep up.")
            done: Future[None] = Future()
            done.set_running_or_notify_cancel()  # a sender that goes away does not undo its record
            self._queue.append(_Waiting(signal, record, done))
            self._appended += 1
            self._queued_bytes += size
            self._changed.notify_all()
        return done

    def freed(self, size: int) -> None:
        """A segment of that size is gone from the disk."""
        with self._changed:
            self._disk_bytes -= size
            self._largest = self._largest if self._disk_bytes else 0
            self._full = False

    def seal(self) -> None:
        """Hand on what has been written so far; returns when ``sealed`` has been called with it."""
        with self._changed:
            wanted = self._wanted = self._appended
            self._changed.notify_all()
            while self._handed_on < wanted and self.thread.is_alive():
                self._changed.wait(1)

    def close(self) -> None:
        """Refuse new records, write those that wait and hand on the last segments."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self.thread.join()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            with self._changed:
                self._closing = True
                while self._queue:
                    self._queue.popleft().done.set_exception(LogFull("The log has stopped."))
                self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not (self._queue or self._closing or self._asked or self._due()):
                    self._changed.wait(self._patience())
                batch = self._take()
            if batch:
                self._write(batch)
            for signal in list(self._open) if self._asked else self._due():
                self._seal(signal)
            with self._changed:
                if self._closing and not self._queue:
                    break
                if not self._open:
                    self._handed_on = self._written
                    self._changed.notify_all()
        for signal in list(self._open):
            self._seal(signal)
        with self._changed:
            self._handed_on = self._written
            self._changed.notify_all()

    @property
    def _asked(self) -> bool:
        """Whether somebody waits for what has been written."""
        return self._written >= self._wanted > self._handed_on

    def _due(self) -> list[Signal]:
        """The signals whose open segment is complete."""
        return [signal for signal, segment in self._open.items() if segment.due(self._settings)]

    def _patience(self) -> float | None:
        """Seconds until an open segment is old; for ever when there is none."""
        if not self._open:
            return None
        first = min(segment.ends(self._settings) for segment in self._open.values())
        return max(0.0, first - time.monotonic())

    def _take(self) -> dict[Signal, list[_Waiting]]:
        """The records that wait, up to the room that their segments have, and always one."""
        room: dict[Signal, int] = {}
        batch: dict[Signal, list[_Waiting]] = {}
        while self._queue:
            signal, weight = self._queue[0].signal, self._queue[0].record.weight
            if signal not in room:
                room[signal] = self._settings.segment_bytes - (self._open[signal].weight if signal in self._open else 0)
            if batch and weight > room[signal]:
                break
            room[signal] -= weight
            batch.setdefault(signal, []).append(self._queue.popleft())
        return batch

    def _write(self, batch: Mapping[Signal, list[_Waiting]]) -> None:
        for signal, waiting in batch.items():
            records = [one.record for one in waiting]
            size = sum(record.size for record in records)
            failure: LogFull | None = None
            try:
                self._leave_room(signal, size)
                if signal not in self._open:
                    self._number = max(self._number + 1, time.time_ns())
                    path = new_path(self._settings.folder_of(signal.name), self._number)
                    self._open[signal] = OpenSegment(signal, path, self._copies.get(signal.name, ()))
                self._open[signal].write(records, self.syncs)
                self._fault = ""
            except Exception as error:  # whatever it is, its senders are waiting
                _log.error("The log in %s cannot be written: %s", self._settings.log, error)
                self._fault = disk.sentence(error)
                failure = LogFull(self._fault)
            with self._changed:
                self._written += len(records)
                self._queued_bytes -= size
                if failure is None:
                    self._disk_bytes += size
            for one in waiting:
                if failure is None:
                    one.done.set_result(None)
                else:
                    one.done.set_exception(failure)

    def _leave_room(self, signal: Signal, size: int) -> None:
        """Raises ``OSError`` where the disk would be so full that the log could not be emptied any more."""
        grown = size + (self._open[signal].size if signal in self._open else 0)
        largest = max(self._largest, grown)
        disk.need(self._settings.log, size + 2 * largest + _SPARE_BYTES)
        self._largest = largest

    def _seal(self, signal: Signal) -> None:
        """Close an open segment and hand it on."""
        if (whole := self._open.pop(signal).close()) is not None:
            self._sealed(whole)
