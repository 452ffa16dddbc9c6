"""The segment that is being written."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from otel_llm_collector.measures.durations import Durations
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import Signal

from .record import Record
from .segment import Segment, identity, number, sync_folder, write_all

_log = logging.getLogger(__name__)


class OpenSegment:
    """A segment that grows; in each folder of ``copies`` it has a second name."""

    def __init__(self, signal: Signal, path: Path, copies: Sequence[Path]) -> None:
        self.opened = time.monotonic()
        self.size = 0
        self._signal = signal
        self._path = path
        self._copies = [folder / path.name for folder in copies]
        self._items = 0
        self._kinds = 0
        self._digests: list[bytes] = []
        self._identity = identity(path)
        self._failed = False
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            sync_folder(path.parent)
            for copy in self._copies:
                os.link(path, copy)
                sync_folder(copy.parent)
        except OSError:
            os.close(self._file)
            self._remove()
            raise

    @property
    def began(self) -> float:
        """When it was begun, in seconds since 1970."""
        return number(self._path) / 1e9

    def due(self, settings: Settings) -> bool:
        """Whether it is complete: large, old, or no longer to be written."""
        return self._failed or self.size >= settings.segment_bytes or time.monotonic() >= self.ends(settings)

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
        except OSError:
            self._failed = True
            raise
        syncs.add(time.perf_counter() - began)
        self.size += len(data)
        for record in records:
            self._items += record.items
            self._kinds |= record.kinds
            self._digests.append(record.digest)

    def close(self) -> Segment | None:
        """The segment as far as it was promised, or ``None`` when nothing was.

        A failed write may have left more in the file, which is cut off, here or at the latest before it is inserted.
        """
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
