"""What has been brought to a store from another, as the store keeps it."""

from __future__ import annotations

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse.store import Store, literal

from .block import Block
from .source import rows
from .sums import Sums

_BROUGHT = """
SELECT first, last, sum(rows) AS rows, sum(checksum) AS checksum FROM otel_llm_copies
WHERE source = {} AND name = {} AND first BETWEEN {} AND {}
GROUP BY first, last ORDER BY first, last
"""
_NOTE = """
INSERT INTO otel_llm_copies (source, name, first, last, rows, checksum)
SETTINGS insert_deduplication_token = {}, async_insert = 0
VALUES ({}, {}, {}, {}, {}, {})
"""


class Notes:
    """Those of one source, which is told from others by when it was ``made``."""

    def __init__(self, store: Store, made: str) -> None:
        self._store = store
        self.made = made
        store.define(schemas.read("copies.sql"))

    def blocks(self, table: str, first: int, last: int) -> list[Block]:
        """The blocks of a table that were brought, of those that begin between two times, in order."""
        asked = _BROUGHT.format(literal(self.made), literal(table), first, last)
        return [
            Block(int(row["first"]), int(row["last"]), Sums(int(row["rows"]), int(row["checksum"])))
            for row in rows(self._store, asked)
        ]

    def add(self, table: str, block: Block, more: Sums, token: str) -> None:
        """Rows of a block were brought, ``more`` than are noted; with the same token they count once."""
        names = map(literal, (f"{token}/note", self.made, table))
        self._store.command(_NOTE.format(*names, block.first, block.last, more.rows, more.checksum))
