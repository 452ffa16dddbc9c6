"""Everything behind the doors: the folder's lock, the store, the log and an inserter for each signal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from .clickhouse import migrations
from .clickhouse.inserter import Inserter
from .clickhouse.preparation import Preparation
from .clickhouse.store import PATTERNS, Store
from .clickhouse.watch import Watch
from .errors import CollectorError
from .forwarding.endpoint import endpoints
from .forwarding.forwarders import Forwarding
from .lock import FolderLock
from .log import disk
from .log.seen import Seen
from .log.segment import Segment, make_folder, number, recover
from .log.wal import Log
from .measures import process
from .measures.counts import Counts
from .measures.durations import Durations
from .settings import Settings
from .signals import SIGNALS

_FLUSH_S = 60.0
_FIRST_ANSWER_S = 10.0
"""How long a server is waited for at the start."""


class Engine:
    """Opened in the order of the data's way back to the door, closed by the stack in the order of its way in."""

    def __init__(self, settings: Settings, counts: Mapping[str, Counts], stack: ExitStack) -> None:
        """Raises ``CollectorError`` where the data folder or an embedded store cannot be used.

        Raises ``ConfigError`` where an endpoint of ``forward`` cannot.
        """
        self._counts = counts
        self._settings = settings
        targets = endpoints(settings)
        try:
            make_folder(settings.log)
            for signal in SIGNALS:
                make_folder(settings.folder_of(signal.name))
            lock = FolderLock(settings.data)
            lock.acquire()
            stack.callback(lock.release)
            self.forwarding = Forwarding(settings, targets)
        except OSError as error:
            raise CollectorError(
                f"The data folder {settings.data.absolute()} cannot be used: {error.strerror}."
            ) from error
        self.store = Store(settings.store_url)
        if self.store.embedded and PATTERNS.intersection(str(settings.log.resolve())):
            raise CollectorError(f"The path of {settings.data.resolve()} must be without any of * ? {{ }}.")
        stack.callback(self.store.close)
        seen = Seen(settings.log)
        self.known = list(seen.load())
        """Digests of requests that earlier runs acknowledged."""
        try:
            left = self._recover(settings)
        except OSError as error:
            raise CollectorError(f"The log in {settings.log.absolute()} cannot be read: {error.strerror}.") from error
        self.preparation = Preparation(lambda: migrations.migrate(self.store))
        if self.store.embedded:
            self.preparation.ensure()
        else:  # in the inserters' threads, as often as it takes
            self.preparation.problem = f"ClickHouse at {self.store.name} has not answered yet."
        last = max((number(segment.path) for segment in left), default=0)
        self.log = Log(settings, last, sum(segment.size for segment in left), self._sealed, self.forwarding.copies)
        self.inserters = {
            signal.name: Inserter(
                signal,
                self.store,
                self.preparation,
                counts[signal.name],
                seen,
                settings.quarantine,
                self.log.freed,
            )
            for signal in SIGNALS
        }
        for segment in left:
            self.inserters[segment.signal.name].add(segment)
        self.forwarding.start(stack)
        for inserter in self.inserters.values():
            inserter.start()
            stack.callback(inserter.stop)
        self.log.start()
        stack.callback(self.log.close)
        self.watch = Watch(self.store, self.preparation, self.log)
        self.watch.start()
        stack.callback(self.watch.stop)
        self.preparation.tried.wait(_FIRST_ANSWER_S)

    def _recover(self, settings: Settings) -> list[Segment]:
        """What an earlier run left in the log, whole again."""
        left: list[Segment] = []
        for signal in SIGNALS:
            counts = self._counts[signal.name]
            for mended in recover(signal, settings.folder_of(signal.name), settings.quarantine):
                counts.torn_bytes += mended.torn
                counts.quarantined += mended.quarantined
                if mended.segment is not None:
                    counts.replayed_segments += 1
                    left.append(mended.segment)
                    self.known.extend(mended.segment.digests)
        return left

    def _sealed(self, segment: Segment) -> None:
        self.inserters[segment.signal.name].add(segment)
        self.forwarding.add(segment)

    @property
    def waiting(self) -> int:
        """Segments that the store has not taken yet."""
        return sum(inserter.waiting for inserter in self.inserters.values())

    @property
    def oldest_age_s(self) -> float:
        """Seconds since the oldest record was acknowledged that the store has not taken yet; 0 when there is none."""
        times = (self.log.oldest, *(inserter.oldest for inserter in self.inserters.values()))
        oldest = min((began for began in times if began is not None), default=None)
        return max(0.0, time.time() - oldest) if oldest is not None else 0.0

    def flush(self) -> bool:
        """Wait until everything that was acknowledged can be queried; false when that took too long."""
        self.log.seal()
        deadline = time.monotonic() + _FLUSH_S
        return all(inserter.wait(max(0.0, deadline - time.monotonic())) for inserter in self.inserters.values())

    def problems(self) -> list[str]:
        """Why what is accepted cannot be stored, and threads that have ended; empty when all is well."""
        errors = [self.preparation.problem, *(inserter.last_error for inserter in self.inserters.values())]
        told = list(dict.fromkeys(error for error in errors if error)) or [self.watch.state.problem]
        threads = [self.log.thread, self.watch.thread]
        threads += [inserter.thread for inserter in self.inserters.values()]
        threads += [forwarder.thread for forwarder in self.forwarding.forwarders]
        ended = ", ".join(thread.name for thread in threads if not thread.is_alive())
        dead = f"Threads of the collector have ended: {ended}; start it anew." if ended else ""
        return [problem for problem in (*told, self.log.problem, dead) if problem]

    def warnings(self) -> list[str]:
        """What should be seen to before it becomes a problem."""
        disk_ = self.space
        low = f"Only {disk_.free >> 20} MiB are free on the disk of {self._settings.data}." if disk_.is_low else ""
        return [warning for warning in (low, self.watch.warning) if warning]

    @property
    def space(self) -> disk.Space:
        """Of the disk that the log is on."""
        return disk.space(self._settings.log)

    def status(self) -> dict[str, Any]:
        """What it has done, and what waits."""
        return {
            "signals": {
                name: {
                    **counts.shown(),
                    "segments_waiting": self.inserters[name].waiting,
                    "inserts": _shown(self.inserters[name].inserts),
                }
                for name, counts in self._counts.items()
            },
            "bytes_waiting": self.log.waiting_bytes,
            "log_bytes": self.log.limit_bytes,
            "oldest_age_s": round(self.oldest_age_s, 3),
            "syncs": _shown(self.log.syncs),
            "forwarding": self.forwarding.status(),
            "storage": asdict(self.watch.state),
            "disk": self.space._asdict(),
            "process": process.status(),
            "problems": self.problems(),
            "warnings": self.warnings(),
        }


def _shown(durations: Durations) -> dict[str, float]:
    return {"count": durations.count, "seconds": round(durations.seconds, 6)}
