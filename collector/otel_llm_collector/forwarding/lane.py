"""What one endpoint has not taken yet of one signal: a folder of segments, and how far the first of them is through.

The segments are the log's own, under a second name. The position in the first one is a hint, which is not waited for:
where it is lost or torn, requests are sent again, byte by byte as they were.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from otel_llm_collector.log.record import Bad, Good, scan
from otel_llm_collector.log.segment import SUFFIX, Segment, identity, number
from otel_llm_collector.otlp.flatten import unstamped
from otel_llm_collector.settings import MIB
from otel_llm_collector.signals import Signal

from .forwarded import Forwarded
from .part import Part, parts_of
from .position import Position

_log = logging.getLogger(__name__)

REQUEST_BYTES = MIB
"""Size of a request, unless a single record is larger."""
_REMEMBERED_S = 600.0
"""How long an endpoint that found a request too large gets smaller ones at once."""
_BLOCK = 4096


@dataclass(frozen=True, slots=True)
class Request:
    """A valid OTLP message: the bodies of consecutive records, joined, without the marks of their tenants."""

    body: bytes
    items: int


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A segment; ``items`` is ``None`` where an earlier run has left it."""

    name: str
    size: int
    items: int | None

    @property
    def room(self) -> int:
        """What it takes of the disk."""
        return -(-self.size // _BLOCK) * _BLOCK


class Lane:
    """Gives requests in the order in which they came; ``add`` may be called from any thread, the rest from one."""

    def __init__(self, signal: Signal, folder: Path, counts: Forwarded) -> None:
        self.signal = signal
        self._counts = counts
        self._folder = folder
        self._position = Position(folder / "position")
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._room = 0
        self._planned = ""
        self._parts: deque[Part] = deque()
        self._request: Request | None = None
        self._limit = math.inf
        self._limit_ends = 0.0
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            self._append(_Waiting(path.name, path.stat().st_size, None))

    @property
    def segments(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def room(self) -> int:
        """Bytes that they take of the disk."""
        return self._room

    def began(self, place: int = 0) -> float | None:
        """When the first segment was begun, or the one at that place, in seconds since 1970; ``None`` without one."""
        with self._lock:
            return number(Path(self._waiting[place].name)) / 1e9 if place < len(self._waiting) else None

    def add(self, segment: Segment) -> None:
        """Take in a segment that is complete, and that has its second name in the folder."""
        self._append(_Waiting(segment.path.name, segment.size, segment.items))

    def request(self) -> Request | None:
        """The first request that is not through; ``None`` when nothing waits. Raises ``OSError``."""
        while self._request is None and self._waiting:
            first = self._waiting[0]
            self._plan(first)
            if not self._parts:
                self._remove()
                continue
            while not self._fits(self._parts[0]):
                self._halve()
            part = self._parts[0]
            with (self._folder / first.name).open("rb") as file:
                file.seek(part.start)
                data = file.read(part.end - part.start)
            bodies = (data[record.body - part.start : record.end - part.start] for record in part.records)
            joined = b"".join(
                unstamped(body, record.tenant) if record.tenant else body
                for body, record in zip(bodies, part.records, strict=True)
            )
            self._request = Request(joined, part.items)
        return self._request

    def divide(self, too_large: bool) -> bool:
        """The request is refused: its halves take its place; false where it is a single record.

        Where it was too large, those behind it are for some time no larger than a half of it.
        """
        part = self._parts[0]
        if part.is_single:
            return False
        if too_large:
            self._limit, self._limit_ends = part.size // 2, time.monotonic() + _REMEMBERED_S
        self._request = None
        self._halve()
        return True

    def through(self) -> None:
        """The request is accepted, or given up. Raises ``OSError``; the request is through all the same."""
        self._request = None
        part = self._parts.popleft()
        if self._parts:
            self._position.write(self._folder / self._planned, part.end)
        else:
            self._remove()

    def give_up(self, place: int = 0) -> int:
        """Remove the first segment, or the one at that place, and say how many items of it were not sent.

        Raises ``OSError``.
        """
        segment = self._waiting[place]
        if self._planned == segment.name:
            lost = sum(part.items for part in self._parts)
        elif segment.items is not None:
            lost = segment.items
        else:
            lost = sum(part.items for part in self._left(segment))
        self._remove(place)
        return lost

    def _append(self, segment: _Waiting) -> None:
        with self._lock:
            self._waiting.append(segment)
            self._room += segment.room

    def _remove(self, place: int = 0) -> None:
        segment = self._waiting[place]
        (self._folder / segment.name).unlink(missing_ok=True)
        if self._planned == segment.name:
            self._request = None
            self._parts.clear()
        with self._lock:
            del self._waiting[place]
            self._room -= segment.room

    def _plan(self, segment: _Waiting) -> None:
        """Divide a segment into requests, which are the same every time, and go on behind those that are through."""
        if self._planned != segment.name:
            self._parts = self._left(segment)
            self._planned = segment.name

    def _left(self, segment: _Waiting) -> deque[Part]:
        """The requests of a segment that are not through."""
        path = self._folder / segment.name
        try:
            data = path.read_bytes()[: segment.size]
        except FileNotFoundError:
            data = b""
        found = list(scan(data, identity(path)))
        good = [record for record in found if isinstance(record, Good)]
        reached = self._position.read(path)
        parts = deque(part for part in parts_of(good, REQUEST_BYTES) if part.end > reached)
        while parts and parts[0].start < reached and not parts[0].is_single:  # it had been divided
            parts.extendleft(half for half in reversed(parts.popleft().halves()) if half.end > reached)
        if segment.items is None:  # nobody knows how many items were in it
            lost = sum(1 for record in found if isinstance(record, Bad) and not record.torn)
        else:
            lost = segment.items - sum(record.items for record in good)
        if lost:
            self._counts.give_up("damaged", lost)
            _log.error("%s is missing or damaged: %d %s in it are not sent.", path, lost, self.signal.items)
        return parts

    def _fits(self, part: Part) -> bool:
        return part.is_single or part.size <= self._limit or time.monotonic() >= self._limit_ends

    def _halve(self) -> None:
        self._parts.extendleft(reversed(self._parts.popleft().halves()))
