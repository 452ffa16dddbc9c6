"""SQL on a server that others use too. It is the stand-in of ``tests/support/clickhouse.py``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import QueryRefused, StoreError
from otel_llm_collector.settings import Settings
from otel_llm_collector.sql import session
from otel_llm_collector.sql.query import Query
from otel_llm_collector.sql.task import Task
from tests.support.clickhouse import ClickHouse
from tests.support.questions import ENDLESS


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path_factory.mktemp("shared"))
    server.start()
    yield server
    server.stop()


class Team:
    """One that has a database of the server, with a table in it."""

    def __init__(self, server: ClickHouse, database: str, options: str = "") -> None:
        self.store = Store(server.url.removesuffix(server.database) + database + options)
        self.store.command(
            f"CREATE TABLE IF NOT EXISTS `of_{database}` (salary UInt8) ENGINE = MergeTree ORDER BY salary"
        )
        self.query = Query(self.store, Settings(Path("unused"), query_seconds=36_000))

    def ask(self, sql: str, task: Task | None = None) -> list[str]:
        return self.query.ask(sql, format="TSV", task=task).body.decode().splitlines()


@pytest.fixture
def teams(shared: ClickHouse) -> Iterator[tuple[Team, Team]]:
    teams = Team(shared, "team_a"), Team(shared, "team-b")
    yield teams
    for team in teams:
        team.store.close()


SCHEMA = """
SELECT name FROM system.tables WHERE name LIKE 'of%'
SELECT table FROM system.columns WHERE name = 'salary'
SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'of%'
SELECT TABLE_NAME FROM INFORMATION_SCHEMA.COLUMNS WHERE COLUMN_NAME = 'salary'
SELECT DISTINCT INFORMATION_SCHEMA.KEY_COLUMN_USAGE.TABLE_NAME FROM INFORMATION_SCHEMA.KEY_COLUMN_USAGE
SHOW TABLES LIKE 'of%'
"""


@pytest.mark.parametrize("sql", SCHEMA.strip().splitlines())
def test_each_sees_its_own_schema(teams: tuple[Team, Team], sql: str) -> None:
    """And goes on to, when another collector has asked about its own."""
    a, b = teams
    for _ in range(2):
        assert a.ask(sql) == ["of_team_a"]
        assert b.ask(sql) == ["of_team-b"]


def test_other_databases_are_not_there(teams: tuple[Team, Team]) -> None:
    """In lists, and when one is asked for by name."""
    a, _ = teams
    shown = ["INFORMATION_SCHEMA", "information_schema", "team_a"]
    assert sorted(a.ask("SHOW DATABASES")) == shown
    assert sorted(a.ask("SELECT schema_name FROM information_schema.schemata")) == shown
    assert a.ask("EXISTS DATABASE team_a") == ["1"]
    for name in ("system", "default", "otel"):
        assert a.ask(f"EXISTS DATABASE {name}") == ["0"]
    for sql in (
        "SHOW TABLES FROM otel",
        "SELECT * FROM `team-b`.`of_team-b`",
        "SELECT * FROM team_2d_b_otel_llm_system.tables",
        "SHOW COLUMNS FROM tables FROM team_2d_b_otel_llm_system",
        "EXISTS TABLE otel.x",
    ):
        with pytest.raises(QueryRefused, match=r"only tables of team_a can be read|letters, digits and _ only"):
            a.ask(sql)


def test_nobody_else_is_stopped(teams: tuple[Team, Team]) -> None:
    """Who marks what it does with a word is not stopped by a question whose id is that word."""
    a, b = teams
    marked = "SELECT count() AS n FROM system.processes WHERE Settings['log_comment'] = 'nightly'"

    def work(ask: object) -> None:
        with pytest.raises(StoreError, match="cancelled"):
            ask()  # type: ignore[operator]  # one of those below

    def other() -> None:
        client = b.store.connect({"log_comment": "nightly", "max_threads": 1})
        with b.store.translated():
            client.raw_query(ENDLESS)

    threads = [threading.Thread(target=work, args=(ask,)) for ask in (other, lambda: a.ask(ENDLESS, Task("nightly")))]
    for thread in threads:
        thread.start()
    while b.store.rows(marked) != [{"n": 1}] or "nightly" not in a.query._tasks:
        pass
    while threads[1].is_alive():
        assert a.ask("KILL QUERY WHERE query_id = 'nightly' SYNC") in (["waiting\tnightly"], [])
    assert b.store.rows(marked) == [{"n": 1}]
    b.store.command("KILL QUERY WHERE Settings['log_comment'] = 'nightly'")
    for thread in threads:
        thread.join()


def test_what_drivers_send_first_is_answered(teams: tuple[Team, Team]) -> None:
    """Without a statement that a server would have to understand."""
    answer = teams[0].query.ask("SET readonly = 1")
    assert answer.body == b""


def test_a_long_statement(teams: tuple[Team, Team]) -> None:
    """Is in the body of what is sent: addresses and forms of a server are short."""
    text = "it''s \\\\ long\t{x:String} %(x)s " * 5000
    assert teams[0].ask(f"SELECT length('{text}'), 1") == [f"{len('its  long {x:String} %(x)s ' * 5000) + 5000 * 2}\t1"]


def test_a_large_answer(teams: tuple[Team, Team], monkeypatch: pytest.MonkeyPatch) -> None:
    """Is refused, not kept in memory."""
    monkeypatch.setattr(session, "RESULT_BYTES", 1000)
    assert len(teams[0].query.ask("SELECT repeat('a', 999)", format="TSV").body) == 1000
    with pytest.raises(StoreError, match="Limit for result exceeded") as raised:
        teams[0].ask("SELECT repeat('a', 1000)")
    assert raised.value.code == 396


def test_views_that_are_gone_are_made_again(shared: ClickHouse) -> None:
    """On a cluster, on all of it; the question that found them gone is told so."""
    team = Team(shared, "team_c", "?cluster=one")
    try:
        assert team.ask("SELECT count() FROM system.tables WHERE name = 'of_team_c'") == ["1"]
        team.store.command("DROP DATABASE team_c_otel_llm_system")
        with pytest.raises(StoreError, match="team_c_otel_llm_system"):
            team.ask("SELECT count() FROM system.tables")
        assert team.ask("SELECT count() FROM system.tables WHERE name = 'of_team_c'") == ["1"]
    finally:
        team.store.close()
