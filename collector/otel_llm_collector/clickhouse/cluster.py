"""The tables on a cluster, from the same SQL as on one server.

A table of the migrations becomes two: ``<name>_local`` on every node, replicated, and ``<name>``, which is
``Distributed`` over them: the name that everybody reads and writes. Views stand between local tables, so a row and what
is made of it are on one shard. A landing table (engine ``Null``) is on every node by itself; its view writes through
the distributed table, so that the spans of a trace meet on one shard, and a batch that is sent again to another node
finds the blocks that the shards have taken already.

What this reads is the SQL that we write, not any SQL: a statement of another form is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from otel_llm_collector.errors import SchemaError

_SERIES = "cityHash64(ServiceName, MetricName, Attributes)"
SHARDING: dict[str, str | None] = {
    "otel_traces": "cityHash64(TraceId)",
    "otel_traces_trace_id_ts": None,
    "otel_logs": "cityHash64(if(TraceId = '', concat(ServiceName, toString(Timestamp)), TraceId))",
    "otel_metrics_gauge": _SERIES,
    "otel_metrics_sum": _SERIES,
    "otel_metrics_histogram": _SERIES,
    "otel_metrics_exponential_histogram": _SERIES,
    "otel_metrics_summary": _SERIES,
    "llm_calls": None,
    "llm_calls_hourly": None,
    "otel_llm_copies": "0",
    "otel_llm_migrations": "0",
}
"""By what rows are spread over the shards; ``None`` for what only views write, on the shard of what they read."""

_LANDING = re.compile(r"otlp_\w+_in")
_COMMENTS = re.compile(r"\A(?:\s*--[^\n]*\n)*\s*")
_TABLE = re.compile(r"CREATE TABLE IF NOT EXISTS (\w+)\b(.*)", re.DOTALL)
_ENGINE = re.compile(r"^ENGINE = (\w+)\b", re.MULTILINE)
_VIEW = re.compile(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) TO (\w+) AS\b(.*)", re.DOTALL)
_DROP = re.compile(r"DROP VIEW IF EXISTS (\w+)")
_QUERY = re.compile(r"ALTER TABLE (\w+) MODIFY QUERY\b(.*)", re.DOTALL)
_ALTER = re.compile(r"ALTER TABLE (\w+)\s+(.*)", re.DOTALL)
_FROM = re.compile(r"^FROM (\w+)\b", re.MULTILINE)
_COLUMN = re.compile(r"(?:ADD|DROP|MODIFY|COMMENT|RENAME) COLUMN\b", re.IGNORECASE)
_LOCAL_ONLY = re.compile(
    r"(?:ADD|DROP|MATERIALIZE|CLEAR) (?:INDEX|PROJECTION)\b|MODIFY (?:SETTING|TTL)\b", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster by the name that its servers have for it, and the database of our tables there."""

    name: str
    database: str

    def statements(self, text: str) -> list[str]:
        """One statement of ours as those that do the same on the cluster, in order.

        Raises ``SchemaError`` for a statement that is not CREATE TABLE, CREATE MATERIALIZED VIEW, DROP VIEW or ALTER
        TABLE in the form that the migrations have, and for a table that ``SHARDING`` does not know.
        """
        statement = _COMMENTS.sub("", text)
        for form, rewrite in (
            (_TABLE, self._table),
            (_VIEW, self._view),
            (_DROP, self._drop),
            (_QUERY, self._query),
            (_ALTER, self._alter),
        ):
            if match := form.fullmatch(statement):
                return list(rewrite(*match.groups()))
        raise SchemaError(
            f"The statement {_shown(statement)} has no form for a cluster: write CREATE TABLE IF NOT EXISTS …, CREATE "
            "MATERIALIZED VIEW IF NOT EXISTS … TO …, DROP VIEW IF EXISTS … or ALTER TABLE …."
        )

    def database_statement(self) -> str:
        """What makes the database on every node."""
        return f"CREATE DATABASE IF NOT EXISTS {quoted(self.database)} {self._everywhere}"

    @property
    def _everywhere(self) -> str:
        return f"ON CLUSTER {quoted(self.name)}"

    def _named(self, table: str) -> str:
        return f"{quoted(self.database)}.{table}"

    def _local(self, table: str) -> str:
        return f"{self._named(table)}_local"

    def _table(self, name: str, rest: str) -> Iterator[str]:
        engines = _ENGINE.findall(rest)
        if engines == ["Null"] and _LANDING.fullmatch(name):
            yield f"CREATE TABLE IF NOT EXISTS {self._named(name)} {self._everywhere}{rest}"
            return
        if len(engines) != 1 or not engines[0].endswith("MergeTree") or engines[0].startswith("Replicated"):
            raise SchemaError(
                f"Table {name} must have one line ENGINE = …MergeTree, or ENGINE = Null and a name like otlp_x_in."
            )
        if name not in SHARDING:
            raise SchemaError(f"How table {name} is spread over the shards of a cluster is not in SHARDING.")
        replicated = _ENGINE.sub(r"ENGINE = Replicated\1", rest)
        replicated = replicated.replace("non_replicated_deduplication_window", "replicated_deduplication_window")
        yield f"CREATE TABLE IF NOT EXISTS {self._local(name)} {self._everywhere}{replicated}"
        key = SHARDING[name]
        over = ", ".join([quoted(self.name), quoted(self.database), f"{name}_local", *([key] if key else [])])
        yield (
            f"CREATE TABLE IF NOT EXISTS {self._named(name)} {self._everywhere} AS {self._local(name)}\n"
            f"ENGINE = Distributed({over})"
        )

    def _view(self, name: str, target: str, query: str) -> Iterator[str]:
        source, moved = self._moved(name, query)
        into = self._named(target) if _LANDING.fullmatch(source) else self._local(target)
        yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {self._named(name)} {self._everywhere} TO {into} AS{moved}"

    def _drop(self, name: str) -> Iterator[str]:
        yield f"DROP VIEW IF EXISTS {self._named(name)} {self._everywhere}"

    def _query(self, name: str, query: str) -> Iterator[str]:
        yield f"ALTER TABLE {self._named(name)} {self._everywhere} MODIFY QUERY{self._moved(name, query)[1]}"

    def _moved(self, view: str, query: str) -> tuple[str, str]:
        """The table that a view reads, and its query reading that on its own node."""
        sources = _FROM.findall(query)
        if len(sources) != 1:
            raise SchemaError(f"The query of view {view} must have one line that begins with FROM and a table's name.")
        own = self._named(sources[0]) if _LANDING.fullmatch(sources[0]) else self._local(sources[0])
        return sources[0], _FROM.sub(lambda _: f"FROM {own}", query)

    def _alter(self, name: str, rest: str) -> Iterator[str]:
        kinds = set()
        for change in _parts(rest):
            if not (_COLUMN.match(change) or _LOCAL_ONLY.match(change)):
                raise SchemaError(f"The change {_shown(change)} of table {name} has no form for a cluster.")
            kinds.add(bool(_COLUMN.match(change)))
        if len(kinds) != 1:
            raise SchemaError(f"Change the columns of table {name} and the rest in two statements.")
        if _LANDING.fullmatch(name):
            yield f"ALTER TABLE {self._named(name)} {self._everywhere} {rest}"
            return
        yield f"ALTER TABLE {self._local(name)} {self._everywhere} {rest}"
        if kinds == {True}:
            yield f"ALTER TABLE {self._named(name)} {self._everywhere} {rest}"


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def _parts(changes: str) -> list[str]:
    """The changes of an ALTER: what stands between commas that are in no brackets and no quotes."""
    parts, depth, start = [], 0, 0
    for token in re.finditer(r"'(?:[^'\\]|\\.|'')*'|[(\[{]|[)\]}]|,", changes, re.DOTALL):
        if token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth -= 1
        elif token[0] == "," and depth == 0:
            parts.append(changes[start : token.start()].strip())
            start = token.end()
    return [*parts, changes[start:].strip()]


def _shown(text: str) -> str:
    """The beginning of a statement, on one line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= 60 else f"{flat[:60]}…"
