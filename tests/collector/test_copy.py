"""``otel-llm copy``: from one store to another, each row once, and both compared. The server is the stand-in's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.copying.day import Copied
from otel_llm_collector.errors import CollectorError, SchemaError
from tests.collector.conftest import Start
from tests.support import command, copies
from tests.support.clickhouse import ClickHouse
from tests.support.collector import send
from tests.support.otlp import body, span

DAYS = 4


def test_the_destination_has_what_the_source_has(tmp_path: Path, urls: tuple[str, str]) -> None:
    """In the tables that are copied and in those that derive from them; a second run has nothing to do.

    Where there is no destination it is made.
    """
    shutil.rmtree(tmp_path / "new")
    copies.execute(urls[0], copies.spans(0, DAYS * copies.A_DAY))
    first, second = (command.otel_llm("copy", "--from", urls[0], "--to", urls[1]) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0] == "otel_traces 2026-01-01: 2160 rows in 1 blocks; the same at both ends"
    assert (
        lines[-1]
        == f"{DAYS * copies.A_DAY} rows are at the destination; its views have made the tables that derive from them."
    )
    assert second.stdout.splitlines()[0] == (
        "otel_traces 2026-01-01: 2160 rows in 1 blocks, 1 of them before; the same at both ends"
    )
    assert copies.contents(urls[0]) == copies.contents(urls[1])
    assert copies.contents(urls[1])["hourly"]["n"] == DAYS * copies.A_DAY


def test_a_copy_that_was_killed_goes_on_and_no_row_is_there_twice(urls: tuple[str, str]) -> None:
    """Killed after the first day, then after more; what was copied is not copied again."""
    copies.execute(urls[0], copies.spans(0, DAYS * copies.A_DAY))
    for number in (1, 2):
        process = command.start("copy", "--from", urls[0], "--to", urls[1])
        assert process.stdout is not None
        for _ in range(number):
            assert "the same at both ends" in process.stdout.readline()
        process.kill()
        process.communicate()
    told = copies.copy(*urls)
    assert [copied.already for copied in told[:2]] == [1, 1]
    assert told[-1].already == 0
    assert copies.contents(urls[0]) == copies.contents(urls[1])


def test_logs_and_metrics_are_copied_and_what_derives_is_not(urls: tuple[str, str]) -> None:
    """Every table that is written to; the others are made by the destination's views."""
    store = Store(urls[0])
    tables = [
        row["name"]
        for row in store.rows("SELECT name FROM system.tables WHERE startsWith(name, 'otel_') AND engine = 'MergeTree' "
                              "AND NOT startsWith(name, 'otel_llm_') ORDER BY name")
    ]  # fmt: skip
    assert {"otel_logs", "otel_traces", "otel_metrics_gauge", "otel_metrics_summary"} <= set(tables)
    for table in tables:
        time = "TimeUnix" if table.startswith("otel_metrics") else "Timestamp"
        days = "SELECT now() - 86400 * number, 'shop' FROM numbers(3)"
        store.command(f"INSERT INTO {table} ({time}, ServiceName) {days}")
    sums = {table: store.rows(f"SELECT count() AS n, sum(cityHash64(*)) AS sum FROM {table}") for table in tables}
    store.close()
    told = copies.copy(*urls)
    assert [copied.table for copied in told] == [table for table in tables for _ in range(3)]
    store = Store(urls[1])
    assert {
        table: store.rows(f"SELECT count() AS n, sum(cityHash64(*)) AS sum FROM {table}") for table in tables
    } == sums
    store.close()


def test_a_day_is_cut_into_blocks(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a large one does not have to fit into memory; a block that was inserted but not noted counts once."""
    monkeypatch.setattr("otel_llm_collector.copying.day.BLOCK_BYTES", 100_000)
    copies.execute(urls[0], copies.spans(0, 1_000))
    (first,) = copies.copy(*urls)
    assert first.blocks > 2
    copies.execute(urls[1], "ALTER TABLE otel_llm_copies DELETE WHERE first > 0 SETTINGS mutations_sync = 1")
    assert copies.copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_000, first.blocks, 0, 0)]
    assert copies.contents(urls[0]) == copies.contents(urls[1])


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that are started keep the time of another zone."""
    monkeypatch.setenv("TZ", "America/New_York")


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("cluster", [False, True], ids=["one server", "a cluster"])
def test_to_a_server_and_back(urls: tuple[str, str], server: ClickHouse, cluster: bool) -> None:
    """From embedded to the server and from there to another embedded store; on a cluster through distributed tables.

    The days of the server begin at other hours; spans that came late go there too.
    """
    there = server.cluster_url if cluster else server.url
    copies.execute(urls[0], copies.spans(0, 3 * copies.A_DAY))
    assert sum(copied.rows for copied in copies.copy(urls[0], there)) == 3 * copies.A_DAY
    copies.execute(urls[0], copies.spans(10, 2, "late"))
    assert sum(copied.already for copied in copies.copy(urls[0], there)) == 3
    assert copies.contents(there) == copies.contents(urls[0])
    assert copies.rows(there, "SELECT timezone() AS zone") == [{"zone": "America/New_York"}]
    assert sum(copied.rows for copied in copies.copy(there, urls[1])) == 3 * copies.A_DAY + 2
    assert copies.contents(urls[1]) == copies.contents(urls[0])


def test_a_store_that_a_collector_has_open_is_refused(tmp_path: Path, start: Start) -> None:
    """With what to do; once it is stopped it is copied, with everything that was sent."""
    collector = start(tmp_path / "old")
    sent = send("POST", f"{collector.http}/v1/traces", body(span()), {"Content-Type": "application/x-protobuf"})
    assert sent[0] == 200
    urls = f"chdb://{tmp_path}/old/store", f"chdb://{tmp_path}/new/store"
    refused = (
        f"Process {collector.pid} already uses {tmp_path}/old; .* A collector that is stopped gives its store free"
    )
    with pytest.raises(CollectorError, match=refused):
        copies.copy(*urls)
    assert collector.stop() == 0
    assert [copied.rows for copied in copies.copy(*urls)] == [1]


def test_a_source_whose_log_is_not_empty_is_refused(tmp_path: Path, urls: tuple[str, str]) -> None:
    """The rest of its data is not in the store yet. What never will be is only said, and so are tables of others."""
    log = tmp_path / "old" / "log"
    for folder in ("traces", "quarantine", "forward/there/traces"):
        (log / folder).mkdir(parents=True)
        (log / folder / "1.seg").touch()
    with pytest.raises(CollectorError, match=r"1 segments in .*/old/log are not in the store yet"):
        copies.copy(*urls)
    (log / "traces" / "1.seg").unlink()
    mine = "CREATE TABLE mine (a UInt8) ENGINE = MergeTree ORDER BY a", "INSERT INTO mine VALUES (1)"
    copies.execute(urls[0], *mine, copies.spans(0, 5))
    done = command.otel_llm("copy", "--from", urls[0], "--to", urls[1])
    assert (done.returncode, done.stdout.splitlines()[0][:27]) == (0, "otel_traces 2026-01-01: 5 r")
    assert done.stderr.splitlines() == [
        f"What is in {log}/quarantine is not copied: it is damaged, or the store could not take it.",
        "Table mine is not copied: it is none of otel-llm's.",
    ]


def test_a_destination_with_another_schema_is_refused(urls: tuple[str, str]) -> None:
    """Its version and the source's are said."""
    newest = max(migration.version for migration in migrations.available())
    copies.execute(urls[1], "ALTER TABLE otel_llm_migrations DELETE WHERE version > 2 SETTINGS mutations_sync = 1")
    with pytest.raises(SchemaError, match=f"the source is at version {newest}, the destination at 2"):
        copies.copy(*urls)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """And so is the destination itself."""
    urls = f"chdb://{tmp_path}/old/store", f"chdb://{tmp_path}/new/store"
    with pytest.raises(CollectorError, match="There is no store in "):
        copies.copy(*urls)
    with pytest.raises(CollectorError, match="Source and destination are the same store"):
        copies.copy(urls[0], urls[0])
