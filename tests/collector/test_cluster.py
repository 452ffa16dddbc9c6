"""A cluster: the same SQL as on one server, rewritten, and run as far as the embedded engine can.

What is real here: the parser, replicated tables in a Keeper of the engine's own (which cannot be written to), and a
cluster of stand-ins with Distributed tables over one shard and over two. What is not: several replicas, and a queue of
statements for all nodes.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from otel_llm import attributes
from otel_llm.attributes import Attribute
from otel_llm_collector import schemas
from otel_llm_collector.clickhouse import llm_calls, migrations
from otel_llm_collector.clickhouse.cluster import SHARDING, Cluster
from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import SchemaError, StoreError
from tests.collector.conftest import Start
from tests.support import command
from tests.support.clickhouse import ClickHouse
from tests.support.collector import send
from tests.support.otlp import body, span

CALL = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3}
CLUSTER = Cluster("one", "otel")
_KEEPER = """
<clickhouse>
  <tcp_port>9000</tcp_port>
  <zookeeper><implementation>testkeeper</implementation></zookeeper>
  <macros><shard>1</shard><replica>1</replica></macros>
  <remote_servers><one><shard><replica><host>localhost</host><port>9000</port></replica></shard></one></remote_servers>
</clickhouse>
"""
_RUN = """
import json, os, sys
import chdb
folder, statements = json.load(sys.stdin)
connection = chdb.connect(f"{folder}/store?config-file={folder}/config.xml")
try:
    for statement in statements:
        connection.query(statement, "TSV")
    question = "SELECT name, engine, engine_full FROM system.tables WHERE database = 'otel'"
    sys.stdout.buffer.write(connection.query(question, "JSONEachRow").bytes())
    sys.stdout.flush()
    os._exit(0)
except BaseException as error:
    print(error, file=sys.stderr, flush=True)
    os._exit(1)  # a normal end would wait for the Keeper's threads
"""


def _schema() -> list[str]:
    """Every statement of ours that makes or changes something."""
    files = [statement for migration in migrations.available() for statement in migration.statements()]
    return [migrations._RECORD.strip(), schemas.read("copies.sql"), *files]


def _on_cluster() -> list[str]:
    return [rewritten for statement in _schema() for rewritten in CLUSTER.statements(statement)]


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def shards(tmp_path: Path) -> Iterator[list[ClickHouse]]:
    """Two nodes of one cluster, with all tables."""
    ports = _free(), _free()
    with ExitStack() as running:
        nodes = [ClickHouse(tmp_path / f"node {port}", port, ports) for port in ports]
        for node in nodes:
            running.callback(node.stop)
            node.start()
            store = Store(node.cluster_url)
            running.callback(store.close)
            for statement in _schema():
                store.define(statement)
                if "TABLE IF NOT EXISTS llm_calls\n" in statement:
                    llm_calls.sync(store)
        yield nodes


def test_every_statement_of_the_schema_is_one_that_clickhouse_understands(tmp_path: Path) -> None:
    """Each on all nodes, with names that say their database."""
    statements = _on_cluster()
    assert len(statements) > len(_schema())
    store = Store(f"chdb://{tmp_path / 'store'}")
    try:
        for statement in statements:
            (row,) = store.rows(f"SELECT formatQuerySingleLine({literal(statement)}) AS sql")
            made = re.match(
                r"(CREATE TABLE|CREATE MATERIALIZED VIEW|ALTER TABLE|DROP VIEW)( IF NOT EXISTS| IF EXISTS)? "
                r"otel\.\w+ ON CLUSTER one ",
                row["sql"],
            )
            assert made, row["sql"][:100]
    finally:
        store.close()


def test_a_table_becomes_a_local_replicated_one_and_a_distributed_one() -> None:
    """The name that readers and the exporter know is the distributed one's."""
    local, distributed = CLUSTER.statements(
        "-- A comment; with a semicolon\nCREATE TABLE IF NOT EXISTS otel_traces\n(\n    a String\n)\n"
        "ENGINE = ReplacingMergeTree(a)\nORDER BY a\nSETTINGS non_replicated_deduplication_window = 10"
    )
    assert local == (
        "CREATE TABLE IF NOT EXISTS `otel`.otel_traces_local ON CLUSTER `one`\n(\n    a String\n)\n"
        "ENGINE = ReplicatedReplacingMergeTree(a)\nORDER BY a\nSETTINGS replicated_deduplication_window = 10"
    )
    assert distributed == (
        "CREATE TABLE IF NOT EXISTS `otel`.otel_traces ON CLUSTER `one` AS `otel`.otel_traces_local\n"
        "ENGINE = Distributed(`one`, `otel`, otel_traces_local, cityHash64(TraceId))"
    )


def test_views_stand_between_local_tables() -> None:
    """But for the views of landing tables, which write through the distributed one."""
    (view,) = CLUSTER.statements(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO llm_calls AS\nSELECT 1\nFROM otel_traces AS t\nGROUP BY 1"
    )
    assert view == (
        "CREATE MATERIALIZED VIEW IF NOT EXISTS `otel`.v ON CLUSTER `one` TO `otel`.llm_calls_local AS\nSELECT 1\n"
        "FROM `otel`.otel_traces_local AS t\nGROUP BY 1"
    )
    (view,) = CLUSTER.statements(
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO otel_traces AS\nSELECT 1\nFROM otlp_traces_in"
    )
    assert view.endswith("TO `otel`.otel_traces AS\nSELECT 1\nFROM `otel`.otlp_traces_in")


def test_columns_change_in_both_tables_and_the_rest_in_the_local_one() -> None:
    """Local first: what the distributed table has must be there."""
    change = "ADD COLUMN a String DEFAULT concat('x, y', b) CODEC(ZSTD(1)) AFTER c, COMMENT COLUMN b 'it''s, (well'"
    assert CLUSTER.statements(f"ALTER TABLE llm_calls {change}") == [
        f"ALTER TABLE `otel`.llm_calls_local ON CLUSTER `one` {change}",
        f"ALTER TABLE `otel`.llm_calls ON CLUSTER `one` {change}",
    ]
    assert CLUSTER.statements("ALTER TABLE llm_calls MODIFY TTL toDateTime(start_time) + INTERVAL 1 DAY") == [
        "ALTER TABLE `otel`.llm_calls_local ON CLUSTER `one` MODIFY TTL toDateTime(start_time) + INTERVAL 1 DAY"
    ]
    assert CLUSTER.statements("ALTER TABLE v MODIFY QUERY SELECT a, b\nFROM otel_traces") == [
        "ALTER TABLE `otel`.v ON CLUSTER `one` MODIFY QUERY SELECT a, b\nFROM `otel`.otel_traces_local"
    ]
    assert CLUSTER.statements("DROP VIEW IF EXISTS v") == ["DROP VIEW IF EXISTS `otel`.v ON CLUSTER `one`"]


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("INSERT INTO llm_calls SELECT 1", "The statement INSERT INTO llm_calls SELECT 1 has no form for a cluster"),
        ("CREATE TABLE otel_traces (a String)", "has no form for a cluster"),
        (
            "CREATE TABLE IF NOT EXISTS x (a String)\nENGINE = MergeTree\nORDER BY a",
            "How table x is spread over the shards of a cluster is not in SHARDING",
        ),
        ("CREATE TABLE IF NOT EXISTS x (a String)\nENGINE = Memory", r"Table x must have one line ENGINE = …MergeTree"),
        ("CREATE TABLE IF NOT EXISTS x (a String)\nENGINE = Null", "or ENGINE = Null and a name like otlp_x_in"),
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS\nSELECT (\nFROM a\n)\nFROM b",
            "The query of view v must have one line that begins with FROM",
        ),
        ("ALTER TABLE t DELETE WHERE a = 1", r"The change DELETE WHERE a = 1 of table t has no form"),
        ("ALTER TABLE t ADD COLUMN a String, ADD INDEX i a TYPE minmax", "in two statements"),
    ],
)
def test_a_statement_that_is_not_known_is_refused(statement: str, complaint: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(SchemaError, match=complaint):
        CLUSTER.statements(statement)


_ADDS_INDEXES = re.compile(r"ALTER TABLE `otel`\.(\w+) ON CLUSTER `one` (ADD INDEX .*)", re.DOTALL)


def test_the_replicated_tables_can_be_made(tmp_path: Path) -> None:
    """With a real Keeper: the engine takes them, their settings, the distributed tables and the views.

    A table that cannot be written to cannot be altered, so the columns of the dictionary and the indexes that later
    files add are there from the beginning.
    """
    (tmp_path / "config.xml").write_text(_KEEPER)
    statements = []
    added = {match[1]: match[2] for match in map(_ADDS_INDEXES.fullmatch, _on_cluster()) if match}
    assert added
    for statement in _on_cluster():
        if _ADDS_INDEXES.fullmatch(statement):
            continue
        for table, indexes in added.items():
            if f" `otel`.{table} " in statement and "ENGINE = Replicated" in statement:
                statement = statement.replace(
                    "\n(\n", f"\n(\n{indexes.replace('ADD INDEX IF NOT EXISTS', 'INDEX')},\n", 1
                )
        if " `otel`.llm_calls_local " in statement and "ENGINE = Replicated" in statement:
            there = set(re.findall(r"^    (\w+) ", statement, re.M))
            derived = [f"{column.definition},\n" for column in llm_calls.derived() if column.name not in there]
            statement = statement.replace("\n(\n", f"\n(\n{''.join(derived)}", 1)
        identity = f" UUID '{uuid.uuid4()}'" if "ENGINE = Replicated" in statement else ""
        statements.append(statement.replace(" ON CLUSTER `one`", identity))
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps([str(tmp_path), ["CREATE DATABASE otel", *statements]]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tables = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    local = {name for name, row in tables.items() if row["engine"].startswith("Replicated")}
    assert {name.removesuffix("_local") for name in local} == {
        name for name, row in tables.items() if row["engine"] == "Distributed"
    }
    assert local >= {"otel_traces_local", "llm_calls_local", "llm_calls_hourly_local", "otel_llm_migrations_local"}
    for name in local - {"otel_llm_migrations_local"}:
        assert "replicated_deduplication_window = 10000" in tables[name]["engine_full"], name


def test_every_table_has_its_place_in_the_cluster() -> None:
    """And none has one that is not there."""
    made = {
        name for statement in _schema() for name in re.findall(r"^CREATE TABLE IF NOT EXISTS (\w+)", statement, re.M)
    }
    assert {name for name in made if not name.startswith("otlp_")} == set(SHARDING)


def test_a_collector_fills_a_cluster(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """It makes the tables, with the columns of the dictionary, and each span counts once in all of them."""
    collector = start(tmp_path / "data", store=server.cluster_url)
    nested = body(span({**CALL, "n": {"a": [1]}}), span({"zero": 0}))
    for _ in range(2):
        assert send("POST", f"{collector.http}/v1/traces", nested, {"Content-Type": "application/x-protobuf"})[0] == 200
    collector.flush()
    (row,) = collector.query(
        "SELECT (SELECT count() FROM otel_traces) AS spans, (SELECT count() FROM otel_traces_local) AS local, "
        "(SELECT sum(input_tokens) FROM llm_calls) AS tokens, (SELECT sum(calls) FROM llm_calls_hourly) AS hourly, "
        "(SELECT count() FROM llm_calls AS c JOIN otel_traces AS s ON c.trace_id = s.TraceId) AS joined"
    )
    assert row == {"spans": 2, "local": 2, "tokens": 3, "hourly": 1, "joined": 1}
    assert collector.query("SELECT engine FROM system.tables WHERE name = 'otel_traces'") == [{"engine": "Distributed"}]
    assert collector.stop() == 0
    done = command.otel_llm("migrate", "--store", server.cluster_url)
    assert done.stdout == f"{server.cluster_url.replace(':right@', ':***@')}: up to date\n"


def test_a_line_that_is_new_in_the_dictionary_is_on_all_of_the_cluster(
    server: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the local table, which views fill, and in the one that is asked."""
    store = Store(server.cluster_url)
    try:
        migrations.migrate(store)
        new = Attribute("otel_llm.new.number", "int", "It's new.", "new_number", "Nullable(UInt64)")
        monkeypatch.setattr(llm_calls, "columns", lambda: (*attributes.columns(), new))
        assert llm_calls.sync(store) == ["new_number"]
        assert llm_calls.sync(store) == []
        other = Attribute("user.name", "string", "Whose name.", "user_id", "String")  # and not stored any more
        lines = [other if line is attributes.USER_ID else line for line in (*attributes.columns(), new)]
        monkeypatch.setattr(llm_calls, "columns", lambda: lines)
        assert llm_calls.sync(store) == ["user_id"]
        assert llm_calls.sync(store) == []
        kinds = store.rows(
            "SELECT table, default_kind AS kind FROM system.columns "
            "WHERE database = currentDatabase() AND name = 'user_id' ORDER BY table"
        )
        assert [tuple(row.values()) for row in kinds] == [("llm_calls", "ALIAS"), ("llm_calls_local", "ALIAS")]
        found = store.rows("SELECT table FROM system.columns WHERE name = 'new_number' ORDER BY table")
        assert [row["table"] for row in found] == ["llm_calls", "llm_calls_local"]
    finally:
        store.close()


def _insert(node: ClickHouse, path: Path, token: str) -> None:
    """A segment of the log into a node's landing table, as the inserter does it."""
    store = Store(node.cluster_url)
    settings: dict[str, str | int] = {
        "format_schema_source": "string",
        "format_schema": schemas.read("otlp_traces.proto"),
        "format_schema_message_name": "TracesData",
        "input_format_protobuf_oneof_presence": 1,
        "insert_deduplication_token": token,
    }
    try:
        store.insert_file("otlp_traces_in", path, "ProtobufSingle", settings)
    finally:
        store.close()


def _on_each(nodes: list[ClickHouse]) -> list[dict[str, int]]:
    """What each shard has by itself; ``apart`` are calls whose span is on another shard."""
    found = []
    for node in nodes:
        store = Store(node.cluster_url)
        found += store.rows(
            "SELECT (SELECT count() FROM otel_traces_local) AS spans, (SELECT count() FROM llm_calls_local) AS calls, "
            "(SELECT sum(calls) FROM llm_calls_hourly_local) AS hourly, "
            "(SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts_local) AS traces, (SELECT count() FROM "
            "llm_calls_local WHERE trace_id NOT IN (SELECT TraceId FROM otel_traces_local)) AS apart"
        )
        store.close()
    return found


def test_a_trace_and_its_calls_are_on_one_shard(tmp_path: Path, shards: list[ClickHouse]) -> None:
    """Whichever node took the segment; and a segment that comes again through the other node counts once."""
    path = tmp_path / "segment"
    path.write_bytes(body(*(span(CALL) for _ in range(100))))
    _insert(shards[0], path, "a")
    once = _on_each(shards)
    assert sum(shard["spans"] for shard in once) == 100
    for shard in once:
        assert 0 < shard["spans"] < 100
        assert shard == {**dict.fromkeys(("spans", "calls", "hourly", "traces"), shard["spans"]), "apart": 0}
    _insert(shards[1], path, "a")
    assert _on_each(shards) == once
    store = Store(shards[1].cluster_url)
    for asked in ("FROM llm_calls", "FROM llm_calls AS c JOIN otel_traces AS s ON c.trace_id = s.TraceId"):
        found = store.rows(f"SELECT count() AS n {asked} SETTINGS distributed_group_by_no_merge = 1")
        assert sorted(row["n"] for row in found) == sorted(shard["calls"] for shard in once)
    store.close()


def test_a_shard_that_is_down_is_an_error_until_it_is_back(tmp_path: Path, shards: list[ClickHouse]) -> None:
    """The collector sends the segment again, and what the other shard has taken already is not there twice."""
    path = tmp_path / "segment"
    path.write_bytes(body(*(span(CALL) for _ in range(100))))
    shards[1].stop()
    with pytest.raises(StoreError):
        _insert(shards[0], path, "a")
    shards[1].start()
    _insert(shards[0], path, "a")
    found = _on_each(shards)
    assert sum(shard["spans"] for shard in found) == sum(shard["hourly"] for shard in found) == 100
