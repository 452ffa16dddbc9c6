"""A store that is away, slow, full, or does not let the collector in, and a disk that is full: nothing is lost.

The server is the stand-in of ``tests/support/clickhouse.py``.
"""

from __future__ import annotations

import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_llm_collector import schemas
from otel_llm_collector.app import Collector
from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.log import open_segment
from otel_llm_collector.settings import MIB, Settings
from tests.collector.conftest import Start
from tests.support.clickhouse import PASSWORD, ClickHouse
from tests.support.collector import get, launch, send
from tests.support.outages import PROTOBUF, calls, each, export, reasons, stored, until
from tests.support.small_disk import mounted

WAIT_S = 120
_numbers = itertools.count(1)
FULL = "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space. (NOT_ENOUGH_SPACE)"


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path_factory.mktemp("server"))
    yield server
    server.stop()


@pytest.fixture
def server(one_server: ClickHouse) -> ClickHouse:
    """A server that runs and is well, with a database that no other test uses."""
    one_server.database = f"otel_{next(_numbers)}"
    one_server.recover()
    if not one_server.runs:
        one_server.start()
    return one_server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB."""
    with mounted(tmp_path / "disk", 8 << 20) as reason:
        if reason:
            pytest.skip(reason)
        yield tmp_path / "disk"


# ClickHouse is away --------------------------------------------------------------------------------------------------
def test_a_server_that_is_down_at_the_start_is_waited_for(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Spans are accepted meanwhile; the collector says that it is not ready, and why, and recovers by itself."""
    server.stop()
    collector = start(tmp_path / "data", store=server.url)
    assert export(collector.http, *calls(5)) == [200] * 5
    assert get(collector.api + "/livez")[0] == 200
    where = server.url.replace(PASSWORD, "***")
    assert reasons(collector.api) == f"ClickHouse at {where} cannot be reached: Connection refused.\n"
    assert not collector.status()["storage"]["reachable"]
    server.start()
    until(lambda: not reasons(collector.api))
    assert stored(collector) == each(5)
    until(lambda: collector.status()["storage"]["reachable"])
    assert collector.stop() == 0


def test_a_server_that_goes_while_nobody_sends_is_missed(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """And found again, before anything is to be stored."""
    collector = start(tmp_path / "data", store=server.url)
    assert reasons(collector.api) == ""
    server.stop()
    until(lambda: "cannot be reached: Connection refused." in reasons(collector.api))
    server.start()
    until(lambda: not reasons(collector.api))
    collector.stop()


def test_an_outage_loses_nothing_and_doubles_nothing(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """The server dies at any moment under load, twice; then the collector does, with the server away."""
    collector = start(tmp_path / "data", store=server.url, segment_age_s=0.2)
    sent = 0
    for _ in range(2):
        for number in range(30):
            assert export(collector.http, *calls(1, spans=20)) == [200]
            sent += 20
            if number == 10:
                server.stop()
            if number == 20:
                server.start()
    server.stop()
    assert export(collector.http, *calls(1)) == [200]
    collector.kill()
    server.start()
    collector = start(tmp_path / "data", store=server.url)
    assert stored(collector) == each(sent + 1)
    collector.stop()


def test_a_long_outage_fills_the_log_and_drains_in_order(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Full means later: 503 with a short hint. What was acknowledged is inserted in the order in which it came."""
    collector = start(tmp_path / "data", store=server.url, log_bytes=80_000, segment_bytes=15_000, segment_age_s=0.05)
    assert export(collector.http, *calls(1)) == [200]
    collector.flush()
    server.stop()
    bodies = calls(50, spans=20)
    codes = export(collector.http, *bodies)
    accepted = codes.count(200)
    assert codes == [200] * accepted + [503] * (50 - accepted)
    assert 10 < accepted < 50
    _, headers, _ = send("POST", f"{collector.http}/v1/traces", bodies[-1], PROTOBUF)
    assert headers["Retry-After"] == "1"
    assert reasons(collector.api).endswith("The log is full: it holds 0 MiB that the store has not taken yet.\n")
    server.start()
    assert stored(collector) == each(accepted * 20 + 1)
    tokens = [token for table, token in server.inserted() if "traces" in table]
    assert len(tokens) > 4
    assert tokens == sorted(tokens)
    assert export(collector.http, *bodies) == [200] * 50, "those that are known, and those that found no room"
    assert stored(collector) == each(50 * 20 + 1)
    assert collector.status()["signals"]["traces"]["duplicate_requests"] == accepted
    collector.stop()


def test_a_collector_stops_though_its_server_is_away(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """What the server did not take waits in the log for the next start."""
    collector = start(tmp_path / "data", store=server.url)
    server.stop()
    assert export(collector.http, *calls(1)) == [200]
    assert collector.stop() == 0
    assert len(list((tmp_path / "data" / "log" / "traces").glob("*.seg"))) == 1


# ClickHouse is there, and does not take it ---------------------------------------------------------------------------
def test_a_slow_server_slows_nobody(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Senders are answered as ever, the rest waits in the log, and that is no reason not to be ready."""
    collector = start(tmp_path / "data", store=server.url, segment_age_s=0.1)
    server.slow_down(0.5)
    sent = 0

    def waiting() -> bool:
        nonlocal sent
        assert export(collector.http, *calls(10)) == [200] * 10
        sent += 10
        return bool(collector.status()["signals"]["traces"]["segments_waiting"])

    until(waiting)
    assert reasons(collector.api) == ""
    server.recover()
    assert stored(collector) == each(sent)
    assert collector.status()["signals"]["traces"]["failed_inserts"] == 0
    collector.stop()


def test_a_server_whose_disk_is_full_is_waited_for(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """However long: nothing is set aside for it, and its own words are the reason."""
    collector = start(tmp_path / "data", store=server.url, segment_age_s=0.05)
    server.refuse_inserts(FULL)
    assert export(collector.http, *calls(3)) == [200] * 3
    until(lambda: collector.status()["signals"]["traces"]["failed_inserts"] >= 3)
    assert reasons(collector.api) == f"{FULL}\n"
    server.recover()
    assert stored(collector) == each(3)
    assert reasons(collector.api) == ""
    assert collector.status()["signals"]["traces"]["quarantined"] == 0
    collector.stop()


def test_an_insert_whose_outcome_is_unknown_counts_once(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """The server does it and the connection breaks before it says so; the insert is repeated under its name."""
    collector = start(tmp_path / "data", store=server.url)
    server.swallow_next_insert()
    assert export(collector.http, *calls(1, spans=50)) == [200]
    assert stored(collector) == each(50)
    assert server.has_swallowed
    names = [token for _, token in server.inserted()]
    assert len(names) == 2
    assert len(set(names)) == 1
    assert collector.status()["signals"]["traces"]["failed_inserts"] == 1
    collector.stop()


def test_a_wrong_password_is_said_and_mended_without_a_restart(
    tmp_path: Path, server: ClickHouse, start: Start
) -> None:
    """At the start and while it runs, in ClickHouse's words and without the password; spans are accepted meanwhile."""
    server.change_password("another")
    collector = start(tmp_path / "data", store=server.url)
    assert "Authentication failed" in reasons(collector.api)
    assert export(collector.http, *calls(2)) == [200] * 2
    server.recover()
    assert stored(collector) == each(2)
    until(lambda: not reasons(collector.api))
    server.change_password("another")
    assert export(collector.http, *calls(3)) == [200] * 3
    until(lambda: reasons(collector.api))
    assert "Authentication failed" in reasons(collector.api)
    assert PASSWORD not in reasons(collector.api) + str(collector.status())
    server.recover()
    assert stored(collector) == each(5)
    until(lambda: not reasons(collector.api))
    collector.stop()


# The tables are of another version -----------------------------------------------------------------------------------
def _newer(store: Store) -> None:
    store.command("INSERT INTO otel_llm_migrations (version, name, checksum) VALUES (9999, 'later', 'x')")


def test_a_server_with_a_newer_schema_is_waited_for(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Its tables may not be ours any more: what is accepted stays in the log until they are."""
    store = Store(server.url)
    migrations.migrate(store)
    _newer(store)
    collector = start(tmp_path / "data", store=server.url)
    assert export(collector.http, *calls(2)) == [200] * 2
    known = max(migration.version for migration in migrations.available())
    assert reasons(collector.api) == (
        f"The schema of the store is at version 9999; this otel-llm knows versions up to {known}. "
        "Upgrade otel-llm, or point it at another store.\n"
    )
    assert collector.query("SELECT count() AS n FROM otel_traces") == [{"n": 0}]
    store.command("DELETE FROM otel_llm_migrations WHERE version = 9999")
    assert stored(collector) == each(2)
    until(lambda: not reasons(collector.api))
    collector.stop()
    store.close()


def test_a_schema_that_becomes_newer_is_a_warning(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Another collector has been upgraded first: this one goes on."""
    collector = start(tmp_path / "data", store=server.url)
    assert collector.status()["warnings"] == []
    store = Store(server.url)
    _newer(store)
    until(lambda: collector.status()["warnings"])
    (warning,) = collector.status()["warnings"]
    assert warning.startswith("The schema of the store is at version 9999 by now;")
    assert reasons(collector.api) == ""
    assert export(collector.http, *calls(2)) == [200] * 2
    assert stored(collector) == each(2)
    collector.stop()
    store.close()


def test_an_embedded_store_with_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """At once, as nobody else will change it."""
    store = Store(f"chdb://{tmp_path}/store")
    migrations.migrate(store)
    _newer(store)
    store.close()
    process = launch(tmp_path)
    complaint = process.communicate(timeout=WAIT_S)[1]
    assert process.returncode == 1
    assert complaint.startswith("The schema of the store is at version 9999;")
    assert "Traceback" not in complaint


def test_an_older_schema_is_brought_up_to_date(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """With what is in it."""
    first = tmp_path / "first"
    first.mkdir()
    for name in ("0001_traces.sql", "0002_llm_calls.sql"):
        shutil.copy(schemas.folder() / "migrations" / name, first)
    store = Store(server.url)
    migrations.migrate(store, first)
    store.command("INSERT INTO otel_traces (Timestamp, TraceId, SpanId) VALUES (now(), 'old', 'old')")
    store.close()
    collector = start(tmp_path / "data", store=server.url)
    assert export(collector.http, *calls(2)) == [200] * 2
    assert stored(collector)["spans"] == 3
    known = max(migration.version for migration in migrations.available())
    until(lambda: collector.status()["storage"]["schema_version"] == known)
    collector.stop()


# The log's disk ------------------------------------------------------------------------------------------------------
def test_a_full_disk_asks_senders_to_wait(tmp_path: Path, small_disk: Path, server: ClickHouse, start: Start) -> None:
    """Nothing of a request that is refused is stored, nothing that was acknowledged is lost; it recovers by itself."""
    collector = start(small_disk / "data", store=server.url, segment_age_s=3600)
    filler = small_disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - MIB - 131072)
    bodies = calls(40, spans=20)
    codes = export(collector.http, *bodies)
    accepted = codes.count(200)
    assert set(codes) == {200, 503}
    assert "The log cannot be written: No space left on device.\n" in reasons(collector.api)
    assert collector.status()["warnings"][0].startswith("Only 1 MiB are free on the disk of ")
    assert get(collector.api + "/livez")[0] == 200
    filler.unlink()
    until(lambda: not reasons(collector.api))
    assert stored(collector) == each(accepted * 20)
    assert export(collector.http, *bodies) == [200] * 40
    assert stored(collector) == each(40 * 20)
    collector.stop()


def test_a_disk_that_fails_is_told_and_looked_after(
    tmp_path: Path, server: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that does not reach the disk is not acknowledged; nobody has to send for it to be ready again."""
    settings = Settings(data=tmp_path / "data", store=server.url, grpc_port=0, http_port=0, api_port=0, jaeger_port=0)
    with Collector(settings) as collector:
        assert collector.running is not None
        http, api = collector.running.http, collector.running.api

        def broken(file: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        with monkeypatch.context() as patched:
            patched.setattr(open_segment.os, "fdatasync", broken)
            assert export(http, *calls(2)) == [503] * 2
            assert reasons(api) == "The log cannot be written: Input/output error.\n"
        until(lambda: not reasons(api))
        assert export(http, *calls(2)) == [200] * 2
