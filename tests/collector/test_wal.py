"""The log: on disk before it is acknowledged, bounded, and whole again after any crash."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.errors import LogFull
from otel_llm_collector.log import open_segment
from otel_llm_collector.log import segment as segments
from otel_llm_collector.log.record import Good, Record, scan
from otel_llm_collector.log.segment import Mended, Segment, identity
from otel_llm_collector.log.segment import recover as recover_from
from otel_llm_collector.log.wal import Log
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import LOGS, TRACES
from tests.support.otlp import body, log_record, segment, span

WAIT_S = 30


def _record(size: int = 10) -> Record:
    return log_record(body(span({"text": "x" * size})), 1)


class Logs:
    """Makes logs in one folder and closes them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.sealed: list[Segment] = []
        self.copies: list[Path] = []
        self._made: list[Log] = []

    def make(self, **options: Any) -> Log:
        settings = replace(Settings(data=self.data, segment_age_s=3600), **options)
        settings.folder_of("traces").mkdir(parents=True, exist_ok=True)
        log = Log(settings, 0, 0, self.sealed.append, {"traces": self.copies})
        log.start()
        self._made.append(log)
        return log

    def close(self) -> None:
        for log in self._made:
            log.close()


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    logs = Logs(tmp_path)
    yield logs
    logs.close()


def _contents(segment: Segment) -> list[bytes]:
    return [part.digest for part in scan(segment.path.read_bytes(), identity(segment.path)) if isinstance(part, Good)]


def test_what_is_acknowledged_is_in_the_file(logs: Logs) -> None:
    """The future is done when the record can be read from the disk, before the segment is complete."""
    log = logs.make()
    records = [_record(n) for n in range(20)]
    for done in [log.append(TRACES, record) for record in records]:
        done.result(WAIT_S)
    (path,) = logs.data.glob("log/traces/*.seg")
    assert [part.digest for part in scan(path.read_bytes(), identity(path)) if isinstance(part, Good)] == [
        record.digest for record in records
    ]
    assert logs.sealed == []
    assert log.waiting_bytes == path.stat().st_size


def test_each_group_waits_for_the_disk_once(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that come while the disk works share the next fdatasync, and none is acknowledged without one."""
    real: Callable[[int], None] = os.fdatasync
    synced: list[int] = []

    def fdatasync(file: int) -> None:
        real(file)
        synced.append(os.fstat(file).st_size)

    monkeypatch.setattr(open_segment.os, "fdatasync", fdatasync)
    log = logs.make()
    waiting = [log.append(TRACES, _record()) for _ in range(200)]
    for done in waiting:
        done.result(WAIT_S)
    assert 1 <= len(synced) < 200
    assert synced[-1] == log.waiting_bytes


def test_a_segment_is_handed_on_when_large(logs: Logs) -> None:
    """Segments do not outgrow the limit by more than one record, keep the order and lose nothing."""
    log = logs.make(segment_bytes=2000)
    records = [_record(500) for _ in range(10)]
    for done in [log.append(TRACES, record) for record in records]:
        done.result(WAIT_S)
    log.close()
    assert len(logs.sealed) >= 3
    assert all(segment.size <= 2000 + records[0].size for segment in logs.sealed)
    assert [found for segment in logs.sealed for found in _contents(segment)] == [record.digest for record in records]
    assert sum(segment.items for segment in logs.sealed) == 10
    assert [segment.name for segment in logs.sealed] == sorted(segment.name for segment in logs.sealed)


def test_each_signal_has_a_segment_of_its_own(logs: Logs) -> None:
    """A file is one message; a request to wait for one hands on all."""
    log = logs.make()
    (logs.data / "log" / "logs").mkdir()
    log.append(TRACES, _record(1)).result(WAIT_S)
    log.append(LOGS, _record(2)).result(WAIT_S)
    log.append(TRACES, _record(3)).result(WAIT_S)
    log.seal()
    found = {segment.signal: (segment.items, segment.path.parent.name) for segment in logs.sealed}
    assert found == {TRACES: (2, "traces"), LOGS: (1, "logs")}


def test_a_segment_is_handed_on_when_old(logs: Logs) -> None:
    """Without any further record."""
    log = logs.make(segment_age_s=0.01)
    log.append(TRACES, _record()).result(WAIT_S)
    log.seal()
    assert len(logs.sealed) == 1


def test_a_record_larger_than_a_segment_has_one_of_its_own(logs: Logs) -> None:
    """The limit of a segment is not that of a request."""
    log = logs.make(segment_bytes=100)
    log.append(TRACES, _record(5000)).result(WAIT_S)
    log.seal()
    assert len(_contents(logs.sealed[0])) == 1


def test_records_that_grow_when_they_are_rows_share_no_segment(logs: Logs) -> None:
    """What its rows repeat counts too, where that is much."""
    log = logs.make(segment_bytes=4000)
    light, heavy = _record(), replace(_record(), unfolded=64_000)
    for record in (light, heavy, light, light):
        log.append(TRACES, replace(record, digest=os.urandom(16))).result(WAIT_S)
    log.close()
    assert [segment.items for segment in logs.sealed] == [2, 2]


def test_a_full_log_refuses_until_there_is_room(logs: Logs) -> None:
    """What waits for the store is bounded on disk."""
    log = logs.make(log_bytes=6 * _record(200).size + 99, segment_bytes=1)
    for _ in range(6):
        log.append(TRACES, _record(200)).result(WAIT_S)
    with pytest.raises(LogFull, match="has not taken yet"):
        log.append(TRACES, _record(200))
    log.seal()
    log.freed(logs.sealed[0].size)
    log.append(TRACES, _record(200)).result(WAIT_S)


def test_a_disk_that_is_full_refuses_and_recovers(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a failed write is promised or handed on; when the disk has room again the log goes on by itself."""
    log = logs.make()
    first, lost, second = _record(1), _record(2), _record(3)
    log.append(TRACES, first).result(WAIT_S)
    real = os.write

    def write(file: int, data: memoryview) -> int:
        real(file, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(open_segment.os, "write", write)
        with pytest.raises(LogFull, match="No space left on device"):
            log.append(TRACES, lost).result(WAIT_S)
    log.append(TRACES, second).result(WAIT_S)
    log.seal()
    assert [_contents(segment) for segment in logs.sealed] == [[first.digest], [second.digest]]
    assert [segment.path.stat().st_size for segment in logs.sealed] == [segment.size for segment in logs.sealed]


def test_a_folder_that_is_gone_refuses(logs: Logs) -> None:
    """The sender is asked to try again; the log lives on."""
    log = logs.make()
    folder = logs.data / "log" / "traces"
    folder.rmdir()
    with pytest.raises(LogFull, match="cannot be written"):
        log.append(TRACES, _record()).result(WAIT_S)
    folder.mkdir()
    log.append(TRACES, _record()).result(WAIT_S)


def test_a_record_that_cannot_be_written_is_refused(logs: Logs) -> None:
    """Whatever the reason, its sender is answered, and the log goes on."""
    log = logs.make()
    with pytest.raises(LogFull, match="at most 64 bytes"):
        log.append(TRACES, replace(_record(), tenant="t" * 65)).result(WAIT_S)
    log.append(TRACES, _record()).result(WAIT_S)
    assert log.problem == ""


def test_a_file_that_cannot_be_closed_was_written(logs: Logs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its records are on the disk."""
    real = os.close

    def close(file: int) -> None:
        real(file)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    log = logs.make()
    log.append(TRACES, _record()).result(WAIT_S)
    with monkeypatch.context() as patch:
        patch.setattr(open_segment.os, "close", close)
        log.seal()
    log.append(TRACES, _record()).result(WAIT_S)
    log.seal()
    assert [segment.items for segment in logs.sealed] == [1, 1]


def test_the_folder_of_an_endpoint_holds_up_nothing(logs: Logs) -> None:
    """One that has gone is made again; where there can be none, segments go without it."""
    there, file = logs.data / "log" / "forward" / "there" / "traces", logs.data / "file"
    file.write_text("")
    logs.copies = [there, file / "traces", file]
    log = logs.make()
    log.append(TRACES, _record()).result(WAIT_S)
    log.seal()
    assert [path.name for path in there.iterdir()] == [logs.sealed[0].path.name]


def test_the_log_is_for_its_owner_only(logs: Logs) -> None:
    """It holds prompts and answers."""
    segments.make_folder(logs.data / "log")
    log = logs.make()
    log.append(TRACES, _record()).result(WAIT_S)
    log.seal()
    path = logs.sealed[0].path
    segments.write_durably(path.with_suffix(".other"), b"")
    modes = [os.stat(one).st_mode & 0o777 for one in (logs.data / "log", path, path.with_suffix(".other"))]
    assert modes == [0o700, 0o600, 0o600]


def test_closing_keeps_everything_and_takes_nothing_more(logs: Logs) -> None:
    """What was appended is written and handed on; later records are refused."""
    log = logs.make()
    waiting = [log.append(TRACES, _record()) for _ in range(50)]
    log.close()
    assert all(done.done() and done.exception() is None for done in waiting)
    assert sum(segment.items for segment in logs.sealed) == 50
    with pytest.raises(LogFull, match="shutting down"):
        log.append(TRACES, _record())


def recover(folder: Path) -> list[Mended]:
    return recover_from(TRACES, folder, folder / "quarantine")


def _segment(folder: Path, *records: Record) -> Path:
    return segment(folder, 7, *records).path


def test_recovery_cuts_a_torn_tail(tmp_path: Path) -> None:
    """An unfinished write was promised to nobody."""
    kept, torn = _record(1), _record(2)
    path = _segment(tmp_path, kept, torn)
    whole = path.stat().st_size
    os.truncate(path, whole - 3)
    (mended,) = recover(tmp_path)
    assert mended.torn == torn.size - 3
    assert mended.quarantined == 0
    assert mended.segment == Segment(TRACES, path, kept.size, 1, 1, (kept.digest,), 7e-9)
    assert path.stat().st_size == kept.size
    assert not (tmp_path / "quarantine").exists()


def test_recovery_sets_a_flipped_record_aside(tmp_path: Path) -> None:
    """Its neighbours are delivered, its bytes are kept."""
    records = [_record(n) for n in range(3)]
    path = _segment(tmp_path, *records)
    data = bytearray(path.read_bytes())
    data[records[0].size + 60] ^= 4
    path.write_bytes(data)
    (mended,) = recover(tmp_path)
    assert mended.segment is not None
    assert mended.segment.digests == (records[0].digest, records[2].digest)
    assert (mended.quarantined, mended.torn) == (1, 0)
    (aside,) = (tmp_path / "quarantine").iterdir()
    assert aside.read_bytes() == data[records[0].size : records[0].size + records[1].size]
    assert recover(tmp_path)[0].quarantined == 0, "a second start finds a whole segment"


def test_recovery_removes_segments_without_a_record(tmp_path: Path) -> None:
    """A crash between making a file and its first record; and files of unfinished rewrites."""
    _segment(tmp_path)
    (tmp_path / "x.seg.new").write_bytes(b"half")
    (tmp_path / "x.flat").write_bytes(b"half")
    (mended,) = recover(tmp_path)
    assert mended.segment is None
    assert list(tmp_path.iterdir()) == []


def test_recovery_goes_on_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A torn tail is cut without any; a damaged segment is left for later."""
    torn, damaged, whole = (segment(tmp_path, number, _record(number), _record(number + 9)) for number in (1, 2, 3))
    os.truncate(torn.path, torn.size - 3)
    data = bytearray(damaged.path.read_bytes())
    data[60] ^= 4
    damaged.path.write_bytes(data)

    def write(file: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(segments, "write_all", write)
        found = [mended.segment for mended in recover(tmp_path)]
    assert [one.items if one else 0 for one in found] == [1, 1, 2]
    assert [one is not None and one.is_whole() for one in found] == [True, False, True]
    assert found[1] is not None
    assert damaged.path.read_bytes() == data
    mended = segments.mend(TRACES, damaged.path, tmp_path / "quarantine", found[1].size)
    assert (mended.quarantined, mended.torn) == (1, 0)
    assert found[2] == whole


def test_recovery_takes_a_record_once(tmp_path: Path) -> None:
    """A write that failed and could not be undone, and its resend; the halves of one segment have none in common."""
    first, second, third = _record(1), _record(2), _record(3)
    segment(tmp_path, 1, first, second)
    segment(tmp_path, 2, second, third)
    segment(tmp_path, 3, third)
    digests = [mended.segment.digests if mended.segment else () for mended in recover(tmp_path)]
    assert digests == [(first.digest, second.digest), (third.digest,), ()]
    assert len(list(tmp_path.glob("*.seg"))) == 2
