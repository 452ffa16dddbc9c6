"""The tables of a store that are written to, as a copy reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from otel_llm_collector.clickhouse.cluster import quoted
from otel_llm_collector.clickhouse.store import literal

from .source import Source, rows

_OURS = frozenset({"otel_llm_migrations", "otel_llm_copies"})
_TARGET = re.compile(r" TO (?:`?\w+`?\.)?`?(\w+)`? ")
_TABLES = """
SELECT name, partition_key, dependencies_table, create_table_query AS sql, engine LIKE '%MergeTree' AS holds_rows
FROM system.tables WHERE database = currentDatabase()
"""
_COLUMNS = """
SELECT name, type FROM system.columns
WHERE database = currentDatabase() AND table = {} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL')
ORDER BY name
"""
_ROW_BYTES = """
SELECT sum(data_uncompressed_bytes) / sum(rows) AS bytes FROM system.parts
WHERE active AND database = currentDatabase() AND table = {}
"""
_PARTITIONS = "SELECT DISTINCT {} AS partition FROM {} ORDER BY partition"


@dataclass(frozen=True, slots=True)
class Clock:
    """How a table counts time: ``position`` is a row's time as a whole number, ``second`` how many make a second."""

    position: str
    back: str
    column: str
    second: int

    def between(self, first: int, last: int) -> str:
        """The condition for rows from ``first`` to ``last``, in a form that ClickHouse's indexes understand."""
        return f"{self.column} BETWEEN {self.back}(toInt64({first})) AND {self.back}(toInt64({last}))"


@dataclass(frozen=True)
class Table:
    """A table; ``stored`` is the one that holds its rows, which on a cluster has another name."""

    source: Source
    name: str
    stored: str
    partition_key: str

    @cached_property
    def _types(self) -> dict[str, str]:
        return {row["name"]: row["type"] for row in rows(self.source, _COLUMNS.format(literal(self.name)))}

    @property
    def columns(self) -> list[str]:
        """The columns that are stored, by name."""
        return list(self._types)

    @property
    def clock(self) -> Clock | None:
        """By what its partitions are cut into blocks; ``None`` for a table that is copied whole."""
        for name in ("Timestamp", "TimeUnix"):
            match self._types.get(name):
                case "DateTime64(9)":
                    return Clock(f"toUnixTimestamp64Nano({name})", "fromUnixTimestamp64Nano", name, 1_000_000_000)
                case "DateTime":
                    return Clock(f"toInt64(toUnixTimestamp({name}))", "fromUnixTimestamp", name, 1)
        return None

    def partitions(self) -> list[str]:
        """The values of its partition key, as texts; one empty text where it has no key."""
        key = f"toString({self.partition_key})" if self.partition_key else "''"
        return [row["partition"] for row in rows(self.source, _PARTITIONS.format(key, quoted(self.name)))]

    def row_bytes(self) -> float:
        """The bytes of a row, uncompressed, on average."""
        return float(rows(self.source, _ROW_BYTES.format(literal(self.stored)))[0]["bytes"] or 1)


def tables(source: Source) -> Iterator[Table]:
    """The tables that hold rows, but for those that a view fills from another such table, and our own records."""
    found = {row["name"]: row for row in rows(source, _TABLES)}
    filled = {
        _TARGET.findall(found[view]["sql"])[0]
        for row in found.values()
        if row["holds_rows"]
        for view in row["dependencies_table"]
    }
    for name, row in sorted(found.items()):
        shown = name.removesuffix("_local") if source.clustered else name
        if row["holds_rows"] and name not in filled and shown not in _OURS and not name.startswith("."):
            yield Table(source, shown, name, row["partition_key"])
