"""``otel-llm copy`` where both ends have changed since: no row of the source is lost, and none is there twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.copying.day import Copied, Differs
from otel_llm_collector.copying.table import Table
from tests.support import command, copies
from tests.support.clickhouse import ClickHouse

SERVICES = (
    "SELECT ServiceName AS name, count() AS n, uniqExact(TraceId) AS traces FROM otel_traces GROUP BY 1 ORDER BY 1"
)
FORGET = "ALTER TABLE otel_llm_copies DELETE WHERE first > 0 SETTINGS mutations_sync = 1"
ONE_MORE = "INSERT INTO otel_traces SELECT * FROM otel_traces WHERE TraceId = '{}' LIMIT 1"


def _services(url: str) -> dict[str, tuple[int, int]]:
    """How many spans of each service a store has, and of how many traces."""
    return {row["name"]: (int(row["n"]), int(row["traces"])) for row in copies.rows(url, SERVICES)}


def test_spans_that_came_late_to_the_source_are_copied(urls: tuple[str, str]) -> None:
    """Whether their times are after those that were copied, between them, or in the last second of all.

    Spans that came to the destination meanwhile, at the same times, are told and hide nothing.
    """
    copies.execute(urls[0], copies.spans(0, 1_000))
    copies.execute(urls[1], copies.spans(990, 50, "before"))
    assert copies.copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_000, 1, 0, 50)]
    copies.execute(urls[1], copies.spans(500, 20, "live"))
    late = [
        copies.spans(500, 3, "late"),
        copies.spans(999, 1, "last second"),
        ONE_MORE.format("07"),
        ONE_MORE.format("07"),
    ]
    copies.execute(urls[0], *late, copies.spans(1_000, 500))
    done = command.otel_llm("copy", "--from", urls[0], "--to", urls[1])
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == (
        "otel_traces 2026-01-01: 1506 rows in 2 blocks, 1 of them before; and 70 more there, from elsewhere"
    )
    copies.execute(urls[0], ONE_MORE.format("07"))
    assert copies.copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_507, 2, 2, 70)]
    there = _services(urls[1])
    assert {name: there[name] for name in _services(urls[0])} == _services(urls[0])
    assert sum(n for n, _ in there.values()) == 1_507 + 70


def test_a_block_that_was_not_noted_counts_once(urls: tuple[str, str]) -> None:
    """Nor does one of which a part has come: though the table has forgotten its token, and got other spans since."""
    window = "ALTER TABLE otel_traces MODIFY SETTING non_replicated_deduplication_window = 2"
    live = (copies.spans(10 * number, 5, "live") for number in range(6))
    copies.execute(urls[0], copies.spans(0, 1_000))
    copies.execute(urls[1], window)
    copies.copy(*urls)
    copies.execute(urls[1], FORGET, *live)
    assert copies.copy(*urls) == [Copied("otel_traces", "2026-01-01", 1_000, 1, 0, 30)]
    copies.execute(urls[1], FORGET, "DELETE FROM otel_traces WHERE Duration % 2 = 1 AND ServiceName != 'live 0'")
    gone = 1_000 - sum(n for name, (n, _) in _services(urls[1]).items() if name.startswith("service"))
    assert 300 < gone < 700
    assert copies.copy(*urls)[0].rows == 1_000
    there = _services(urls[1])
    assert {name: there[name] for name in _services(urls[0])} == _services(urls[0])


def test_what_was_removed_at_the_destination_is_not_copied_again(urls: tuple[str, str]) -> None:
    """Its days are named, also when as many others came and when others came late; the other days are still compared.

    What views made of the removed rows would be there twice.
    """
    copies.execute(urls[0], copies.spans(0, 3 * copies.A_DAY))
    copies.copy(*urls)
    calls = copies.contents(urls[1])["calls"]
    copies.execute(urls[0], copies.spans(copies.A_DAY + 5, 2, "late"))
    copies.execute(
        urls[1],
        "ALTER TABLE otel_traces DROP PARTITION '2026-01-02'",
        "ALTER TABLE otel_traces UPDATE StatusMessage = 'other' WHERE TraceId = '07' SETTINGS mutations_sync = 1",
    )
    for _ in range(2):
        told: list[Copied] = []
        with pytest.raises(Differs) as raised:
            copies.copy(*urls, told=told)
        first, second, advice = str(raised.value).splitlines()
        assert first == (
            "otel_traces 2026-01-01: of 2160 rows at the source 1 are missing at the destination, "
            "and 0 are there once too often."
        )
        assert second == (
            "otel_traces 2026-01-02: of 2162 rows at the source 2162 are missing at the destination, "
            "and 0 are there once too often."
        )
        assert "copied and then removed at the destination are not copied again" in advice
        assert [copied.day for copied in told] == ["2026-01-03"]
    assert copies.contents(urls[1])["calls"] == calls


def test_rows_that_are_there_twice_are_an_error(urls: tuple[str, str]) -> None:
    """Who brought them is not for us to say."""
    copies.execute(urls[0], copies.spans(0, 100))
    copies.copy(*urls)
    copies.execute(urls[1], ONE_MORE.format("07"), ONE_MORE.format("08"))
    with pytest.raises(
        Differs, match="of 100 rows at the source 0 are missing at the destination, and 2 are there once too often"
    ):
        copies.copy(*urls)


def test_a_second_store_of_the_same_origin_is_not_taken_for_copied(tmp_path: Path, urls: tuple[str, str]) -> None:
    """The error says how to have both, and so both are there, what they have in common once."""
    copies.execute(urls[0], copies.spans(0, 5, "common"))
    shutil.copytree(tmp_path / "old", tmp_path / "twin", symlinks=True)
    twin, between = f"chdb://{tmp_path}/twin/store", f"chdb://{tmp_path}/between/store"
    copies.execute(urls[0], copies.spans(0, 100, "one"))
    copies.execute(twin, copies.spans(0, 50, "other"))
    copies.copy(urls[0], urls[1])
    done = command.otel_llm("copy", "--from", twin, "--to", urls[1])
    assert done.returncode == 1
    assert "of 55 rows at the source 50 are missing at the destination" in done.stderr
    assert "copy it to a new store first, and from there to this one" in done.stderr
    copies.copy(twin, between)
    copies.copy(between, urls[1])
    there = _services(urls[1])
    assert there == _services(urls[0]) | _services(twin)
    assert sum(n for n, _ in there.values()) == 155


def test_spans_that_come_to_the_source_while_it_is_read(
    urls: tuple[str, str], server: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may be written to meanwhile: what was read is what is noted, so that the next run knows the rest."""
    store = Store(server.url)
    migrations.migrate(store)
    store.close()
    copies.execute(server.url, copies.spans(0, 100))
    read = Table.read

    def slow(*arguments: Any) -> bytes:
        copies.execute(server.url, copies.spans(50, 3, "meanwhile"))
        return read(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Table, "read", slow)
        copies.copy(server.url, urls[1])
    copies.execute(server.url, copies.spans(60, 2, "later"))
    assert copies.copy(server.url, urls[1]) == [Copied("otel_traces", "2026-01-01", 105, 1, 1, 0)]
    assert _services(urls[1]) == _services(server.url)


def test_times_before_1970_and_at_the_end_of_time(urls: tuple[str, str]) -> None:
    """What a sender made of a time is copied as well."""
    first, last = "fromUnixTimestamp64Nano(toInt64(-1))", "fromUnixTimestamp64Nano(toInt64(9223372036854775807))"
    copies.execute(
        urls[0],
        f"INSERT INTO otel_traces (Timestamp, TraceId) SELECT * FROM VALUES(({first}, 'a'), ({last}, 'b'))",
        "INSERT INTO otel_metrics_gauge (TimeUnix, MetricName) VALUES (4294967295, 'c'), (0, 'd')",
    )
    told = copies.copy(*urls)
    assert [(copied.table, copied.day, copied.rows) for copied in told] == [
        ("otel_metrics_gauge", "1970-01-01", 1),
        ("otel_metrics_gauge", "2106-02-07", 1),
        ("otel_traces", "1969-12-31", 1),
        ("otel_traces", "2262-04-11", 1),
    ]
    assert [copied.already for copied in copies.copy(*urls)] == [1] * 4


def test_many_rows_are_missing_of_a_block(urls: tuple[str, str]) -> None:
    """More than the text of one question names."""
    filled = (
        "INSERT INTO otel_traces (Timestamp, TraceId) SELECT toDateTime64(number / 500, 9, 'UTC'), toString(number)"
    )
    copies.execute(urls[0], f"{filled} FROM numbers(25000)")
    copies.execute(urls[1], f"{filled} FROM numbers(1000)")
    assert copies.copy(*urls) == [Copied("otel_traces", "1970-01-01", 25_000, 1, 0, 0)]
    store = Store(urls[1])
    assert store.rows("SELECT count() AS n, uniqExact(TraceId) AS traces FROM otel_traces") == [
        {"n": 25_000, "traces": 25_000}
    ]
    store.close()
