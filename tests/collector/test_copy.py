"""``otel-llm copy``: from one store to another, each row once, and both compared. The server is the stand-in's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.copying import copy
from otel_llm_collector.copying.partition import Copied, Differs
from otel_llm_collector.errors import CollectorError, SchemaError
from tests.collector.conftest import Start
from tests.support import command
from tests.support.clickhouse import ClickHouse
from tests.support.collector import send
from tests.support.otlp import body, span

DAYS, A_DAY = 4, 2_160
SPANS = """
INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ServiceName, SpanName, SpanAttributes, Duration,
                         `Events.Timestamp`, `Events.Name`, `Events.Attributes`)
SELECT toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + number * 40 + 1 / 3, lower(hex(number)), lower(hex(number + 1)),
       concat('service ', toString(number % 3)), 'chat',
       map('gen_ai.operation.name', 'chat', 'gen_ai.usage.input_tokens', toString(number), 'n', '{{"a":[1]}}'),
       number, [toDateTime64('2026-01-01 00:00:00', 9, 'UTC')], ['event'], [map('k', '\\0')]
FROM numbers({first}, {count})
"""
CONTENTS = {
    "spans": "SELECT count() AS n, sum(cityHash64(*)) AS sum FROM otel_traces",
    "calls": "SELECT count() AS n, sum(input_tokens) AS sum FROM llm_calls",
    "hourly": "SELECT sum(calls) AS n, sum(input_tokens) AS sum FROM llm_calls_hourly",
    "times": "SELECT uniqExact(TraceId) AS n, sum(cityHash64(TraceId, Start, End)) AS sum FROM "
             "(SELECT TraceId, min(Start) AS Start, max(End) AS End FROM otel_traces_trace_id_ts GROUP BY TraceId)",
}  # fmt: skip


def _fill(url: str, first: int = 0, count: int = DAYS * A_DAY) -> None:
    """A day has ``A_DAY`` spans."""
    _command(url, SPANS.format(first=first, count=count))


def _contents(url: str) -> dict[str, Any]:
    """What a store has, in the table that is copied and in those that views make."""
    store = Store(url)
    try:
        return {name: store.rows(question)[0] for name, question in CONTENTS.items()}
    finally:
        store.close()


def _command(url: str, sql: str) -> None:
    store = Store(url)
    try:
        store.command(sql)
    finally:
        store.close()


def _copy(source: str, destination: str) -> list[Copied]:
    told: list[Copied] = []
    copy.copy(source, destination, told.append)
    return told


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("empty") / "store"
    store = Store(f"chdb://{path}")
    migrations.migrate(store)
    store.close()
    return path


@pytest.fixture
def urls(tmp_path: Path, empty: Path) -> tuple[str, str]:
    """Two embedded stores with all tables, each in a data folder of its own."""
    for folder in ("old", "new"):
        shutil.copytree(empty, tmp_path / folder / "store", symlinks=True)
    return f"chdb://{tmp_path}/old/store", f"chdb://{tmp_path}/new/store"


def test_the_destination_has_what_the_source_has(tmp_path: Path, urls: tuple[str, str]) -> None:
    """In the tables that are copied and in those that derive from them; a second run has nothing to do.

    Where there is no destination it is made.
    """
    shutil.rmtree(tmp_path / "new")
    _fill(urls[0])
    first, second = (command.otel_llm("copy", "--from", urls[0], "--to", urls[1]) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    lines = first.stdout.splitlines()
    assert lines[0] == "otel_traces 2026-01-01: 2160 rows in 1 blocks; the same at both ends"
    assert (
        lines[-1]
        == f"{DAYS * A_DAY} rows are at the destination; its views have made the tables that derive from them."
    )
    assert second.stdout.splitlines()[0] == (
        "otel_traces 2026-01-01: 2160 rows in 1 blocks, 1 of them before; the same at both ends"
    )
    assert _contents(urls[0]) == _contents(urls[1])
    assert _contents(urls[1])["hourly"]["n"] == DAYS * A_DAY


def test_a_copy_that_was_killed_goes_on_and_no_row_is_there_twice(urls: tuple[str, str]) -> None:
    """Killed after the first partition, then after more; what was copied is not copied again."""
    _fill(urls[0])
    for number in (1, 2):
        process = command.start("copy", "--from", urls[0], "--to", urls[1])
        assert process.stdout is not None
        for _ in range(number):
            assert "the same at both ends" in process.stdout.readline()
        process.kill()
        process.communicate()
    told = _copy(*urls)
    assert [copied.already for copied in told[:2]] == [1, 1]
    assert told[-1].already == 0
    assert _contents(urls[0]) == _contents(urls[1])


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
    told = _copy(*urls)
    assert [copied.table for copied in told] == [table for table in tables for _ in range(3)]
    store = Store(urls[1])
    assert {
        table: store.rows(f"SELECT count() AS n, sum(cityHash64(*)) AS sum FROM {table}") for table in tables
    } == sums
    store.close()


def test_a_partition_is_cut_into_blocks(urls: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a large one does not have to fit into memory; a block that was inserted but not noted counts once."""
    monkeypatch.setattr("otel_llm_collector.copying.partition.BLOCK_BYTES", 100_000)
    _fill(urls[0], count=1_000)
    (copied,) = _copy(*urls)
    assert copied.blocks > 2
    _command(urls[1], "ALTER TABLE otel_llm_copies DELETE WHERE state = 'copied' SETTINGS mutations_sync = 1")
    assert _copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_000, copied.blocks, 0, 0)]
    assert _contents(urls[0]) == _contents(urls[1])


def test_spans_that_came_to_the_source_later_are_copied_too(urls: tuple[str, str]) -> None:
    """As far as they are later in time than what was copied."""
    _fill(urls[0], count=1_000)
    _copy(*urls)
    _fill(urls[0], first=1_000, count=500)
    assert _copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_500, 2, 1, 0)]
    assert _contents(urls[0]) == _contents(urls[1])


def test_a_difference_is_an_error_that_names_the_partition(urls: tuple[str, str]) -> None:
    """Rows that are gone at the destination, and as many, but others; the other partitions are still compared."""
    _fill(urls[0], count=3 * A_DAY)
    _copy(*urls)
    _command(urls[1], "ALTER TABLE otel_traces DROP PARTITION '2026-01-02'")
    changed = "UPDATE StatusMessage = 'other' WHERE TraceId = '07' SETTINGS mutations_sync = 1"
    _command(urls[1], f"ALTER TABLE otel_traces {changed}")
    told: list[Copied] = []
    with pytest.raises(Differs) as raised:
        copy.copy(*urls, told.append)
    first, second = str(raised.value).splitlines()
    assert first.startswith(
        "Partition 2026-01-01 of otel_traces has 2160 rows at the source and 2160 of them, or others,"
    )
    assert second.startswith(
        "Partition 2026-01-02 of otel_traces has 2160 rows at the source and 0 of them, or others,"
    )
    assert [copied.partition for copied in told] == ["2026-01-03"]


def test_what_was_at_the_destination_before_is_not_counted(urls: tuple[str, str]) -> None:
    """And what comes to it meanwhile is told."""
    _fill(urls[0], count=1_000)
    _fill(urls[1], first=1_500, count=50)
    assert _copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_000, 1, 0, 0)]
    _fill(urls[1], first=1_600, count=20)
    done = command.otel_llm("copy", "--from", urls[0], "--to", urls[1])
    assert done.stdout.splitlines()[0] == (
        "otel_traces 2026-01-01: 1000 rows in 1 blocks, 1 of them before; and 20 more there, from elsewhere"
    )


@pytest.mark.parametrize("cluster", [False, True], ids=["one server", "a cluster"])
def test_to_a_server_and_back(tmp_path: Path, urls: tuple[str, str], server: ClickHouse, cluster: bool) -> None:
    """From embedded to the server and from there to another embedded store; on a cluster through distributed tables."""
    there = server.cluster_url if cluster else server.url
    _fill(urls[0], count=3 * A_DAY)
    assert sum(copied.rows for copied in _copy(urls[0], there)) == 3 * A_DAY
    assert sum(copied.already for copied in _copy(urls[0], there)) == 3
    assert _contents(there) == _contents(urls[0])
    assert sum(copied.rows for copied in _copy(there, urls[1])) == 3 * A_DAY
    assert _contents(urls[1]) == _contents(urls[0])


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
        _copy(*urls)
    assert collector.stop() == 0
    assert [copied.rows for copied in _copy(*urls)] == [1]


def test_a_source_whose_log_is_not_empty_is_refused(tmp_path: Path, urls: tuple[str, str]) -> None:
    """The rest of its data is not in the store yet."""
    (tmp_path / "old" / "log").mkdir()
    (tmp_path / "old" / "log" / "1.seg").touch()
    with pytest.raises(CollectorError, match=r"1 segments in .*/old/log are not in the store yet"):
        _copy(*urls)


def test_a_destination_with_another_schema_is_refused(urls: tuple[str, str]) -> None:
    """Its version and the source's are said."""
    newest = max(migration.version for migration in migrations.available())
    _command(urls[1], "ALTER TABLE otel_llm_migrations DELETE WHERE version > 2 SETTINGS mutations_sync = 1")
    with pytest.raises(SchemaError, match=f"the source is at version {newest}, the destination at 2"):
        _copy(*urls)


def test_a_source_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """And so is the destination itself."""
    urls = f"chdb://{tmp_path}/old/store", f"chdb://{tmp_path}/new/store"
    with pytest.raises(CollectorError, match="There is no store in "):
        _copy(*urls)
    with pytest.raises(CollectorError, match="Source and destination are the same store"):
        _copy(urls[0], urls[0])
