"""A partition of a table on its way from one store to another."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from otel_llm_collector.clickhouse.cluster import quoted
from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.settings import MIB

from .source import Source, rows
from .table import Table

BLOCK_BYTES = 32 * MIB
"""About how much is copied at once, uncompressed: it is held in memory, here and at both ends."""

_KNOWN = """
SELECT state, block, first, last, rows, checksum FROM otel_llm_copies
WHERE source = {} AND name = {} AND partition = {}
ORDER BY state, block
"""
_NOTE = "INSERT INTO otel_llm_copies (source, name, partition, state, block, first, last, rows, checksum) SETTINGS {} "
_SECONDS = """
SELECT count() AS rows, min({position}) AS first, max({position}) AS last
FROM {table} WHERE {where} AND {position} > {after}
GROUP BY intDiv({position}, {second}) ORDER BY first
"""
_WHOLE = "SELECT count() AS rows, 0 AS first, 0 AS last FROM {table} WHERE {where}"
_ROWS = "SELECT {columns} FROM {table} WHERE {where} AND {within}"
_SUMS = "SELECT count() AS rows, sum(cityHash64({columns})) AS checksum FROM {table} WHERE {where}"
_BEFORE_ALL = -(1 << 63)
_MODULUS = 1 << 64
_ONE_BLOCK: dict[str, str | int] = {
    # The token stands for the whole block, so the block is inserted as one.
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 40,
    "max_insert_block_size": 1 << 40,
    "max_partitions_per_insert_block": 0,
}


class Differs(CollectorError):
    """What came to the destination is not what the source has."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A partition that is at the destination as it is at the source.

    ``already`` of its ``blocks`` were there from an earlier run. ``more`` rows came to the destination from elsewhere
    while it was copied; then only numbers could be compared.
    """

    table: str
    partition: str
    rows: int
    blocks: int
    already: int
    more: int


@dataclass(frozen=True, slots=True)
class _Sums:
    rows: int
    checksum: int

    def __sub__(self, other: _Sums) -> _Sums:
        return _Sums(self.rows - other.rows, (self.checksum - other.checksum) % _MODULUS)


@dataclass(frozen=True, slots=True)
class _Block:
    """What has a time from ``first`` to ``last``, both included."""

    number: int
    first: int
    last: int
    rows: int


class Partition:
    """Copies one partition; ``made`` tells the source from every other store."""

    def __init__(self, source: Source, destination: Store, made: str, table: Table, name: str) -> None:
        self._source = source
        self._destination = destination
        self._made = made
        self._table = table
        self._name = name

    def copy(self) -> Copied:
        """Copy what is not there yet, and compare. Raises :class:`Differs`."""
        known = self._known()
        held = [_Sums(int(row["rows"]), int(row["checksum"])) for row in known if row["state"] == "held"]
        before = held[0] if held else self._hold()
        planned = [
            _Block(row["block"], int(row["first"]), int(row["last"]), int(row["rows"]))
            for row in known
            if row["state"] == "planned"
        ]
        planned += self._plan(planned)
        done = {row["block"] for row in known if row["state"] == "copied"}
        for block in planned:
            if block.number not in done:
                self._transfer(block)
        more = self._compare(before)
        return Copied(self._table.name, self._name, sum(block.rows for block in planned), len(planned), len(done), more)

    def _known(self) -> list[dict[str, Any]]:
        return self._destination.rows(_KNOWN.format(*map(literal, (self._made, self._table.name, self._name))))

    def _hold(self) -> _Sums:
        """Note what the destination has of this partition before anything is copied."""
        sums = self._sums(self._destination.rows(_SUMS.format(**self._names())))
        self._note("held", [_Block(0, 0, 0, sums.rows)], sums.checksum)
        return sums

    def _plan(self, planned: list[_Block]) -> list[_Block]:
        """The blocks after those that are planned already, as many seconds each as are about ``BLOCK_BYTES``."""
        if self._table.clock is None and planned:
            return []
        after = max((block.last for block in planned), default=_BEFORE_ALL)
        added = list(self._blocks(len(planned), after))
        if added:
            self._note("planned", added)
        return added

    def _blocks(self, number: int, after: int) -> Iterator[_Block]:
        clock = self._table.clock
        if clock is None:
            question = _WHOLE.format(**self._names())
        else:
            question = _SECONDS.format(
                **self._names(), position=clock.position, second=clock.second, after=f"toInt64({after})"
            )
        limit = max(1, int(BLOCK_BYTES / self._table.row_bytes()))
        open_: _Block | None = None
        for row in rows(self._source, question):
            count, first, last = int(row["rows"]), int(row["first"]), int(row["last"])
            if open_ is not None and open_.rows + count > limit:
                yield open_
                number, open_ = number + 1, None
            open_ = _Block(number, open_.first if open_ else first, last, (open_.rows if open_ else 0) + count)
        if open_ is not None:
            yield open_

    def _transfer(self, block: _Block) -> None:
        clock = self._table.clock
        within = clock.between(block.first, block.last) if clock else "1"
        contents = self._source.raw(_ROWS.format(**self._names(), within=within), "Native")
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(contents)
            file.flush()
            token = self._token("block", block.number)
            settings = {**_ONE_BLOCK, "insert_deduplication_token": token}
            self._destination.insert_file(self._table.name, Path(file.name), "Native", settings)
        self._note("copied", [block])

    def _compare(self, before: _Sums) -> int:
        """How many rows the destination has from elsewhere; raises when what came from the source is not all there."""
        wanted = self._sums(rows(self._source, _SUMS.format(**self._names())))
        found = self._sums(self._destination.rows(_SUMS.format(**self._names()))) - before
        if found.rows < wanted.rows or (found.rows == wanted.rows and found.checksum != wanted.checksum):
            raise Differs(
                f"Partition {self._name} of {self._table.name} has {wanted.rows} rows at the source and {found.rows} "
                "of them, or others, at the destination: rows were added to it after it had been copied, or removed."
            )
        return found.rows - wanted.rows

    def _names(self) -> dict[str, str]:
        """What the questions above are filled with."""
        key = self._table.partition_key
        return {
            "columns": ", ".join(map(quoted, self._table.columns)),
            "table": quoted(self._table.name),
            "where": f"{key} = {literal(self._name)}" if key else "1",
        }

    def _sums(self, answer: list[dict[str, Any]]) -> _Sums:
        return _Sums(int(answer[0]["rows"]), int(answer[0]["checksum"]))

    def _token(self, what: str, number: int) -> str:
        return f"copy/{self._made}/{self._table.name}/{self._name}/{what}/{number}"

    def _note(self, state: str, blocks: list[_Block], checksum: int = 0) -> None:
        token = self._token(state, blocks[0].number)
        settings = f"insert_deduplication_token = {literal(token)}, async_insert = 0"
        place = ", ".join(map(literal, (self._made, self._table.name, self._name, state)))
        values = ", ".join(f"({place}, {b.number}, {b.first}, {b.last}, {b.rows}, {checksum})" for b in blocks)
        self._destination.command(f"{_NOTE.format(settings)} VALUES {values}")
