"""The tables of a store that are written to, as a copy reads them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from otel_llm_collector.clickhouse.cluster import SHARDING, quoted
from otel_llm_collector.clickhouse.store import literal

from .block import Block
from .source import Readable, Source, rows
from .sums import Keys, Seconds, Sums

_STORED = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND NOT startsWith(name, '.') ORDER BY name
"""
_COLUMNS = """
SELECT name FROM system.columns
WHERE database = currentDatabase() AND table = {} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED', 'EPHEMERAL')
ORDER BY name
"""
_ROW_BYTES = """
SELECT sum(data_uncompressed_bytes) / sum(rows) AS bytes FROM system.parts
WHERE active AND database = currentDatabase() AND table = {}
"""
_DAYS = "SELECT DISTINCT {position} - positiveModulo({position}, {day}) AS day FROM {table} ORDER BY day"
_SECONDS = """
SELECT {position} - positiveModulo({position}, {second}) AS second, count() AS rows, sum({key}) AS checksum
FROM {table} WHERE {within} GROUP BY second ORDER BY second
"""
_COUNT = "SELECT count() AS rows FROM {table} WHERE {within}"
_KEYS = "SELECT {key} AS key, count() AS rows FROM {table} WHERE {within} GROUP BY key"
_ALL = "SELECT {columns} FROM {table} WHERE {within}"
_SOME = "SELECT {columns} FROM {table} WHERE {within} AND {key} IN ({keys}) LIMIT {times} BY {key}"
_TYPICAL_ROW_BYTES = 1_000
_RECORDS = frozenset({"otel_llm_migrations", "otel_llm_copies"})


@dataclass(frozen=True, slots=True)
class Clock:
    """How a table counts time: ``position`` is a row's time as a whole number, ``back`` makes a time of one."""

    column: str
    position: str
    back: str
    second: int
    """How many make a second."""
    latest: int
    """The last one that there is."""

    def within(self, first: int, last: int) -> str:
        """The condition for rows from ``first`` to ``last``, in any time zone, in a form that indexes help with."""
        ends = (f"{self.back}(toInt64({end}))" for end in (first, min(last, self.latest)))
        return f"{self.column} BETWEEN {' AND '.join(ends)}"


_NANOSECONDS = Clock(
    "Timestamp", "toUnixTimestamp64Nano(Timestamp)", "fromUnixTimestamp64Nano", 1_000_000_000, (1 << 63) - 1
)
_SECONDS_ONLY = Clock("TimeUnix", "toInt64(toUnixTimestamp(TimeUnix))", "fromUnixTimestamp", 1, (1 << 32) - 1)


@dataclass(frozen=True)
class Table:
    """A table; ``stored`` is the one that holds its rows, which on a cluster has another name.

    What is asked for by a time is asked of either end of a copy: the source, or where it goes.
    """

    source: Source
    name: str
    stored: str

    @property
    def clock(self) -> Clock:
        return _SECONDS_ONLY if self.name.startswith("otel_metrics_") else _NANOSECONDS

    @cached_property
    def _words(self) -> dict[str, str | int]:
        """What every question is filled with; the key of a row is a hash of all columns that are stored."""
        names = [quoted(row["name"]) for row in rows(self.source, _COLUMNS.format(literal(self.name)))]
        columns = ", ".join(names)
        return {
            "table": quoted(self.name),
            "columns": columns,
            "key": f"cityHash64(tuple({columns}))",  # as a tuple, they may be NULL
            "position": self.clock.position,
            "second": self.clock.second,
            "day": self.day,
        }

    @property
    def day(self) -> int:
        """How long a day is."""
        return 86_400 * self.clock.second

    def days(self) -> list[int]:
        """When the days begin that it has rows of, in UTC."""
        return [int(row["day"]) for row in rows(self.source, _DAYS.format(**self._words))]

    def row_bytes(self) -> float:
        """The bytes of a row, uncompressed, on average."""
        return float(rows(self.source, _ROW_BYTES.format(literal(self.stored)))[0]["bytes"] or _TYPICAL_ROW_BYTES)

    def seconds(self, end: Readable, first: int, last: int) -> Seconds:
        """What an end has in each second."""
        answer = rows(end, self._within(_SECONDS, first, last))
        return Seconds((int(row["second"]), Sums(int(row["rows"]), int(row["checksum"]))) for row in answer)

    def keys(self, end: Readable, block: Block) -> Keys:
        """The rows that an end has of a block."""
        answer = end.raw(self._within(_KEYS, block.first, block.last), "RowBinary")
        return Counter(dict(struct.iter_unpack("<QQ", answer)))

    def count(self, block: Block) -> int:
        """How many rows the source has of a block at this moment."""
        return int(rows(self.source, self._within(_COUNT, block.first, block.last))[0]["rows"])

    def read(self, block: Block) -> bytes:
        """The rows that the source has of a block at this moment, in the format Native."""
        return self.source.raw(self._within(_ALL, block.first, block.last), "Native")

    def read_some(self, block: Block, keys: list[int], times: int) -> bytes:
        """The rows of a block that have one of the keys, each of them so many times."""
        asked = self._within(_SOME, block.first, block.last, keys=", ".join(map(str, keys)), times=times)
        return self.source.raw(asked, "Native")

    def _within(self, question: str, first: int, last: int, **more: str | int) -> str:
        return question.format(**self._words, within=self.clock.within(first, last), **more)


def tables(source: Source) -> Iterator[Table]:
    """The tables that are written to; views make the others from them."""
    for name, by in sorted(SHARDING.items()):
        if by is not None and name not in _RECORDS:
            yield Table(source, name, f"{name}_local" if source.clustered else name)


def others(source: Source) -> list[str]:
    """The tables in the database that are none of ours."""
    ours = {f"{name}_local" if source.clustered else name for name in SHARDING}
    return [row["name"] for row in rows(source, _STORED) if row["name"] not in ours]
