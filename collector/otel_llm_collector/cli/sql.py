"""``otel-llm sql``: ask the store."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from otel_llm_collector.errors import CollectorError

from .options import DATA, Data
from .up import Store

_FORMATS = {"json": "JSON", "csv": "CSVWithNames", "tsv": "TabSeparatedWithNames"}


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT, or - to read it from standard input.")],
    data: Data = DATA,
    format: Annotated[str, typer.Option(help="table, json, csv, tsv, or any format of ClickHouse.")] = "table",
    store: Store = None,
) -> None:
    """Ask the store in SQL, through the collector when it runs. Tables: llm_calls, llm_calls_hourly, otel_traces."""
    from otel_llm_collector.client import Reader

    try:
        text = sys.stdin.buffer.read().decode() if query == "-" else query.encode().decode()
    except UnicodeError:
        raise CollectorError("The statement is not UTF-8.") from None
    with Reader.open(data, store) as reader:
        if format == "table":
            _table(reader.raw(text, "JSONCompact"))
            return
        answer = reader.raw(text, _FORMATS.get(format.lower(), format))
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()


def _table(answer: bytes) -> None:
    """Print a JSONCompact answer as a table; any other, which a FORMAT clause asked for, as it is."""
    import json

    from rich.table import Table
    from rich.text import Text

    from .show import console, plain

    try:
        found = json.loads(answer)
        columns, rows = found["meta"], found["data"]
    except (ValueError, KeyError, TypeError):
        sys.stdout.buffer.write(answer)
        return
    table = Table()
    for column in columns:
        numeric = column["type"].removeprefix("Nullable(").startswith(("Int", "UInt", "Float", "Decimal"))
        table.add_column(Text(plain(column["name"])), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        values = row.values() if isinstance(row, dict) else row
        table.add_row(*(Text(plain(_shown(value))) for value in values))
    console().print(table)


def _shown(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value
    import json

    return json.dumps(value, ensure_ascii=False)
