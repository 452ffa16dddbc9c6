"""Moves the data of one store to another: block by block, each exactly once, and compares both at the end.

Copied are the tables that are written to. What views make of their rows (``llm_calls``, the roll-ups) is made again at
the destination, by its views. A block is what a partition has between two times; the plan of blocks is kept at the
destination, so a copy that broke off goes on, and the token of a block's insert is its place, so none counts twice.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import CollectorError, SchemaError
from otel_llm_collector.lock import FolderLock, Locked
from otel_llm_collector.settings import Settings

from .partition import Copied, Differs, Partition
from .source import Source, open_source, rows
from .table import tables

_VERSIONS = "SELECT DISTINCT version, name, checksum FROM otel_llm_migrations ORDER BY version"
_MADE = "SELECT toString(min(applied_at)) AS made FROM otel_llm_migrations"


def copy(source_url: str, destination_url: str, told: Callable[[Copied], None]) -> None:
    """Copy everything, telling of each partition when it has been compared.

    Raises ``CollectorError`` when it cannot begin, and at the end when a partition differs.
    """
    with ExitStack() as stack:
        origin, destination = Store(source_url), Store(destination_url)
        if origin.url == destination.url:
            raise CollectorError("Source and destination are the same store.")
        if origin.embedded and not origin.path.is_dir():
            raise CollectorError(f"There is no store in {origin.path}.")
        for folder in {store.path.parent for store in (origin, destination) if store.embedded}:
            _hold(folder, stack)
        if origin.embedded:
            _complete(Settings(data=origin.path.parent).log)
        stack.callback(destination.close)
        source = open_source(origin)
        stack.callback(source.close)
        _same_schema(source, destination)
        destination.define(schemas.read("copies.sql"))
        made = rows(source, _MADE)[0]["made"]
        differ: list[str] = []
        for table in tables(source):
            for name in table.partitions():
                try:
                    told(Partition(source, destination, made, table, name).copy())
                except Differs as error:
                    differ.append(str(error))
        if differ:
            raise Differs("\n".join(differ))


def _complete(log: Path) -> None:
    """Raises where a log beside the store has what is not in it."""
    if waiting := len(list(log.rglob("*.seg"))):
        raise CollectorError(f"{waiting} segments in {log} are not in the store yet: start its collector and stop it.")


def _hold(folder: Path, stack: ExitStack) -> None:
    """Keep collectors away from an embedded store."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except Locked as error:
        raise CollectorError(f"{error} A collector that is stopped gives its store free.") from None
    stack.callback(lock.release)


def _same_schema(source: Source, destination: Store) -> None:
    if not destination.rows("EXISTS TABLE otel_llm_migrations")[0]["result"]:
        migrations.migrate(destination)
    versions = [rows(source, _VERSIONS), destination.rows(_VERSIONS)]
    if versions[0] != versions[1]:
        newest = [max((int(row["version"]) for row in found), default=0) for found in versions]
        raise SchemaError(
            f"The schemas differ: the source is at version {newest[0]}, the destination at {newest[1]}. Start this "
            "version of otel-llm once on the older one."
        )
