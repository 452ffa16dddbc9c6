"""A request that comes again is recognised: now, after a restart, after very many others."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from otel_llm_collector.app import Collector
from otel_llm_collector.client import Reader
from otel_llm_collector.log import seen
from otel_llm_collector.log.record import DIGEST_SIZE
from otel_llm_collector.log.seen import Seen
from otel_llm_collector.receiver import intake
from otel_llm_collector.settings import Settings
from tests.collector.conftest import Start
from tests.support.collector import Handle, send
from tests.support.doors import DOORS, NAMES, export, request, stored
from tests.support.otlp import body, span

PRICED = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 100, "otel_llm.cost.total": 0.25}


def _digests(first: int, count: int) -> list[bytes]:
    return [number.to_bytes(DIGEST_SIZE, "big") for number in range(first, first + count)]


def test_what_was_added_is_loaded_oldest_first(tmp_path: Path) -> None:
    """By the next run."""
    Seen(tmp_path).add(_digests(0, 3))
    Seen(tmp_path).add(_digests(3, 2))
    assert list(Seen(tmp_path).load()) == _digests(0, 5)


def test_nothing_is_known_at_first(tmp_path: Path) -> None:
    """There is no file then."""
    assert list(Seen(tmp_path).load()) == []


def test_the_last_65536_are_always_known(tmp_path: Path) -> None:
    """However many came before: two files take turns, and neither grows any further."""
    keeper = Seen(tmp_path)
    for first in range(0, 300_000, 10_000):
        keeper.add(_digests(first, 10_000))
        known = list(Seen(tmp_path).load())
        wanted = _digests(max(0, first + 10_000 - seen.REMEMBERED), min(first + 10_000, seen.REMEMBERED))
        assert known[-len(wanted) :] == wanted
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 2 * (seen.REMEMBERED + 10_000) * DIGEST_SIZE


@pytest.mark.parametrize("cut", range(1, DIGEST_SIZE))
def test_a_torn_entry_costs_only_itself(tmp_path: Path, cut: int) -> None:
    """The others are known, and those that are added afterwards are in their places."""
    Seen(tmp_path).add(_digests(0, 3))
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - cut)
    keeper = Seen(tmp_path)
    assert list(keeper.load()) == _digests(0, 2)
    keeper.add(_digests(7, 2))
    assert list(Seen(tmp_path).load()) == [*_digests(0, 2), *_digests(7, 2)]


def _totals(collector: Handle) -> dict[str, Any]:
    (row,) = collector.query(
        "SELECT sum(calls) AS calls, toFloat64(sum(cost_total)) AS cost, sum(input_tokens) AS tokens, "
        "(SELECT count() FROM llm_calls) AS rows, (SELECT count() FROM otel_traces) AS spans FROM llm_calls_hourly"
    )
    return {name: float(number) for name, number in row.items()}


def test_fault_09_a_resend_doubles_neither_count_nor_cost(tmp_path: Path, start: Start) -> None:
    """At once, after the insert, after a crash before the insert, and after one behind it; through any door."""
    first, second = (request("traces", "again", span(PRICED), n=number) for number in range(2))

    def resend(sent: Any) -> None:
        for door in DOORS:
            assert export(collector, door, "traces", sent).stored

    collector = start(tmp_path, segment_age_s=3600)
    resend(first)
    collector.flush()
    resend(first)  # after the insert
    resend(second)
    collector.kill()  # after the insert of one, and before that of the other
    collector = start(tmp_path, segment_age_s=3600)
    resend(first)
    resend(second)
    collector.flush()
    collector.kill()  # behind both
    collector = start(tmp_path)
    resend(first)
    resend(second)
    collector.flush()
    assert _totals(collector) == {"calls": 2, "cost": 0.5, "tokens": 200, "rows": 2, "spans": 2}
    assert collector.status()["signals"]["traces"]["duplicate_requests"] == 6
    assert collector.stop() == 0


def test_a_stop_forgets_nothing(tmp_path: Path, start: Start) -> None:
    """Nor does one of another signal count for this one."""
    sent = {signal: request(signal, "again") for signal in NAMES}
    for expected in (0, 1, 1):
        collector = start(tmp_path)
        for signal in NAMES:
            assert export(collector, "protobuf", signal, sent[signal]).stored
            assert collector.status()["signals"][signal]["duplicate_requests"] == expected
            assert stored(collector, signal, "again") == 1
        assert collector.stop() == 0


class Runs:
    """Collectors in this process, one after the other on one folder, that remember eight requests."""

    def __init__(self, data: Path) -> None:
        self._settings = Settings(data=data, grpc_port=0, http_port=0, api_port=0, jaeger_port=0)
        self._running: Collector | None = None

    def restart(self) -> None:
        self.stop()
        self._running = Collector(self._settings).start()

    def stop(self) -> None:
        if self._running is not None:
            self._running.stop()
            self._running = None

    def send(self, *requests: bytes) -> int:
        """Send requests; how many of them were recognised."""
        assert self._running is not None
        assert self._running.running is not None
        before = self._running.counts["traces"].duplicate_requests
        url = f"http://{urlsplit(self._running.running.http).netloc}/v1/traces"
        for sent in requests:
            assert send("POST", url, sent, {"Content-Type": "application/x-protobuf"})[0] == 200
        with Reader.open(self._settings.data) as reader:
            reader.flush()
        return self._running.counts["traces"].duplicate_requests - before


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runs]:
    monkeypatch.setattr(seen, "REMEMBERED", 8)
    monkeypatch.setattr(intake, "REMEMBERED", 8)
    runs = Runs(tmp_path)
    runs.restart()
    yield runs
    runs.stop()


@pytest.mark.parametrize("restarts", [True, False], ids=["restarted", "running"])
def test_after_very_many_requests_the_last_ones_are_known(runs: Runs, restarts: bool) -> None:
    """As many as are remembered; one that is older than that is taken for new, as is said in the documentation."""
    maybe: Callable[[], None] = runs.restart if restarts else lambda: None
    requests = [body(span({"n": number}), service="many") for number in range(40)]
    for first in range(0, 40, 4):
        assert runs.send(*requests[first : first + 4]) == 0
        maybe()
        assert runs.send(*requests[max(0, first - 4) : first + 4]) == min(8, first + 4)
        maybe()
    assert runs.send(requests[0]) == 0
