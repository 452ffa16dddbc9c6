"""Runs of a collector on a disk that loses power, and what must hold in every state that is left."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

from otel_llm_collector.clickhouse.inserter import Inserter
from otel_llm_collector.clickhouse.preparation import Preparation
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import LogFull
from otel_llm_collector.forwarding.endpoint import endpoints
from otel_llm_collector.forwarding.forwarded import Forwarded
from otel_llm_collector.forwarding.forwarders import Forwarding
from otel_llm_collector.forwarding.lane import Lane
from otel_llm_collector.log import seen
from otel_llm_collector.log.record import Record, digest
from otel_llm_collector.log.seen import Seen
from otel_llm_collector.log.segment import Segment, make_folder, number, recover
from otel_llm_collector.log.wal import Log
from otel_llm_collector.measures.counts import Counts
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import TRACES
from tests.support.endpoint import HttpEndpoint, Said, Sent
from tests.support.journal import Mark
from tests.support.power import Disk

WAIT_S = 60
MEMORY = Path("/dev/shm")
"""Where there is one, states are made there: they are many."""


class Loss(AssertionError):
    """What the model found."""


@dataclass
class Run:
    """What a run did, and with what."""

    disk: Disk
    settings: Settings
    bodies: dict[bytes, bytes]
    """What was sent, by its digest."""


class Keeper(Seen):
    """Marks what the store has when the log is told to forget it."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        super().__init__(folder)
        self._disk = disk

    def add(self, digests: Iterable[bytes]) -> None:
        digests = tuple(digests)
        self._disk.mark("stored", digests)
        super().add(digests)


class Taker(HttpEndpoint):
    """Marks what it takes before it says so."""

    def __init__(self, disk: Disk, *answers: Said) -> None:
        super().__init__(*answers)
        self.disk = disk

    def answer(self, sent: Sent) -> Said:
        said = super().answer(sent)
        if said.is_success:
            self.disk.mark(self.url, sent.body)
        return said


def work(
    run: Run, groups: Iterable[list[bytes]], store: Store | None = None, retries: bool = False, seal_every: int = 2
) -> None:
    """One run of a collector without its doors: what is left is recovered, then groups of bodies come in.

    Without a store what is sealed stays in the log. With ``retries`` what is refused is sent again.
    """
    settings, disk = run.settings, run.disk
    make_folder(settings.folder_of("traces"))
    forwarding = Forwarding(settings, endpoints(settings))
    inserter = _inserter(run, store) if store is not None else None
    known = set(Keeper(settings.log, disk).load())
    left = [mended.segment for mended in recover(TRACES, settings.folder_of("traces"), settings.quarantine)]

    def sealed(whole: Segment) -> None:
        if inserter is not None:
            inserter.add(whole)
        forwarding.add(whole)

    log = Log(settings, max((number(one.path) for one in left if one), default=0), 0, sealed, forwarding.copies)
    with ExitStack() as stack:
        forwarding.start(stack)
        if inserter is not None:
            for one in left:
                if one is not None:
                    inserter.add(one)
            inserter.start()
            stack.callback(inserter.stop)
        log.start()
        stack.callback(log.close)
        for turn, bodies in enumerate(groups, 1):
            _send(run, log, [one for one in bodies if digest(one, "traces") not in known], retries)
            if turn % seal_every == 0:
                log.seal()
        log.seal()
        if inserter is not None:
            assert inserter.wait(WAIT_S)


def _inserter(run: Run, store: Store) -> Inserter:
    quarantine = run.settings.quarantine
    keeper = Keeper(run.settings.log, run.disk)
    return Inserter(TRACES, store, Preparation(lambda: None), Counts(), keeper, quarantine, lambda size: None)


def _send(run: Run, log: Log, bodies: list[bytes], retries: bool) -> None:
    """A group commits together; it is acknowledged in the thread that writes, at once."""
    while bodies:
        waiting = []
        for one in bodies:
            mark = digest(one, "traces")
            run.bodies[mark] = one
            done = log.append(TRACES, Record(one, 1, mark))
            done.add_done_callback(lambda done, mark=mark: done.exception() or run.disk.mark("acknowledged", mark))
            waiting.append((one, done))
        bodies = []
        for one, done in waiting:
            try:
                done.result(WAIT_S)
            except LogFull:
                if retries:
                    bodies.append(one)


def _check(run: Run, upto: int, left: Path) -> None:
    """Recover what a crash before an event left in a folder, as a start does; raises :class:`Loss`."""
    settings = replace(run.settings, data=left / "data")
    make_folder(settings.folder_of("traces"))
    acknowledged = set(run.disk.marks("acknowledged", upto))
    stored = {mark for digests in run.disk.marks("stored", upto) for mark in digests}
    remembered = set(Seen(settings.log).load())
    mended = recover(TRACES, settings.folder_of("traces"), settings.quarantine)
    again = recover(TRACES, settings.folder_of("traces"), settings.quarantine)
    if [one.segment for one in again] != [one.segment for one in mended if one.segment]:
        raise Loss("A second recovery finds something else.")
    segments = [one.segment for one in mended if one.segment]
    found = Counter(mark for one in segments for mark in one.digests)
    for one in segments:
        data = one.path.read_bytes()
        if len(data) != one.size or any(run.bodies[mark] not in data for mark in one.digests):
            raise Loss("A record is not what was sent.")
    if any(0 < len(stored.intersection(one.digests)) < len(one.digests) for one in segments):
        raise Loss("What is stored has come back in another segment.")
    if twice := [mark for mark, times in found.items() if times > 1]:
        raise Loss(f"{len(twice)} records are there twice.")
    if found.keys() - run.bodies.keys():
        raise Loss("Something is there that was not sent.")
    if lost := acknowledged - stored - found.keys():
        raise Loss(f"{len(lost)} acknowledged records are lost.")
    if len(stored) <= seen.REMEMBERED and (unknown := acknowledged - remembered - found.keys()):
        raise Loss(f"The resends of {len(unknown)} acknowledged records would not be recognised.")
    for endpoint in endpoints(settings):
        _check_lane(run, upto, acknowledged, settings.log / "forward" / endpoint.name / "traces", endpoint.url)


def _check_lane(run: Run, upto: int, acknowledged: Iterable[bytes], folder: Path, url: str) -> None:
    """What an endpoint has and what still waits for it: everything, and requests that are the same again."""
    make_folder(folder)
    lane = Lane(TRACES, folder, Forwarded())
    waiting: list[bytes] = []
    while (request := lane.request()) is not None:
        waiting.append(request.body)
        lane.through()
    if any(folder.glob("*.seg")):
        raise Loss("A segment that is through is still there.")
    taken = run.disk.marks(url, upto)
    ahead = b"".join(waiting)
    if sum(len(one) * ahead.count(one) for one in run.bodies.values()) != len(ahead):
        raise Loss("Something waits that was not sent.")
    both = b"".join(taken) + ahead
    if lost := [mark for mark in acknowledged if run.bodies[mark] not in both]:
        raise Loss(f"{len(lost)} acknowledged records would not be forwarded.")
    for one in run.bodies.values():
        holding = {request for request in (*taken, *waiting) if one in request}
        if len(holding) > 1 or ahead.count(one) > 1:
            raise Loss("A record is sent again in another request.")


def survive(run: Run, most: int, seed: int) -> int:
    """Check the states after every event; how many there were."""
    chance = random.Random(seed)
    tried: set[int] = set()
    marks = 0
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder,
        mock.patch.object(os, "fsync"),
        mock.patch.object(os, "fdatasync"),
    ):
        for upto in range(len(run.disk.events) + 1):
            marks += upto > 0 and isinstance(run.disk.events[upto - 1], Mark)
            for state in run.disk.states(upto, most, chance):
                if (known := hash((marks, str(state)))) in tried:
                    continue
                tried.add(known)
                left = Path(folder) / "left"
                left.mkdir()
                state.write(left)
                try:
                    _check(run, upto, left)
                except Exception as error:
                    error.add_note(f"After event {upto} of {len(run.disk.events)}, seed {seed}, state {state}")
                    raise
                shutil.rmtree(left)
    return len(tried)
