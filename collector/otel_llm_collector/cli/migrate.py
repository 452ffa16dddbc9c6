"""``otel-llm migrate``: make the tables of a store."""

from __future__ import annotations

from typing import Annotated

import typer


def migrate(
    store: Annotated[
        str,
        typer.Option(envvar="OTEL_LLM_STORE", help="clickhouse://user:password@host:8123/database, ?cluster=name."),
    ],
) -> None:
    """Make the tables of a ClickHouse server or cluster, or bring them up to date; a collector does so as it starts."""
    from otel_llm_collector.clickhouse.migrations import migrate
    from otel_llm_collector.clickhouse.store import Store

    where = Store(store)
    try:
        done = migrate(where)
    finally:
        where.close()
    typer.echo(f"{where.name}: " + (f"applied {', '.join(done)}" if done else "up to date"))
