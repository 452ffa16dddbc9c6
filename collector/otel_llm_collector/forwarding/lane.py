"""What one endpoint has not taken yet of one signal: a folder of segments, and how far the first of them is through.

The segments are the log's own, under a second name. The position in the first one is a hint, which is not waited for:
where it is lost or torn, requests are sent again, byte by byte as they were.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otel_llm_collector.log.record import Good, scan
from otel_llm_collector.log.segment import SUFFIX, Segment, identity, number
from otel_llm_collector.settings import MIB
from otel_llm_collector.signals import Signal

_log = logging.getLogger(__name__)

REQUEST_BYTES = MIB
"""Size of a request, unless a single record is larger."""
_BLOCK = 4096
_POSITION = struct.Struct("<Q8sQ")
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Request:
    """A valid OTLP message: the bodies of consecutive records, joined, as they came."""

    body: bytes
    items: int


@dataclass(frozen=True, slots=True)
class _Part:
    """A request by the places of its bodies in the segment; ``end`` is that of its last record."""

    bodies: tuple[tuple[int, int], ...]
    end: int
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

    def __init__(self, signal: Signal, folder: Path) -> None:
        self.signal = signal
        self._folder = folder
        self._position = Position(folder / "position")
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._room = 0
        self._planned = ""
        self._parts: deque[_Part] = deque()
        self._request: Request | None = None
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

    @property
    def oldest(self) -> float | None:
        """When the first of them was begun, in seconds since 1970."""
        with self._lock:
            return number(Path(self._waiting[0].name)) / 1e9 if self._waiting else None

    def add(self, segment: Segment) -> None:
        """Take in a segment that is complete, and that has its second name in the folder."""
        self._append(_Waiting(segment.path.name, segment.size, segment.items))

    def request(self) -> Request | None:
        """The first request that is not through; ``None`` when nothing waits. Raises ``OSError``."""
        while self._request is None and self._waiting:
            first = self._waiting[0]
            self._plan(first)
            if not self._parts:
                self._remove(first)
                continue
            part = self._parts[0]
            with (self._folder / first.name).open("rb") as file:
                begin = part.bodies[0][0]
                file.seek(begin)
                data = memoryview(file.read(part.end - begin))
            joined = b"".join(data[start - begin : end - begin] for start, end in part.bodies)
            self._request = Request(joined, part.items)
        return self._request

    def through(self) -> None:
        """The request is accepted, or given up. Raises ``OSError``; the request is through all the same."""
        self._request = None
        part = self._parts.popleft()
        if self._parts:
            self._position.write(self._folder / self._planned, part.end)
        else:
            self._remove(self._waiting[0])

    def give_up(self) -> int:
        """Remove the first segment, and say how many items of it were not sent. Raises ``OSError``."""
        first = self._waiting[0]
        if first.items is None:
            self._plan(first)
        lost = sum(part.items for part in self._parts) if self._planned == first.name else first.items
        self._remove(first)
        return lost or 0

    def _append(self, segment: _Waiting) -> None:
        with self._lock:
            self._waiting.append(segment)
            self._room += segment.room

    def _remove(self, first: _Waiting) -> None:
        (self._folder / first.name).unlink(missing_ok=True)
        self._request = None
        self._parts.clear()
        with self._lock:
            self._waiting.popleft()
            self._room -= first.room

    def _plan(self, segment: _Waiting) -> None:
        """Divide a segment into requests, which are the same every time, and go on behind those that are through."""
        if self._planned == segment.name:
            return
        path = self._folder / segment.name
        try:
            data = path.read_bytes()[: segment.size]
        except FileNotFoundError:
            _log.error("Segment %s has gone from %s; it is not sent.", segment.name, self._folder)
            data = b""
        reached = self._position.read(path)
        self._parts = deque(part for part in _parts(data, identity(path)) if part.end > reached)
        self._planned = segment.name


def _parts(data: bytes, segment: bytes) -> Iterator[_Part]:
    bodies: list[tuple[int, int]] = []
    end = size = items = 0
    for record in scan(data, segment):
        if not isinstance(record, Good):
            continue
        length = record.end - record.body
        if bodies and size + length > REQUEST_BYTES:
            yield _Part(tuple(bodies), end, items)
            bodies, size, items = [], 0, 0
        bodies.append((record.body, record.end))
        size += length
        items += record.items
        end = record.end
    if bodies:
        yield _Part(tuple(bodies), end, items)


class Position:
    """A file that says up to which byte a segment is through."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, segment: Path, offset: int) -> None:
        """Raises ``OSError``."""
        fields = _POSITION.pack(number(segment), identity(segment), offset)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(file, fields + _CHECKSUM.pack(zlib.crc32(fields)))
        finally:
            os.close(file)

    def read(self, segment: Path) -> int:
        """0 where the file is missing or damaged, or speaks of another segment."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        fields = data[: _POSITION.size]
        if data[_POSITION.size :] != _CHECKSUM.pack(zlib.crc32(fields)):
            return 0
        of, mark, offset = _POSITION.unpack(fields)
        return int(offset) if (of, mark) == (number(segment), identity(segment)) else 0
