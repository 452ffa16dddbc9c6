"""The tables, column by column, and how they come to be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from otel_llm import attributes
from otel_llm.attributes import Attribute
from otel_llm_collector import schemas
from otel_llm_collector.clickhouse import llm_calls, migrations
from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import SchemaError, StoreError
from otel_llm_collector.signals import METRIC_KINDS

LC = "LowCardinality(String)"
MAP = "Map(LowCardinality(String), String)"

#: The exporter's columns, in its order. Ours may only follow them.
OTEL_TRACES = {
    "Timestamp": "DateTime64(9)",
    "TraceId": "String",
    "SpanId": "String",
    "ParentSpanId": "String",
    "TraceState": "String",
    "SpanName": LC,
    "SpanKind": LC,
    "ServiceName": LC,
    "ResourceAttributes": MAP,
    "ScopeName": "String",
    "ScopeVersion": "String",
    "SpanAttributes": MAP,
    "Duration": "UInt64",
    "StatusCode": LC,
    "StatusMessage": "String",
    "Events.Timestamp": "Array(DateTime64(9))",
    "Events.Name": f"Array({LC})",
    "Events.Attributes": f"Array({MAP})",
    "Links.TraceId": "Array(String)",
    "Links.SpanId": "Array(String)",
    "Links.TraceState": "Array(String)",
    "Links.Attributes": f"Array({MAP})",
    "ResourceAttributeItems": "Array(String)",
    "SpanAttributeItems": "Array(String)",
}
#: What the exporter's layout has in these places, and what ours adds in between and behind.
OTEL_TRACES_OURS = {
    "Events.DroppedAttributesCount": "Array(UInt32)",
    "Events.AttributeTypes": "Array(Array(UInt8))",
    "Links.DroppedAttributesCount": "Array(UInt32)",
    "Links.Flags": "Array(UInt32)",
    "Links.AttributeTypes": "Array(Array(UInt8))",
    "TenantId": LC,
    "TraceFlags": "UInt32",
    "DroppedAttributesCount": "UInt32",
    "DroppedEventsCount": "UInt32",
    "DroppedLinksCount": "UInt32",
    "ResourceSchemaUrl": LC,
    "ResourceDroppedAttributesCount": "UInt32",
    "ScopeSchemaUrl": LC,
    "ScopeAttributes": MAP,
    "ScopeDroppedAttributesCount": "UInt32",
    "ResourceAttributeTypes": "Array(UInt8)",
    "ScopeAttributeTypes": "Array(UInt8)",
    "SpanAttributeTypes": "Array(UInt8)",
    "NestedValues": "Array(String)",
}
TRACE_ID_TS = {
    "TraceId": "String",
    "Start": "SimpleAggregateFunction(min, DateTime)",
    "End": "SimpleAggregateFunction(max, DateTime)",
}
#: What llm_calls has before and after the columns of the dictionary.
LLM_CALLS_FIRST = {
    "trace_id": "String",
    "span_id": "String",
    "parent_span_id": "String",
    "span_name": LC,
    "start_time": "DateTime64(9, 'UTC')",
    "end_time": "DateTime64(9, 'UTC')",
    "duration_s": "Float64",
    "status_code": LC,
    "status_message": "String",
}
LLM_CALLS_LAST = {
    "total_tokens": "UInt64",
    "attributes": MAP,
    "resource_attributes": MAP,
    "ingested_at": "DateTime64(3, 'UTC')",
}
LLM_CALLS_HOURLY = {
    "hour": "DateTime('UTC')",
    "tenant_id": LC,
    "service_name": LC,
    "provider": LC,
    "request_model": LC,
    "prompt_name": LC,
    "prompt_version": LC,
    "call_type": LC,
    "calls": "UInt64",
    "errors": "UInt64",
    "blocked": "UInt64",
    "unpriced": "UInt64",
    "input_tokens": "UInt64",
    "output_tokens": "UInt64",
    "cache_read_tokens": "UInt64",
    "cost_total": "Decimal(38, 9)",
    "duration_s": "Float64",
}


def _columns(store: Store, table: str) -> dict[str, str]:
    rows = store.rows(f"SELECT name, type FROM system.columns WHERE table = {literal(table)} ORDER BY position")
    return {row["name"]: row["type"] for row in rows}


def test_columns(store: Store) -> None:
    """Every table, as a literal; llm_calls has the dictionary's columns in the dictionary's order."""
    traces = _columns(store, "otel_traces")
    assert traces == {**OTEL_TRACES, **OTEL_TRACES_OURS}
    assert [name for name in traces if name in OTEL_TRACES] == list(OTEL_TRACES)
    assert _columns(store, "otel_traces_trace_id_ts") == TRACE_ID_TS
    dictionary = {attribute.column: attribute.type for attribute in attributes.columns()}
    assert list(_columns(store, "llm_calls").items()) == list(
        {**LLM_CALLS_FIRST, **dictionary, **LLM_CALLS_LAST}.items()
    )
    assert _columns(store, "llm_calls_hourly") == LLM_CALLS_HOURLY


def test_every_column_of_llm_calls_says_what_it_is(store: Store) -> None:
    """The dictionary's sentence is the comment."""
    rows = store.rows("SELECT name, comment FROM system.columns WHERE table = 'llm_calls'")
    comments = {row["name"]: row["comment"] for row in rows}
    assert {name for name, comment in comments.items() if not comment} == set()
    for attribute in attributes.columns():
        assert comments[attribute.column or ""] == attribute.sentence


def test_every_table_that_is_written_deduplicates_and_is_synced(store: Store) -> None:
    """Without a window a replay counts twice; without fsync a power loss takes what the log no longer has."""
    rows = store.rows("SELECT name, create_table_query AS sql FROM system.tables WHERE engine LIKE '%MergeTree' "
                      "AND name NOT IN ('otel_llm_migrations') AND NOT startsWith(name, '.')")  # fmt: skip
    assert {row["name"] for row in rows} == {
        "otel_traces", "otel_traces_trace_id_ts", "llm_calls", "llm_calls_hourly", "otel_logs",
        *(f"otel_metrics_{kind}" for kind in METRIC_KINDS),
    }  # fmt: skip
    for row in rows:
        assert "non_replicated_deduplication_window = 10000" in row["sql"], row["name"]
        assert "fsync_after_insert = 1, fsync_part_directory = 1" in row["sql"], row["name"]


def test_a_line_that_is_new_in_the_dictionary_fills_old_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were there before the column was show its value, old and new names alike."""
    store.command(
        "INSERT INTO llm_calls (trace_id, attributes) VALUES ('a', {'otel_llm.new.number': '7'}), "
        "('b', {'old.number': '8'}), ('c', {})"
    )
    new = Attribute(
        "otel_llm.new.number", "int", "It's new.", "new_number", "Nullable(UInt64)", aliases=("old.number",)
    )
    monkeypatch.setattr(llm_calls, "columns", lambda: (*attributes.columns(), new))
    assert llm_calls.sync(store) == ["new_number"]
    assert store.rows("SELECT trace_id, new_number FROM llm_calls ORDER BY trace_id") == [
        {"trace_id": "a", "new_number": 7},
        {"trace_id": "b", "new_number": 8},
        {"trace_id": "c", "new_number": None},
    ]
    assert llm_calls.sync(store) == []


def test_a_line_that_is_read_otherwise_is_so_in_a_store_that_has_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other names; stored where it was worked out, and the other way round. What is stored already stays."""
    insert = (
        "INSERT INTO llm_calls (trace_id, attributes) VALUES "
        "('{}', {{'user.id': 'u', 'user.name': 'n', 'gen_ai.request.seed': '1', 'seed': '2', 'gen_ai.agent.id': 'a'}})"
    )
    store.command(insert.format("old"))
    user = Attribute("user.name", "string", "The user's name.", "user_id", "String")  # stored
    session = Attribute("user.name", "string", "Whose session.", "session_id", "String")  # stored, not any more
    seed = Attribute("seed", "int", "Seed.", "seed", "Nullable(Int64)")  # worked out
    changed = {attribute.column: attribute for attribute in (user, session, seed)}
    lines = [changed.get(attribute.column, attribute) for attribute in attributes.columns()]
    monkeypatch.setattr(llm_calls, "columns", lambda: lines)
    monkeypatch.setattr(llm_calls, "STORED", attributes.STORED | {user, attributes.AGENT_ID})
    assert llm_calls.sync(store) == ["seed", "user_id", "session_id", "agent_id"]
    assert llm_calls.sync(store) == []
    store.command(insert.format("new"))
    assert store.rows("SELECT trace_id, user_id, session_id, seed, agent_id FROM llm_calls ORDER BY trace_id") == [
        {"trace_id": "new", "user_id": "n", "session_id": "n", "seed": 2, "agent_id": "a"},
        {"trace_id": "old", "user_id": "u", "session_id": "n", "seed": 2, "agent_id": "a"},
    ]
    described = store.rows(
        "SELECT name, default_kind AS kind, comment FROM system.columns "
        "WHERE table = 'llm_calls' AND name IN ('user_id', 'session_id', 'seed', 'agent_id') ORDER BY position"
    )
    assert [tuple(row.values()) for row in described] == [
        ("seed", "ALIAS", "Seed."),
        ("user_id", "DEFAULT", "The user's name."),
        ("session_id", "ALIAS", "Whose session."),
        ("agent_id", "DEFAULT", attributes.AGENT_ID.sentence),
    ]


def test_counts_that_cannot_be_turn_no_sum_over(store: Store) -> None:
    """They are not known then, and their texts are kept; so are negative ones and fractions."""
    counts = ["18446744073709551615", "9223372036854775807", "1000000000000", "99999999999999999999999", "-5", "1.5"]
    for text in ["999999999999", *counts]:
        store.command(
            "INSERT INTO otel_traces (TraceId, SpanAttributes) VALUES ('a', {'gen_ai.operation.name': 'chat', "
            f"'gen_ai.usage.input_tokens': '{text}', 'gen_ai.usage.completion_tokens': '{text}'}})"
        )
    (sums,) = store.rows(
        "SELECT sum(calls) AS n, sum(input_tokens) AS i, sum(output_tokens) AS o FROM llm_calls_hourly"
    )
    assert sums == {"n": 7, "i": 999_999_999_999, "o": 999_999_999_999}
    (row,) = store.rows(
        "SELECT sum(total_tokens) AS t, groupUniqArray(attributes['gen_ai.usage.input_tokens']) AS texts "
        "FROM llm_calls WHERE input_tokens IS NULL AND output_tokens IS NULL"
    )
    assert (row["t"], sorted(row["texts"])) == (0, sorted(counts))


def test_times_that_others_write_stay_in_their_order(store: Store) -> None:
    """The exporter sets no time right: before 1970, after 2106, and longer than there is time."""
    for time, length in (
        ("1969-12-31 23:59:59.5", 10**8),
        ("1930-01-01", 0),
        ("2200-01-01", 10**9),
        ("1930-01-01", 2**64 - 1),
    ):
        store.command(
            "INSERT INTO otel_traces (TraceId, Timestamp, Duration, SpanAttributes) VALUES "
            f"('{time}', '{time}', {length}, {{'gen_ai.operation.name': 'chat'}})"
        )
    calls = store.rows(
        "SELECT toString(start_time) AS b, toString(end_time) AS e FROM llm_calls ORDER BY start_time, end_time"
    )
    assert [(row["b"][:19], row["e"][:21]) for row in calls] == [
        ("1930-01-01 00:00:00", "1930-01-01 00:00:00.0"),
        ("1930-01-01 00:00:00", "2262-04-11 23:47:16.8"),
        ("1969-12-31 23:59:59", "1969-12-31 23:59:59.6"),
        ("2200-01-01 00:00:00", "2200-01-01 00:00:01.0"),
    ]
    hours = store.rows(
        "SELECT toString(hour) AS hour, sum(calls) AS n FROM llm_calls_hourly GROUP BY hour ORDER BY hour"
    )
    assert hours == [{"hour": "1970-01-01 00:00:00", "n": 3}, {"hour": "2106-02-07 00:00:00", "n": 1}]
    traces = store.rows(
        "SELECT DISTINCT toString(Start) AS b, toString(End) AS e FROM otel_traces_trace_id_ts ORDER BY b"
    )
    assert [row["b"] for row in traces] == ["1970-01-01 00:00:00", "2106-02-07 00:00:00"]
    assert all(row["b"] == row["e"] for row in traces)


def test_a_sentence_that_changed_is_the_new_comment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments follow the dictionary."""
    changed = Attribute("user.id", "string", "Somebody's id.", "user_id", "String")
    monkeypatch.setattr(llm_calls, "columns", lambda: (changed,))
    llm_calls.sync(store)
    assert store.rows("SELECT comment FROM system.columns WHERE table = 'llm_calls' AND name = 'user_id'") == [
        {"comment": "Somebody's id."}
    ]


def test_a_type_that_changed_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of type is a migration by hand."""
    changed = Attribute("user.id", "int", "A number.", "user_id", "Nullable(UInt64)")
    monkeypatch.setattr(llm_calls, "columns", lambda: (changed,))
    with pytest.raises(SchemaError, match=r"Column user_id of llm_calls is String in the store and Nullable\(UInt64\)"):
        llm_calls.sync(store)


def test_a_type_without_an_expression_is_refused() -> None:
    """Whoever adds a line with a new type is told so by name."""
    with pytest.raises(SchemaError, match=r"Attribute x has a column of type Date"):
        llm_calls.expression(Attribute("x", "string", "A date.", "x", "Date"))


def test_content_never_reaches_llm_calls(store: Store) -> None:
    """The view leaves out every attribute of the dictionary that is content and has no column of its own."""
    content = [attribute.name for attribute in attributes.DICTIONARY if attribute.content and not attribute.column]
    assert content
    others = [
        "gen_ai.prompt.0.content", "gen_ai.completion.12.content", "llm.input_messages.0.message.content",
        "traceloop.entity.input", "ai.prompt.messages",
    ]  # fmt: skip
    pairs = ", ".join(f"{literal(name)}: 'secret'" for name in [*content, *others])
    store.command(
        "INSERT INTO otel_traces (TraceId, SpanAttributes) VALUES ('a', {'gen_ai.operation.name': 'chat', "
        f"'gen_ai.prompt.name': 'p', {pairs}}})"
    )
    (row,) = store.rows("SELECT * FROM llm_calls")
    assert row["prompt_name"] == "p"
    assert "secret" not in json.dumps(row)


def test_the_view_knows_a_call_by_the_dictionary_s_names() -> None:
    """Operation or provider, under their own names or those of others."""
    view = schemas.read("migrations/0002_llm_calls.sql")
    (names,) = re.findall(r"hasAny\(mapKeys\(SpanAttributes\), \[(.*?)\]\)", view)
    wanted = {
        name
        for attribute in (attributes.OPERATION, attributes.PROVIDER)
        for name in (attribute.name, *attribute.aliases)
    }
    assert set(re.findall(r"'(.*?)'", names)) == wanted


def _folder(path: Path, **files: str) -> Path:
    path.mkdir(exist_ok=True)
    for name, text in files.items():
        (path / f"{name.removeprefix('m')}.sql").write_text(text)
    return path


@pytest.fixture
def empty(tmp_path: Path) -> Store:
    return Store(f"chdb://{tmp_path / 'store'}")


def test_migrations_are_applied_once_in_order(tmp_path: Path, empty: Store) -> None:
    """And recorded with name, checksum and time."""
    folder = _folder(
        tmp_path / "m",
        m0002_two="CREATE TABLE two (a UInt8) ENGINE = Memory;\nINSERT INTO two VALUES (1);\n",
        m0001_one="-- a comment; with a semicolon\nCREATE TABLE one (a UInt8) ENGINE = Memory;\n",
    )
    try:
        assert migrations.migrate(empty, folder) == ["one", "two"]
        assert migrations.migrate(empty, folder) == []
        assert empty.rows("SELECT count() AS n FROM two") == [{"n": 1}]
        rows = empty.rows("SELECT version, name, length(checksum) AS length FROM otel_llm_migrations ORDER BY version")
        assert rows == [
            {"version": 1, "name": "one", "length": 64},
            {"version": 2, "name": "two", "length": 64},
        ]
    finally:
        empty.close()


def test_a_migration_that_broke_off_is_done_again(tmp_path: Path, empty: Store) -> None:
    """The first statement of a file was applied, the second failed: the next start applies both."""
    folder = _folder(
        tmp_path / "m", m0001_one="CREATE TABLE IF NOT EXISTS one (a UInt8) ENGINE = Memory;\nCREATE TABLE broken;\n"
    )
    try:
        with pytest.raises(StoreError):
            migrations.migrate(empty, folder)
        _folder(folder, m0001_one="CREATE TABLE IF NOT EXISTS one (a UInt8) ENGINE = Memory;\nSELECT 1;\n")
        assert migrations.migrate(empty, folder) == ["one"]
    finally:
        empty.close()


def test_a_migration_that_changed_is_refused(tmp_path: Path, empty: Store) -> None:
    """What was applied never changes."""
    folder = _folder(tmp_path / "m", m0001_one="SELECT 1;\n")
    try:
        migrations.migrate(empty, folder)
        _folder(folder, m0001_one="SELECT 2;\n")
        with pytest.raises(SchemaError, match=r"Migration 0001 \(one\) was applied to this store with other contents"):
            migrations.migrate(empty, folder)
    finally:
        empty.close()


def test_a_store_from_a_newer_version_is_refused(tmp_path: Path, empty: Store) -> None:
    """An older collector does not write into tables that it does not know."""
    folder = _folder(tmp_path / "m", m0001_one="SELECT 1;\n", m0002_two="SELECT 1;\n")
    try:
        migrations.migrate(empty, folder)
        (folder / "0002_two.sql").unlink()
        with pytest.raises(SchemaError, match="at version 2; this otel-llm knows versions up to 1"):
            migrations.migrate(empty, folder)
    finally:
        empty.close()


def test_a_file_with_another_kind_of_name_is_refused(tmp_path: Path) -> None:
    """Its place in the order would be a guess."""
    with pytest.raises(SchemaError, match=r"first\.sql is not named like 0001_name\.sql"):
        migrations.available(_folder(tmp_path / "m", mfirst="SELECT 1;\n"))
