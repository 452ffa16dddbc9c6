"""``otel-llm copy``: move the data of one store to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from otel_llm_collector.copying.day import Copied


def copy(
    source: Annotated[str, typer.Option("--from", help="Store to read: chdb:///path or clickhouse://….")],
    destination: Annotated[str, typer.Option("--to", help="Store to write; its tables are made where there are none.")],
) -> None:
    """Copy everything from one store to another, each row once; a copy that broke off goes on when it is run again."""
    from otel_llm_collector.copying.copy import copy

    rows = 0

    def told(copied: Copied) -> None:
        nonlocal rows
        rows += copied.rows
        typer.echo(_line(copied))

    copy(source, destination, told, lambda warning: typer.echo(warning, err=True))
    typer.echo(f"{rows} rows are at the destination; its views have made the tables that derive from them.")


def _line(copied: Copied) -> str:
    what = f"{copied.table} {copied.day}".rstrip()
    there = f", {copied.already} of them before" if copied.already else ""
    if copied.more:
        return (
            f"{what}: {copied.rows} rows in {copied.blocks} blocks{there}; and {copied.more} more there, from elsewhere"
        )
    return f"{what}: {copied.rows} rows in {copied.blocks} blocks{there}; the same at both ends"
