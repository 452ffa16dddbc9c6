"""The segment that is being written."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from otel_llm_collector.measures.durations import Durations
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import Signal

from .record import Record
from .segment import PRIVATE, Segment, identity, make_folder, number, sync_folder, write_all

_log = logging.getLogger(__name__)


class OpenSegment:
    """A segment that grows; in each folder of ``copies`` it has a second name.

    A folder that has gone is made again. Where it cannot have a name, it goes without that one.
    """

    def __init__(self, signal: Signal, path: Path, copies: Sequence[Path]) -> None:
        self.opened = time.monotonic()
        self.size = 0
        self.weight = 0
        self._signal = signal
        self._path = path
        self._copies: list[Path] = []
        self._items = 0
        self._kinds = 0
        self._digests: list[bytes] = []
        self._identity = identity(path)
        self._failed = False
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
        try:
            sync_folder(path.parent)
            for folder in copies:
                self._name(folder / path.name)
        except OSError:
            os.close(self._file)
            self._remove()
            raise

    def _name(self, copy: Path) -> None:
        """Give it another name; a full disk is the log's own trouble, any other is that of the folder alone."""
        try:
            try:
                os.link(self._path, copy)
            except FileNotFoundError:
                make_folder(copy.parent)
                os.link(self._path, copy)
            self._copies.append(copy)
            sync_folder(copy.parent)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            _log.error("Segment %s has no name in %s: %s", self._path.name, copy.parent, error)

    @property
    def began(self) -> float:
        """When it was begun, in seconds since 1970."""
        return number(self._path) / 1e9

    def due(self, settings: Settings) -> bool:
        """Whether it is complete: large, old, or no longer to be written."""
        return self._failed or self.weight >= settings.segment_bytes or time.monotonic() >= self.ends(settings)

    def ends(self, settings: Settings) -> float:
        """When it is old enough, by the monotonic clock."""
        return self.opened + settings.segment_age_s * self._signal.patience

    def write(self, records: list[Record], syncs: Durations) -> None:
        """Append records and wait for the disk; all of them or, with an ``OSError``, none."""
        data = b"".join(record.encode(self._identity) for record in records)
        try:
            write_all(self._file, data)
            began = time.perf_counter()
            os.fdatasync(self._file)
        except Exception:
            self._failed = True
            raise
        syncs.add(time.perf_counter() - began)
        self.size += len(data)
        for record in records:
            self.weight += record.weight
            self._items += record.items
            self._kinds |= record.kinds
            self._digests.append(record.digest)

    def close(self) -> Segment | None:
        """The segment as far as it was promised, or ``None`` when nothing was.

        A failed write may have left more in the file, which is cut off, here or at the latest before it is inserted.
        """
        with contextlib.suppress(OSError):  # what was promised has been synced
            os.close(self._file)
        if not self.size:
            self._remove()
            return None
        segment = Segment(
            self._signal, self._path, self.size, self._items, self._kinds, tuple(self._digests), self.began
        )
        try:
            if self._failed:
                segment.trim()
        except OSError as error:
            _log.warning("Segment %s cannot be trimmed yet: %s", self._path.name, error)
        return segment

    def _remove(self) -> None:
        """What was never promised need not be kept; what cannot be removed now is cut away at the next start."""
        for path in (self._path, *self._copies):
            with contextlib.suppress(OSError):
                path.unlink()
