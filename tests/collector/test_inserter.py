"""From the log into the store: once, in order, and past what the store cannot take."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from google.protobuf.message import EncodeError

from otel_llm_collector.clickhouse import inserter as inserters
from otel_llm_collector.clickhouse.inserter import Inserter
from otel_llm_collector.clickhouse.preparation import Preparation
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import StoreError, StoreUnavailable
from otel_llm_collector.log.record import Good
from otel_llm_collector.log.seen import Seen
from otel_llm_collector.log.segment import Segment, recover
from otel_llm_collector.measures.counts import Counts
from otel_llm_collector.signals import TRACES, Signal
from tests.support.otlp import body, log_record, segment, span

CALL = {"gen_ai.operation.name": "chat"}
WAIT_S = 60


class Line:
    """An inserter over a store, and segments to give it."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.counts = Counts()
        self.freed = 0
        self.prepared = 0
        self.seen = Seen(folder)
        self.quarantine = folder / "quarantine"
        preparation = Preparation(self._prepare)
        self.inserter = Inserter(TRACES, store, preparation, self.counts, self.seen, self.quarantine, self._free)
        self.failures: list[Exception] = []

    def segment(self, number: int, *bodies: bytes) -> Segment:
        return segment(self.folder, number, *(log_record(sent, 1) for sent in bodies))

    def insert(self, *segments: Segment) -> None:
        for one in segments:
            self.inserter.add(one)
        assert self.inserter.wait(WAIT_S)

    def stored(self) -> dict[str, int]:
        (row,) = self.store.rows(
            "SELECT count() AS spans, (SELECT count() FROM llm_calls) AS calls, "
            "(SELECT sum(calls) FROM llm_calls_hourly) AS summed, "
            "(SELECT count() FROM otel_traces_trace_id_ts) AS traces FROM otel_traces"
        )
        return row

    def _prepare(self) -> None:
        self.prepared += 1
        if self.failures:
            raise self.failures.pop()

    def _free(self, size: int) -> None:
        self.freed += size


class Failing(Store):
    """A store that fails so many times, and then works."""

    def __init__(self, url: str, *failures: Exception) -> None:
        super().__init__(url)
        self.failures = deque(failures)

    def insert_file(self, table: str, path: Path, format: str, settings: Mapping[str, str | int]) -> None:
        if self.failures:
            raise self.failures.popleft()
        super().insert_file(table, path, format, settings)


@pytest.fixture
def line(store: Store, tmp_path: Path) -> Iterator[Line]:
    (tmp_path / "log").mkdir()
    line = Line(store, tmp_path / "log")
    line.inserter.start()
    yield line
    line.inserter.stop()


@pytest.mark.parametrize("count", [1, 70_000])
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_a_segment_that_is_inserted_again_counts_once(line: Line, count: int, nested: bool) -> None:
    """As after a crash between the insert and the removal: in every table, also over ClickHouse's block size."""
    trace = b"one trace, 16 by"
    spans = [span(CALL, trace_id=trace) for _ in range(count - 1)]
    sent = body(*spans, span({**CALL, "deep": {"a": [1]}} if nested else CALL, trace_id=trace))
    for _ in range(3):
        line.insert(line.segment(1, sent))
        assert line.stored() == {"spans": count, "calls": count, "summed": count, "traces": 1}
    assert line.counts.rewritten_segments == (3 if nested else 0)
    line.insert(line.segment(2, body(span(CALL))))
    assert line.stored()["spans"] == count + 1, "another segment is another"


def test_a_segment_is_removed_once_it_is_stored(line: Line) -> None:
    """And its room in the log is free."""
    segment = line.segment(1, body(span()), body(span()))
    line.insert(segment)
    assert list(line.folder.glob("*.seg")) == []
    assert line.freed == segment.size
    assert (line.counts.inserted, line.counts.inserted_segments) == (2, 1)


def test_the_requests_of_a_segment_are_remembered(line: Line) -> None:
    """When it is gone they are still recognised, by the next run too."""
    segment = line.segment(1, body(span()), body(span()))
    line.insert(segment)
    assert tuple(Seen(line.folder).load()) == segment.digests


def test_one_record_that_can_never_be_taken_is_found(line: Line) -> None:
    """The segment is cut in two until it stands alone; the others are stored, each once."""
    poison = b"\x0a\xff\xff\xff\xff\x7f"
    bodies = [body(span(CALL)) for _ in range(9)]
    line.insert(line.segment(1, *bodies[:6], poison, *bodies[6:]), line.segment(2, body(span(CALL))))
    assert line.stored() == {"spans": 10, "calls": 10, "summed": 10, "traces": 10}
    assert (line.counts.quarantined, line.counts.split_segments) == (1, 3)
    assert sum(path.suffix == ".seg" for path in line.quarantine.iterdir()) == 1
    assert list(line.folder.glob("*.seg")) == []


def test_a_cut_that_a_crash_left_half_done_counts_once(line: Line) -> None:
    """Halves beside the whole were never inserted; halves without it take its place."""
    bodies = [body(span(CALL)) for _ in range(4)]
    whole = line.segment(1, *bodies)
    kept = whole.path.read_bytes()
    assert whole.split(kinds=1) is not None
    whole.path.write_bytes(kept)
    (mended,) = recover(TRACES, line.folder, line.quarantine)
    assert mended.segment == whole
    halves = whole.split(kinds=1)
    assert [mended.segment for mended in recover(TRACES, line.folder, line.quarantine)] == list(halves or ())
    line.insert(*halves or ())
    assert line.stored()["spans"] == 4


def test_what_the_store_can_never_take_is_set_aside(line: Line) -> None:
    """With the reason beside it; the segments behind it are stored."""
    poison = line.segment(1, b"\x0a\xff\xff\xff\xff\x7f")
    whole = line.segment(2, body(span()))
    line.insert(poison, whole)
    assert line.stored()["spans"] == 1
    assert line.counts.quarantined == 1
    assert line.inserter.last_error == ""
    assert sorted(path.suffix for path in line.quarantine.iterdir()) == [".reason", ".seg"]
    (reason,) = line.quarantine.glob("*.reason")
    assert reason.read_text().startswith("Code: ")


@pytest.mark.parametrize("odd", [b"\x08\x07", b"\x0a\x04\x12\x02\x10\x01"], ids=["resource_spans", "spans"])
def test_an_odd_request_does_not_take_others_with_it(line: Line, odd: bytes) -> None:
    """A number for a message is an unknown field to protobuf and an error to ClickHouse; the others were promised."""
    line.insert(line.segment(1, body(span(CALL)), odd, body(span(CALL))))
    assert (line.stored()["spans"], line.counts.rewritten_segments, line.counts.quarantined) == (2, 1, 0)


def test_a_tail_that_was_never_promised_is_not_inserted(line: Line) -> None:
    """A failed write left more in the file than its senders were told."""
    segment = line.segment(1, body(span()))
    with segment.path.open("ab") as file:
        file.write(body(span()))
    line.insert(segment)
    assert line.stored()["spans"] == 1


def test_tables_are_made_until_they_can_be(store: Store, tmp_path: Path) -> None:
    """A server that is away at first; the reason is told as long as it holds."""
    line = Line(store, tmp_path)
    line.failures = [StoreUnavailable("gone"), StoreUnavailable("still gone")]
    segment = line.segment(1, body(span()))
    line.inserter.start()
    line.insert(segment)
    line.inserter.stop()
    assert line.prepared == 3
    assert line.inserter.last_error == ""
    assert line.stored()["spans"] == 1


AWAY = StoreUnavailable("gone")
ODD = StoreError("Code: 9999. Nobody knows", 9999)
MOST = inserters._ATTEMPTS


def test_an_unknown_error_is_waited_out(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures of other kinds are not counted; only one that stays is taken for one of the data."""
    monkeypatch.setattr(inserters, "_PATIENCE_S", (0.001, 0.002))
    failing = Failing(store.url)
    line = Line(failing, tmp_path)
    line.inserter.start()
    cases: list[tuple[list[Exception], int]] = [
        ([AWAY] * 15 + [ODD], 0),
        ([ODD, AWAY] * MOST, 0),
        ([ValueError("of a kind that nobody expects")], 0),
        ([ODD] * (MOST + 2), 1),
    ]
    for number, (failures, split) in enumerate(cases, 1):
        failing.failures.extend(failures)
        line.insert(line.segment(number, body(span(CALL)), body(span(CALL))))
        assert line.stored()["spans"] == 2 * number
        assert (line.counts.split_segments, line.counts.quarantined) == (split, 0)
        assert line.inserter.last_error == ""
    line.inserter.stop()
    failing.close()


def test_what_is_damaged_while_it_waits_is_set_aside(line: Line) -> None:
    """Also where ClickHouse would take it, as something else; the others are stored, and its room is free."""
    for number, (old, new) in enumerate([(b"span-1", b"sqan-1"), (b"\x2a\x06span-1", b"\x2a\x46span-1"), (b"", b"")]):
        segment = line.segment(number, *(body(span(name=f"span-{name}")) for name in (0, 2, 1)))
        data = segment.path.read_bytes()
        segment.path.write_bytes(data.replace(old, new) if old else data[:-9])
        freed = line.freed
        line.insert(segment)
        assert (line.counts.inserted, line.counts.quarantined) == (2 * number + 2, number + 1)
        assert line.freed == freed + segment.size
    rows = line.store.rows("SELECT SpanName AS name, count() AS n FROM otel_traces GROUP BY name ORDER BY name")
    assert rows == [{"name": "span-0", "n": 3}, {"name": "span-2", "n": 3}]
    nothing = line.segment(9, body(span()))
    nothing.path.write_bytes(bytes(nothing.size))
    line.insert(nothing)
    assert (line.counts.inserted, line.counts.quarantined, line.counts.rewritten_segments) == (6, 4, 0)
    assert {path.suffix for path in line.quarantine.iterdir()} == {".damaged"}
    assert len(list(line.quarantine.iterdir())) == 4
    assert list(line.folder.glob("*.seg")) == []


def test_what_cannot_be_rewritten_does_not_take_others_with_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the rewriting stumbles over."""
    real = inserters.flatten

    def flatten(signal: Signal, data: bytes, records: list[Good]) -> bytes:
        if any(b"stumble" in data[record.body : record.end] for record in records):
            raise EncodeError("too large")
        return real(signal, data, records)

    monkeypatch.setattr(inserters, "flatten", flatten)
    nested = {"deep": {"a": [1]}}
    line.insert(line.segment(1, body(span(nested)), body(span({**nested, "b": "stumble"})), body(span(nested))))
    assert line.stored()["spans"] == 2
    assert line.counts.quarantined == 1
    (reason,) = line.quarantine.glob("*.reason")
    assert "EncodeError('too large')" in reason.read_text()


def test_a_segment_that_needs_too_much_memory_lets_others_pass(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits behind them, whole, until the server has more: some of it may be in a table already."""
    monkeypatch.setattr(inserters, "_PATIENCE_S", (0.01, 0.05))
    large, small = line.segment(1, body(*(span({"x": "y" * 1000}) for _ in range(8000)))), line.segment(2, body(span()))
    with monkeypatch.context() as patch:
        patch.setitem(inserters._SETTINGS, "max_memory_usage", 32 << 20)
        line.inserter.add(large)
        line.inserter.add(small)
        deadline = time.monotonic() + WAIT_S
        while line.counts.inserted < 1 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert line.stored()["spans"] == 1
        assert line.inserter.oldest == large.began
    assert line.inserter.wait(WAIT_S)
    assert line.stored()["spans"] == 8001
    assert (line.counts.split_segments, line.counts.quarantined) == (0, 0)
    assert line.counts.failed_inserts > 0
