"""``otel-llm calls``: the last model calls."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .options import DATA, Data, Json


def calls(
    data: Data = DATA,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many calls.")] = 20,
    as_json: Json = False,
) -> None:
    """The last calls: prompt, model, tokens, cost, latency, guardrails."""
    from otel_llm_collector.client import Reader

    from .questions import ask

    with Reader.open(data) as reader:
        rows = ask(reader, "last_calls", since="1970-01-01 00:00:00", services=[], limit=limit)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    from .show import calls_table, console

    if rows:
        out = console()
        out.print(calls_table(rows, out.width))
    else:
        typer.echo(f"No calls yet in {data}. See some with: otel-llm demo --data {data}")
