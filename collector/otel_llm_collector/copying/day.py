"""A day of a table on its way from one store to another."""

from __future__ import annotations

import datetime
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.settings import MIB

from .block import Block, cut
from .notes import Notes
from .sums import Keys, Seconds, Sums, sums_of
from .table import Table

BLOCK_BYTES = 32 * MIB
"""About how much is copied at once, uncompressed: it is held in memory, here and at both ends."""

_KEYS_AT_ONCE = 10_000
"""As many as the text of a question may hold, which ClickHouse limits to 256 KiB."""
_ONE_BLOCK: dict[str, str | int] = {
    # The token stands for all that is inserted, so it is inserted as one.
    "min_insert_block_size_rows": 1 << 40,
    "min_insert_block_size_bytes": 1 << 40,
    "max_insert_block_size": 1 << 40,
    "max_partitions_per_insert_block": 0,
}


class Differs(CollectorError):
    """What came to the destination is not what the source has."""


@dataclass(frozen=True, slots=True)
class Copied:
    """A day, in UTC, whose rows are at the destination, each as often as at the source.

    ``already`` of its ``blocks`` were there from an earlier run. ``more`` rows at the destination are from elsewhere.
    """

    table: str
    day: str
    rows: int
    blocks: int
    already: int
    more: int


class Day:
    """Copies one day, which begins at ``first`` as the table counts time.

    Rows are told apart by all that they contain. A row that the destination has, from wherever, is not copied; one that
    was copied and has been removed there is not copied again.
    """

    def __init__(self, destination: Store, notes: Notes, table: Table, first: int) -> None:
        self._destination = destination
        self._notes = notes
        self._table = table
        self._first = first
        self._last = first + table.day - 1
        self.name = str(datetime.date(1970, 1, 1) + datetime.timedelta(days=first // table.day))

    def copy(self) -> Copied:
        """Copy what is not there yet, and compare. Raises :class:`Differs`."""
        table = self._table
        wanted = table.seconds(table.source, self._first, self._last)
        found = table.seconds(self._destination, self._first, self._last)
        known = self._notes.blocks(table.name, self._first, self._last)
        new = cut(wanted, known, table.clock.second, max(1, int(BLOCK_BYTES / table.row_bytes())))
        blocks = sorted((*known, *new), key=lambda block: block.first)
        for block in blocks:
            self._bring(block, wanted.within(block.first, block.last), found.within(block.first, block.last))
        more = self._compare(blocks, wanted)
        return Copied(table.name, self.name, wanted.rows, len(blocks), len(known), more)

    def _bring(self, block: Block, wanted: Sums, found: Sums) -> None:
        """Copy what the destination has not of a block, and note it."""
        if wanted == block.brought:
            return
        token = f"copy/{self._notes.made}/{self._table.name}/{block.first}/{block.last}/{wanted.rows}/{wanted.checksum}"
        if found.rows or block.brought.rows or not self._bring_all(block, wanted, token):
            wanted = self._bring_missing(block, token)
        if wanted.rows > block.brought.rows:
            self._notes.add(self._table.name, block, wanted - block.brought, token)

    def _bring_all(self, block: Block, wanted: Sums, token: str) -> bool:
        """Copy a block as a whole, unless the source has got more of it meanwhile."""
        contents = self._table.read(block)
        if self._table.count(block) != wanted.rows:
            return False
        self._insert(contents, token)
        return True

    def _bring_missing(self, block: Block, token: str) -> Sums:
        """Copy the rows of a block that are missing, and return the sums of those that are there now.

        Where more are missing than have come to the source, some were removed at the destination, or the source is
        another store than it was: then none is copied, and the comparison finds them missing.
        """
        wanted = self._table.keys(self._table.source, block)
        missing = wanted - self._table.keys(self._destination, block)
        if missing.total() > wanted.total() - block.brought.rows:
            return block.brought
        for times, keys in _portions(missing):
            part = sums_of(Counter(dict.fromkeys(keys, times)))
            contents = self._table.read_some(block, keys, times)
            self._insert(contents, f"{token}/{part.rows}/{part.checksum}")
        return sums_of(wanted)

    def _insert(self, contents: bytes, token: str) -> None:
        with tempfile.NamedTemporaryFile(suffix=".native") as file:
            file.write(contents)
            file.flush()
            settings = {**_ONE_BLOCK, "insert_deduplication_token": token}
            self._destination.insert_file(self._table.name, Path(file.name), "Native", settings)

    def _compare(self, blocks: list[Block], wanted: Seconds) -> int:
        """How many rows the destination has from elsewhere; raises where the source's are not there, or doubled."""
        found = self._table.seconds(self._destination, self._first, self._last)
        missing, doubled, more = 0, 0, found.rows
        for block in blocks:
            sums = found.within(block.first, block.last)
            if sums == wanted.within(block.first, block.last):
                more -= sums.rows
            else:
                here, there = (self._table.keys(end, block) for end in (self._table.source, self._destination))
                missing += (here - there).total()
                doubled += (Counter({key: there[key] for key in here}) - here).total()
                more -= here.total()
        if missing or doubled:
            raise Differs(
                f"{self._table.name} {self.name}: of {wanted.rows} rows at the source {missing} are missing at the "
                f"destination, and {doubled} are there once too often."
            )
        return more


def _portions(keys: Keys) -> Iterator[tuple[int, list[int]]]:
    """Keys that occur equally often, with how often that is, so many at a time."""
    for times in sorted(set(keys.values())):
        alike = sorted(key for key, count in keys.items() if count == times)
        for start in range(0, len(alike), _KEYS_AT_ONCE):
            yield times, alike[start : start + _KEYS_AT_ONCE]
