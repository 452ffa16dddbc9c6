"""Takes the segments of a signal into the store, oldest first, each exactly once."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from otel_llm_collector import schemas
from otel_llm_collector.errors import CollectorError, StoreError, StoreUnavailable
from otel_llm_collector.log.seen import Seen
from otel_llm_collector.log.segment import Segment, make_folder, mend, write_durably
from otel_llm_collector.measures.counts import Counts
from otel_llm_collector.measures.durations import Durations
from otel_llm_collector.otlp.flatten import flatten
from otel_llm_collector.signals import Landing, Signal

from .preparation import Preparation
from .store import Store

_log = logging.getLogger(__name__)

_SETTINGS: dict[str, str | int] = {
    # 0, false and '' are values; without this they are taken for absent.
    "input_format_protobuf_oneof_presence": 1,
    "output_format_json_escape_forward_slashes": 0,
    # To work out every branch costs less than to pick the rows for each.
    "short_circuit_function_evaluation": "disable",
    # A block need not be merged in itself before it is written: that costs more than writing it.
    "optimize_on_insert": 0,
    # Senders with wrong clocks fill many partitions.
    "max_partitions_per_insert_block": 0,
}
_DATA_ERRORS = frozenset({6, 27, 32, 33, 34, 36, 117, 128, 131, 321, 395, 407, 434, 436, 444, 636})
"""ClickHouse's numbers for what is wrong with the data itself, and stays wrong."""
_PASSING_ERRORS = frozenset(
    {
        *(3, 47, 60, 81, 158, 159, 160, 164, 192, 193, 194, 198, 201, 202, 203, 209, 210, 225, 236, 241, 242, 243, 244),
        *(252, 265, 279, 285, 286, 290, 308, 319, 341, 373, 396, 425, 439, 473, 497, 499, 516, 517, 530, 999, 1000),
    }
)
"""Its numbers for what is wrong with the server, its tables, its disk, its quorum or our rights, and may be mended."""
_NO_MEMORY = 241
_ATTEMPTS = 12
"""How many failures in ways that are on neither list are waited out: for half a minute at least."""
_PATIENCE_S = (0.1, 5.0)


class Inserter:
    """One thread that empties the log of one signal; ``freed`` is told how many bytes are gone from the disk."""

    def __init__(
        self,
        signal: Signal,
        store: Store,
        preparation: Preparation,
        counts: Counts,
        seen: Seen,
        quarantine: Path,
        freed: Callable[[int], None],
    ) -> None:
        self._signal = signal
        self._store = store
        self._preparation = preparation
        self._counts = counts
        self._seen = seen
        self._quarantine = quarantine
        self._freed = freed
        self._changed = threading.Condition()
        self._queue: deque[Segment] = deque()
        self._stopping = False
        self._unknown = 0
        """Failures since the last success that are on neither list."""
        self.last_error = ""
        """The sentence of the last failure; empty once an insert succeeds."""
        self.inserts = Durations()
        """Attempts to insert a segment, and how long they took."""
        self.thread = threading.Thread(target=self._run, name=f"otel-llm-{signal.name}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    @property
    def waiting(self) -> int:
        """Segments that are not in the store yet."""
        return len(self._queue)

    @property
    def oldest(self) -> float | None:
        """When the oldest of them was begun, in seconds since 1970."""
        with self._changed:
            return min((segment.began for segment in self._queue), default=None)

    def add(self, segment: Segment) -> None:
        with self._changed:
            self._queue.append(segment)
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything added so far is in the store; false when that took too long."""
        with self._changed:
            wanted = {_whole(segment) for segment in self._queue}
            return self._changed.wait_for(lambda: wanted.isdisjoint(map(_whole, self._queue)), timeout_s)

    def stop(self) -> None:
        """Insert what waits, as long as the store takes it, and end. What it does not take stays in the log."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self.thread.join()

    def _run(self) -> None:
        delay = _PATIENCE_S[0]
        while True:
            with self._changed:
                while not (self._queue or self._stopping or self.last_error or self._preparation.problem):
                    self._changed.wait()
                if self._stopping and not self._queue:
                    return
                segment = self._queue[0] if self._queue else None
            try:
                self._preparation.ensure()
                if segment is not None:
                    self._insert(segment)
            except Exception as error:  # whatever it is, nobody else empties this signal's log
                self._tell(error)
                self._counts.failed_inserts += segment is not None
                with self._changed:
                    if isinstance(error, StoreError) and error.code == _NO_MEMORY:
                        self._queue.rotate(-1)  # the others may need less
                    if self._stopping:
                        return
                    self._changed.wait(delay)
                delay = min(delay * 2, _PATIENCE_S[1])
            else:
                self.last_error = ""
                self._unknown = 0
                delay = _PATIENCE_S[0]

    def _tell(self, error: Exception) -> None:
        """Say why nothing was inserted, and say it in the log once."""
        expected = isinstance(error, (CollectorError, OSError))
        sentence = str(error) if expected else f"An insert failed with {error!r}."
        if sentence not in (self.last_error, self._preparation.problem):
            _log.warning("Not inserted yet: %s", sentence, exc_info=None if expected else error)
        self.last_error = sentence

    def _insert(self, segment: Segment) -> None:
        segment.trim()
        if not segment.is_whole():
            self._mend(segment)
            return
        began = time.perf_counter()
        try:
            for landing in self._signal.landings_of(segment.kinds):
                if reason := self._land(segment, landing):
                    self._divide(segment, landing, reason)
                    return
        finally:
            self.inserts.add(time.perf_counter() - began)
        self._seen.add(segment.digests)
        segment.path.unlink()
        self._counts.inserted += segment.items
        self._counts.inserted_segments += 1
        self._done(segment)

    def _land(self, segment: Segment, landing: Landing) -> str:
        """Insert a segment as it is, else rewritten, under the same name; returns why it can never be taken.

        An insert that fails for its data has written nothing: reading and checking it comes before the first table, and
        the views behind that one have no expression that fails.
        """
        try:
            self._hand_over(segment.name, landing, segment.path)
            return ""
        except StoreError as error:
            if self._may_pass(error):
                raise
            reason = str(error)
        data = segment.path.read_bytes()
        try:
            rewritten = flatten(self._signal, data, segment.records(data))
        except Exception as error:  # whatever it is, the other records are not to wait for it
            return f"{reason} Nor can it be rewritten: {error!r}."
        flat = segment.path.with_suffix(".flat")
        write_durably(flat, rewritten)
        try:
            self._hand_over(segment.name, landing, flat)
        except StoreError as error:
            if self._may_pass(error):
                raise
            return str(error)
        finally:
            flat.unlink()
        self._counts.rewritten_segments += 1
        return ""

    def _may_pass(self, error: StoreError) -> bool:
        """Whether to try again: for ever where the server is to blame, for a while where it is not known."""
        if error.code is None or isinstance(error, StoreUnavailable) or error.code in _PASSING_ERRORS:
            return True
        if error.code in _DATA_ERRORS:
            return False
        self._unknown += 1
        return self._unknown <= _ATTEMPTS

    def _hand_over(self, token: str, landing: Landing, path: Path) -> None:
        settings = {**_SETTINGS, **self._format_schema(landing), "insert_deduplication_token": token}
        self._store.insert_file(landing.table, path, "ProtobufSingle", settings)

    def _format_schema(self, landing: Landing) -> dict[str, str | int]:
        """The embedded engine reads the schema's file; a server is sent its text (ClickHouse 25.6 or newer)."""
        if self._store.embedded:
            return {"format_schema": f"{schemas.folder() / landing.schema}:{landing.message}"}
        return {
            "format_schema_source": "string",
            "format_schema": schemas.read(landing.schema),
            "format_schema_message_name": landing.message,
        }

    def _mend(self, segment: Segment) -> None:
        """Set aside what was damaged on the disk since it was written; the rest takes the segment's place."""
        mended = mend(self._signal, segment.path, self._quarantine, segment.size)
        left = [mended.segment] if mended.segment else []
        lost = segment.items - sum(one.items for one in left)
        self._counts.quarantined += mended.quarantined
        _log.error(
            "Segment %s was damaged on the disk: %d %s are not stored; what is left of them is in %s.",
            *(segment.name, lost, self._signal.items, self._quarantine),
        )
        self._freed(segment.size - sum(one.size for one in left))
        with self._changed:
            self._queue.popleft()
            self._queue.extendleft(left)
            self._changed.notify_all()

    def _divide(self, segment: Segment, landing: Landing, reason: str) -> None:
        """Cut a segment in two that a landing will never take; one that is a single record is set aside."""
        halves = segment.split(self._signal.kinds_from(landing))
        if halves is None:
            self._set_aside(segment, reason)
            return
        self._counts.split_segments += 1
        with self._changed:
            self._queue.popleft()
            self._queue.extendleft(reversed(halves))

    def _set_aside(self, segment: Segment, reason: str) -> None:
        """Keep a record that the store will never take, with the reason, out of the way of the others."""
        make_folder(self._quarantine)
        write_durably(self._quarantine / f"{segment.name}.reason", reason.encode())
        self._seen.add(segment.digests)
        segment.path.replace(self._quarantine / segment.path.name)
        self._counts.quarantined += 1
        _log.error("The store cannot take %s, which is kept in %s: %s", segment.path.name, self._quarantine, reason)
        self._done(segment)

    def _done(self, segment: Segment) -> None:
        self._freed(segment.size)
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()


def _whole(segment: Segment) -> str:
    """The name of the segment as it was before it was cut in two."""
    return segment.name.partition(".")[0]
