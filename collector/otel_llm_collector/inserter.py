"""Takes the segments of the log into the store, in order, each exactly once."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from google.protobuf.message import DecodeError

from . import schemas
from .counts import Counts
from .errors import CollectorError, StoreError
from .otlp import flatten
from .segment import Segment, write_durably
from .store import Store

_log = logging.getLogger(__name__)

_TABLE = "otlp_traces_in"
_SCHEMA = "otlp_traces.proto"
_MESSAGE = "TracesData"

_SETTINGS: dict[str, str | int] = {
    # Exactly once: every table down the chain knows the segment's name, so what a crash left half done is completed.
    # Newer servers have these as defaults; older ones do not.
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
    # 0, false and '' are values; without this they are taken for absent.
    "input_format_protobuf_oneof_presence": 1,
    "output_format_json_escape_forward_slashes": 0,
    # Senders with wrong clocks fill many partitions.
    "max_partitions_per_insert_block": 0,
}
_DATA_ERRORS = frozenset({6, 27, 32, 33, 34, 117, 128, 131, 321, 395, 407, 434, 444, 636})
"""ClickHouse's numbers for what is wrong with the data itself, and stays wrong."""
_PATIENCE_S = (0.1, 5.0)


class Inserter:
    """One thread that empties the log. ``prepare`` makes the tables, and is called until it succeeds."""

    def __init__(
        self,
        store: Store,
        counts: Counts,
        quarantine: Path,
        prepare: Callable[[], object],
        freed: Callable[[int], None],
    ) -> None:
        self._store = store
        self._counts = counts
        self._quarantine = quarantine
        self._prepare = prepare
        self._freed = freed
        self._changed = threading.Condition()
        self._queue: deque[Segment] = deque()
        self._added = 0
        self._finished = 0
        self._stopping = False
        self.prepared = False
        self.last_error = ""
        """The sentence of the last failure; empty once an insert succeeds."""
        self._thread = threading.Thread(target=self._run, name="otel-llm-inserter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Segments that are not in the store yet."""
        return len(self._queue)

    def add(self, segment: Segment) -> None:
        with self._changed:
            self._queue.append(segment)
            self._added += 1
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until everything added so far is in the store; false when that took too long."""
        with self._changed:
            wanted = self._added
            return self._changed.wait_for(lambda: self._finished >= wanted, timeout_s)

    def stop(self) -> None:
        """Insert what waits, as long as the store takes it, and end. What it does not take stays in the log."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        delay = _PATIENCE_S[0]
        while True:
            with self._changed:
                while self.prepared and not self._queue and not self._stopping:
                    self._changed.wait()
                if self._stopping and not self._queue:
                    return
                segment = self._queue[0] if self._queue else None
            try:
                if not self.prepared:
                    self._prepare()
                    self.prepared = True
                if segment is not None:
                    self._insert(segment)
                    self._done(segment)
            except (CollectorError, OSError) as error:
                self.last_error = str(error)
                _log.warning("Not inserted yet: %s", error)
                with self._changed:
                    if self._stopping:
                        return
                    self._changed.wait(delay)
                delay = min(delay * 2, _PATIENCE_S[1])
            else:
                self.last_error = ""
                delay = _PATIENCE_S[0]

    def _insert(self, segment: Segment) -> None:
        """Insert a segment as it is; else as ClickHouse can take it, under the same name; else set it aside."""
        segment.trim()
        try:
            self._hand_over(segment.path, segment.name)
        except StoreError as error:
            if error.code not in _DATA_ERRORS:
                raise
            self._insert_rewritten(segment, error)
        else:
            self._taken(segment)

    def _insert_rewritten(self, segment: Segment, why: StoreError) -> None:
        try:
            rewritten = flatten(segment.path.read_bytes())
        except DecodeError:
            self._set_aside(segment, str(why))
            return
        flat = segment.path.with_suffix(".flat")
        write_durably(flat, rewritten)
        try:
            self._hand_over(flat, segment.name)
        except StoreError as error:
            if error.code not in _DATA_ERRORS:
                raise
            self._set_aside(segment, str(error))
        else:
            self._counts.rewritten_segments += 1
            self._taken(segment)
        finally:
            flat.unlink()

    def _hand_over(self, path: Path, token: str) -> None:
        self._store.insert_file(
            _TABLE,
            path,
            "ProtobufSingle",
            {**_SETTINGS, **self._format_schema(), "insert_deduplication_token": token},
        )

    def _format_schema(self) -> dict[str, str | int]:
        """The embedded engine reads the schema's file; a server is sent its text (ClickHouse 25.6 or newer)."""
        if self._store.embedded:
            return {"format_schema": f"{schemas.folder() / _SCHEMA}:{_MESSAGE}"}
        return {
            "format_schema_source": "string",
            "format_schema": schemas.read(_SCHEMA),
            "format_schema_message_name": _MESSAGE,
        }

    def _taken(self, segment: Segment) -> None:
        self._counts.inserted_spans += segment.spans
        self._counts.inserted_segments += 1
        segment.path.unlink()

    def _set_aside(self, segment: Segment, reason: str) -> None:
        """Keep a segment that the store will never take, with the reason, out of the way of the others."""
        self._quarantine.mkdir(exist_ok=True)
        write_durably(self._quarantine / f"{segment.name}.reason", reason.encode())
        segment.path.replace(self._quarantine / segment.path.name)
        self._counts.quarantined += 1
        _log.error("The store cannot take segment %s, which is kept in %s: %s", segment.name, self._quarantine, reason)

    def _done(self, segment: Segment) -> None:
        self._freed(segment.size)
        with self._changed:
            self._queue.popleft()
            self._finished += 1
            self._changed.notify_all()
