"""Moves the data of one store to another: day by day, each row exactly once, and compares both at the end.

Copied are the tables that are written to. What views make of their rows (``llm_calls``, the roll-ups) is made again at
the destination, by its views. What is copied is what the destination has not, so a copy that broke off goes on, and
rows that came to either end meanwhile are neither lost nor doubled.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import CollectorError, SchemaError
from otel_llm_collector.lock import FolderLock, Locked
from otel_llm_collector.log.segment import SUFFIX
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import SIGNALS

from .day import Copied, Day, Differs
from .notes import Notes
from .source import Source, open_source, rows
from .table import others, tables

_VERSIONS = "SELECT DISTINCT version, name, checksum FROM otel_llm_migrations ORDER BY version"
_DIFFERENT = (
    "Rows that came to the source meanwhile are copied by the next run. Rows that were copied and then removed at the "
    "destination are not copied again, and a source whose folder is a copy of an earlier source's cannot be told from "
    "that one: to have all that it has, copy it to a new store first, and from there to this one."
)
_MADE = "SELECT toString(min(applied_at)) AS made FROM otel_llm_migrations"


def copy(source_url: str, destination_url: str, told: Callable[[Copied], None], warned: Callable[[str], None]) -> None:
    """Copy everything, telling of each day of a table when it has been compared, and warning of what is left out.

    Raises ``CollectorError`` when it cannot begin, and at the end when a day differs.
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
            _complete(Settings(data=origin.path.parent), warned)
        stack.callback(destination.close)
        source = open_source(origin)
        stack.callback(source.close)
        _same_schema(source, destination)
        notes = Notes(destination, rows(source, _MADE)[0]["made"])
        for name in others(source):
            warned(f"Table {name} is not copied: it is none of otel-llm's.")
        differ: list[str] = []
        for table in tables(source):
            for first in table.days():
                try:
                    told(Day(destination, notes, table, first).copy())
                except Differs as error:
                    differ.append(str(error))
        if differ:
            raise Differs("\n".join((*differ, _DIFFERENT)))


def _complete(settings: Settings, warned: Callable[[str], None]) -> None:
    """Raises where the log beside an embedded store has what is not in it, and warns of what will never be."""
    if waiting := sum(len(list(settings.folder_of(signal.name).glob(f"*{SUFFIX}"))) for signal in SIGNALS):
        raise CollectorError(
            f"{waiting} segments in {settings.log} are not in the store yet: start its collector and stop it."
        )
    if settings.quarantine.is_dir() and any(settings.quarantine.iterdir()):
        warned(f"What is in {settings.quarantine} is not copied: it is damaged, or the store could not take it.")


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
