"""clickhouse-connect against the SQL endpoint, and what Grafana and DBeaver ask about the schema."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.support.collector import Handle, send
from tests.support.otlp import START, body, span
from tests.support.questions import ask

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 12,
    "otel_llm.cost.total": 0.000000123,
    "otel_llm.tags": ["a", "b"],
    "otel_llm.metadata.team": "x",
}


@pytest.fixture(scope="module")
def client(collector: Handle) -> Iterator[Client]:
    where = urlsplit(collector.api)
    client = clickhouse_connect.get_client(host=where.hostname, port=where.port)
    yield client
    client.close()


def test_clickhouse_connect_connects(client: Client) -> None:
    """It asks for the version, the time zone and all settings."""
    assert client.server_version.count(".") >= 2
    assert str(client.server_tz) == "UTC"
    assert client.server_settings["max_execution_time"].readonly == 0
    assert client.server_settings["format_schema"].readonly == 1
    assert client.ping()


def test_clickhouse_connect_reads_typed_columns(client: Client, collector: Handle, service: str) -> None:
    """Map, Array, Nested, DateTime64, Decimal, LowCardinality and Nullable, compressed on the way."""
    began = START + 123_456_000
    sent = span(CALL, start_time_unix_nano=began, end_time_unix_nano=began + 1_500_000_000)
    send("POST", f"{collector.http}/v1/traces", body(sent, service=service), {"Content-Type": "application/x-protobuf"})
    collector.flush()
    found = client.query(
        "SELECT start_time, duration_s, provider, tags, metadata, input_tokens, output_tokens, cost_total, is_stream "
        "FROM llm_calls WHERE service_name = {service:String}",
        parameters={"service": service},
    )
    assert found.first_row == (
        datetime.datetime.fromtimestamp(START // 10**9, datetime.UTC).replace(microsecond=123456, tzinfo=None),
        1.5,
        "openai",
        ["a", "b"],
        {"team": "x"},
        12,
        None,
        Decimal("0.000000123"),
        False,
    )
    assert int(found.summary["read_rows"]) >= 1
    traces = client.query("SELECT * FROM otel_traces WHERE ServiceName = {s:String}", parameters={"s": service})
    row = dict(zip(traces.column_names, traces.first_row, strict=True))
    assert row["ResourceAttributes"] == {"service.name": service}
    assert row["SpanAttributes"]["gen_ai.provider.name"] == "openai"
    assert row["Events.Name"] == []


def test_clickhouse_connect_sends_parameters(client: Client) -> None:
    """In the address, and as a form when they are long."""
    text = "it's a \\ back\tslash\nand {x:String} %(y)s"
    values = {"text": text, "list": ["a'b", "c"], "n": None, "day": datetime.date(2026, 1, 2)}
    sql = "SELECT {text:String}, {list:Array(String)}, {n:Nullable(UInt8)}, {day:Date}"
    assert client.query(sql, parameters=values).first_row == (text, ["a'b", "c"], None, datetime.date(2026, 1, 2))
    long = {f"p{number}": "x" * 5000 for number in range(20)}
    found = client.query("SELECT " + ", ".join(f"length({{{name}:String}})" for name in long), parameters=long)
    assert found.first_row == (5000,) * 20


def test_clickhouse_connect_streams_and_gives_tables(client: Client) -> None:
    """Many blocks, Arrow, pandas, commands, columns of no rows."""
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(200000)") as stream:
        rows = [row for block in stream for row in block]
    assert (len(rows), rows[123_456]) == (200_000, (123_456, "123456"))
    assert client.query_arrow("SELECT number AS a FROM numbers(3)").to_pydict() == {"a": [0, 1, 2]}
    assert list(client.query_df("SELECT number AS a, now() AS b FROM numbers(3)")["a"]) == [0, 1, 2]
    assert client.command("SELECT count() FROM numbers(7)") == 7
    assert client.command("EXISTS TABLE llm_calls") == 1
    assert client.query("SELECT trace_id, tags FROM llm_calls LIMIT 0").column_names == ("trace_id", "tags")
    assert client.raw_query("SELECT 1 AS x", fmt="JSONEachRow") == b'{"x":1}\n'
    assert client.query("SELECT number FROM numbers(10)", settings={"limit": 3}).row_count == 3


def test_clickhouse_connect_tells_errors(client: Client, collector: Handle) -> None:
    """By their numbers."""
    for sql, code in (("SELECT nosuch", 47), ("SELECT file('x')", 497), ("TRUNCATE TABLE llm_calls", 164)):
        with pytest.raises(DatabaseError) as raised:
            client.query(sql)
        assert raised.value.code == code
    with pytest.raises(DatabaseError, match="Content-Encoding lz4 is not read here"):
        client.insert("llm_calls", [["x"]], column_names=["trace_id"])
    where = urlsplit(collector.api)
    with clickhouse_connect.get_client(host=where.hostname, port=where.port, compress=False) as plain:
        with pytest.raises(DatabaseError) as raised:
            plain.insert("llm_calls", [["x"]], column_names=["trace_id"])
        assert raised.value.code == 164


@pytest.mark.parametrize("compress", ["lz4", "zstd", "gzip", "deflate", False])
def test_clickhouse_connect_with_any_compression(collector: Handle, compress: str | bool) -> None:
    """The same rows."""
    where = urlsplit(collector.api)
    with clickhouse_connect.get_client(host=where.hostname, port=where.port, compress=compress) as client:
        assert client.query("SELECT sum(number), count() FROM numbers(1000)").first_row == (499_500, 1000)
        assert client.query("SELECT number FROM numbers(100000)").row_count == 100_000


METADATA = """
SELECT version(), timezone()
SELECT currentUser() AS user, timezone() AS timezone, version() AS version LIMIT 1
SELECT displayName(), version(), revision(), timezone()
SELECT name, value, readonly FROM system.settings LIMIT 10000
SELECT name FROM system.databases ORDER BY name
SELECT name FROM "system"."tables" WHERE database = 'default'
SELECT t.name FROM system.tables t JOIN system.databases d ON system.tables.database = system.databases.name
SELECT name AS TABLE_NAME, engine AS TABLE_TYPE, * FROM system.tables WHERE database = 'default'
SELECT name, type, table FROM system.columns WHERE database IN ('default') AND table = 'llm_calls'
SELECT system.columns.comment FROM system.columns
SELECT name FROM system.functions WHERE is_aggregate = 0
SELECT name FROM system.table_engines
SELECT name FROM system.data_type_families
SELECT name FROM system.formats WHERE is_output
SELECT time_zone FROM system.time_zones
SELECT sum(bytes), max(modification_time) FROM system.parts WHERE database = 'default' GROUP BY table
SELECT * FROM system.one
SELECT number FROM system.numbers LIMIT 3
SELECT table_name FROM information_schema.tables WHERE table_schema = 'default'
SELECT column_name FROM INFORMATION_SCHEMA.COLUMNS
SELECT `INFORMATION_SCHEMA`.`COLUMNS`.`COLUMN_NAME` FROM `INFORMATION_SCHEMA`.`COLUMNS`
SELECT schema_name FROM information_schema.schemata
SELECT count() FROM information_schema.views, information_schema.key_column_usage
SHOW DATABASES
SHOW DATABASES LIKE 'd%'
SHOW TABLES FROM "default"
SHOW TABLES FROM system
SHOW TABLES FROM INFORMATION_SCHEMA
SHOW TABLES NOT LIKE 'otel%' LIMIT 1
SHOW FULL TABLES
SHOW COLUMNS FROM llm_calls
SHOW COLUMNS FROM tables FROM system
SHOW FUNCTIONS LIKE 'abs'
SHOW SETTINGS LIKE 'max_threads'
SHOW CREATE TABLE `default`.`llm_calls`
SHOW CREATE VIEW llm_calls_mv
DESC TABLE "default"."llm_calls"
DESCRIBE system.tables
DESC (SELECT 1 AS a, 'x' AS b) FORMAT TSKV
EXISTS default.llm_calls
EXISTS TABLE nosuch
EXISTS VIEW llm_calls_mv
EXISTS DATABASE default
EXISTS DATABASE nosuch
"""


@pytest.mark.parametrize("sql", METADATA.strip().splitlines())
def test_what_clients_ask_about_the_schema(collector: Handle, sql: str) -> None:
    """Grafana, DBeaver and others; the names that are shown are ClickHouse's own."""
    code, _, answer = ask(collector, sql)
    assert (code, bool(answer)) == (200, True)
    assert b"default_otel_llm" not in answer


def test_system_tables_tell_nothing_of_this_machine(collector: Handle) -> None:
    """No paths, no other databases, nothing about what others ask."""
    for name in ("databases", "tables", "columns", "parts", "settings", "functions"):
        code, _, answer = ask(collector, f"SELECT * FROM system.{name}")
        assert code == 200
        assert str(collector.data).encode() not in answer
    names = ask(collector, "SELECT DISTINCT database FROM system.tables ORDER BY 1")[2].split()
    assert names == [b"INFORMATION_SCHEMA", b"default", b"information_schema"]
    assert ask(collector, "SET readonly = 1")[::2] == (200, b"")
