"""``otel-llm calls``: the last model calls."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .options import DATA, Data, Json


def calls(
    data: Data = DATA,
    trace: Annotated[
        str | None, typer.Option(help="Only those of a trace: its id, its first digits, or the handle of a call.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many calls.")] = 20,
    as_json: Json = False,
) -> None:
    """The last calls: prompt, model, tokens, cost, latency, guardrails."""
    from otel_llm_collector.client import Reader

    from .questions import ask
    from .traces import one_trace

    with Reader.open(data) as reader:
        traces = [] if trace is None else [one_trace(reader, trace)]
        rows = ask(reader, "last_calls", since="1970-01-01 00:00:00", services=[], trace_ids=traces, limit=limit)
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False))
        return
    from .show import calls_table, console

    if rows:
        out = console()
        out.print(calls_table(rows, out.width, *traces))
    elif traces:
        typer.echo(f"Trace {traces[0]} has no model calls. All of it: otel-llm trace {traces[0]} --data {data}")
    else:
        typer.echo(f"No calls yet in {data}. See some with: otel-llm demo --data {data}")
