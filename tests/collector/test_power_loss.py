"""Power is lost after every single file operation of the log: nothing acknowledged is lost, nothing comes twice.

The disk of these tests keeps of what was not synced whatever it likes (``tests/support/journal.py``); the log, the
inserter with its store, the forwarders and what they are sent to are real.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.forwarding import lane
from otel_llm_collector.log import open_segment, seen, segment
from otel_llm_collector.settings import Forward, Settings
from tests.support.endpoint import Said
from tests.support.losing_power import Loss, Run, Taker, survive, work
from tests.support.otlp import body, span
from tests.support.power import Disk

SEED = 20_261_128
STATES = 8
"""Most that are tried after one event."""
POISON = b"\x0a\xff\xff\xff\xff\x7f"


@pytest.fixture
def takers() -> Iterator[Callable[..., Taker]]:
    """Makes endpoints, and closes them."""
    made: list[Taker] = []

    def make(*arguments: Any) -> Taker:
        made.append(Taker(*arguments))
        return made[-1]

    yield make
    for taker in made:
        taker.close()


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of a few records, and a memory of a few digests."""
    monkeypatch.setattr(lane, "REQUEST_BYTES", 1500)
    monkeypatch.setattr(seen, "REMEMBERED", 30)


def _bodies(chance: random.Random, count: int) -> list[bytes]:
    """Of sizes from less than a sector to several."""
    return [body(span({"text": "x" * chance.choice((1, 300, 511, 900, 2500))})) for _ in range(count)]


def _run(tmp_path: Path, *takers: Taker, disk: Disk | None = None, **options: Any) -> Run:
    """A run on a disk of its own."""
    root = tmp_path / "disk"
    root.mkdir(exist_ok=True)
    forward = tuple(Forward(taker.url, signals=("traces",)) for taker in takers)
    settings = Settings(data=root / "data", forward=forward, segment_age_s=3600, segment_bytes=6000, **options)
    return Run(disk or Disk(root), settings, {})


def test_a_log_whose_segments_wait(tmp_path: Path, takers: Callable[..., Taker]) -> None:
    """The store takes nothing; one endpoint takes everything, one is asked to wait in the middle of a segment."""
    run = _run(tmp_path)
    quick, slow = takers(run.disk), takers(run.disk, Said(), Said(), Said(503, {"Retry-After": "3000"}))
    run = _run(tmp_path, quick, slow, disk=run.disk)
    chance = random.Random(SEED)
    with run.disk.recording():
        work(run, [_bodies(chance, chance.randrange(1, 5)) for _ in range(8)])
    assert survive(run, STATES, SEED) > 200


def test_a_log_that_is_stored(tmp_path: Path, store: Store, takers: Callable[..., Taker]) -> None:
    """With values that are rewritten, and records that the store never takes and that are found by halving."""
    run = _run(tmp_path)
    run = _run(tmp_path, takers(run.disk), disk=run.disk)
    chance = random.Random(SEED + 1)
    groups = [_bodies(chance, 3) for _ in range(4)]
    groups[0].append(body(span({"nested": {"list": [[1]]}})))
    groups[2].append(POISON + chance.randbytes(16))
    with run.disk.recording():
        work(run, groups, store)
    assert survive(run, STATES, SEED) > 200


def test_a_memory_that_changes_files(tmp_path: Path, store: Store) -> None:
    """The newer file of digests takes the place of the older one."""
    run = _run(tmp_path)
    chance = random.Random(SEED + 2)
    with run.disk.recording():
        work(run, [_bodies(chance, 12) for _ in range(3)], store, seal_every=1)
    assert list(tmp_path.glob("disk/data/log/seen.old"))
    assert survive(run, STATES, SEED) > 100


@pytest.mark.parametrize(
    ("call", "turns"), [("write", {2}), ("sync", {2}), ("sync", {1, 2})], ids=["write", "sync", "sync and undo"]
)
def test_a_disk_that_fails_and_then_loses_power(tmp_path: Path, call: str, turns: set[int]) -> None:
    """What was refused is sent again and acknowledged; the first, half or wholly written, does not come back.

    Not even where the disk failed again while it was being cut off.
    """
    run = _run(tmp_path)
    chance = random.Random(SEED + 3)
    count = 0

    def fail(what: str, name: str) -> bool:
        nonlocal count
        count += what == call and name.endswith(".seg")
        return what == call and name.endswith(".seg") and count % 3 in turns and count > 1

    run.disk.fail = fail
    with run.disk.recording():
        work(run, [_bodies(chance, 2) for _ in range(6)], retries=True)
    assert survive(run, 40, SEED) > 60


@pytest.mark.parametrize("call", ["write", "sync"])
def test_a_memory_on_a_disk_that_fails(tmp_path: Path, store: Store, call: str) -> None:
    """What could be written only in part does not shift what follows."""
    run = _run(tmp_path)
    chance = random.Random(SEED + 4)
    count = 0

    def fail(what: str, name: str) -> bool:
        nonlocal count
        count += what == call and name.endswith("seen")
        return what == call and name.endswith("seen") and count == 2

    run.disk.fail = fail
    with run.disk.recording():
        work(run, [_bodies(chance, 3) for _ in range(4)], store, seal_every=1)
    assert survive(run, 40, SEED) > 60


def test_a_recovery_that_loses_power_too(tmp_path: Path, takers: Callable[..., Taker]) -> None:
    """From states that a crash left: the next run recovers, goes on, and is cut off at every step."""
    run = _run(tmp_path)
    taker = takers(run.disk, Said(), Said(503, {"Retry-After": "3000"}))
    run = _run(tmp_path, taker, disk=run.disk)
    chance = random.Random(SEED + 5)
    groups = [_bodies(chance, 3) for _ in range(4)]
    with run.disk.recording():
        work(run, groups)
    tried = 0
    for turn in range(12):
        upto = chance.randrange(len(run.disk.events) // 3, len(run.disk.events))
        state = next(run.disk.states(upto, 1, chance))
        root = tmp_path / f"run{turn}" / "disk"
        root.mkdir(parents=True)
        state.write(root)
        second = _run(root.parent, disk=Disk(root))
        second.settings = replace(second.settings, forward=run.settings.forward)
        second.bodies.update(run.bodies)
        for what in ("acknowledged", *(forward.url for forward in run.settings.forward)):
            for value in run.disk.marks(what, upto):
                second.disk.mark(what, value)
        taker.disk = second.disk
        begun = len(second.disk.events)
        with second.disk.recording():
            work(second, [_bodies(chance, 2)])
        assert len(second.disk.events) > begun
        tried += survive(second, 4, SEED)
    assert tried > 200


@pytest.mark.parametrize(
    ("module", "name"),
    [(open_segment.os, "fdatasync"), (open_segment, "sync_folder"), (segment, "sync_folder")],
    ids=["the data of the log", "the name of a segment", "the name of a folder"],
)
def test_a_sync_that_is_left_out_is_found(tmp_path: Path, module: Any, name: str) -> None:
    """The disk of these tests does lose what is not synced."""
    run = _run(tmp_path)
    chance = random.Random(SEED)
    with run.disk.recording(), mock.patch.object(module, name):
        work(run, [_bodies(chance, 2) for _ in range(3)])
    with pytest.raises(Loss, match="acknowledged records are lost"):
        survive(run, STATES, SEED)


def test_a_name_for_an_endpoint_that_is_not_synced_is_found(tmp_path: Path, takers: Callable[..., Taker]) -> None:
    """Its folder is one of its own."""
    run = _run(tmp_path)
    run = _run(tmp_path, takers(run.disk, Said(503, {"Retry-After": "3000"})), disk=run.disk)
    chance = random.Random(SEED)
    real = open_segment.sync_folder

    def sync_folder(folder: Path) -> None:
        if "forward" not in folder.parts:
            real(folder)

    with run.disk.recording(), mock.patch.object(open_segment, "sync_folder", sync_folder):
        work(run, [_bodies(chance, 2) for _ in range(3)])
    with pytest.raises(Loss, match="acknowledged records would not be forwarded"):
        survive(run, STATES, SEED)


def test_a_memory_whose_name_is_not_synced_is_found(tmp_path: Path, store: Store) -> None:
    """Its segments are gone for good before it is there for good."""
    run = _run(tmp_path)
    chance = random.Random(SEED)
    with run.disk.recording(), mock.patch.object(seen, "sync_folder"):
        work(run, [_bodies(chance, 2) for _ in range(3)], store)
    with pytest.raises(Loss, match="would not be recognised"):
        survive(run, STATES, SEED)
