"""``otel-llm trace``: one trace as a tree, with what was logged in it and what it cost."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .options import DATA, Data, JaegerUrl, Json

#: Log lines that are shown at most.
_LINES = 1000


def trace(
    trace_id: Annotated[str, typer.Argument(help="Id of the trace, its first digits, or the handle of a call.")],
    data: Data = DATA,
    jaeger_url: JaegerUrl = None,
    as_json: Json = False,
) -> None:
    """One trace as a tree across services, with durations, models, tokens, costs added up, and its log lines."""
    from otel_llm_collector.client import Reader

    from .questions import ask
    from .traces import jaeger_page, one_trace
    from .tree import cost_sums, trace_tree

    with Reader.open(data) as reader:
        found = one_trace(reader, trace_id)
        page = jaeger_page(reader, jaeger_url, found)
        spans = ask(reader, "trace_spans", trace_ids=[found])
        costs = ask(reader, "trace_costs", trace_ids=[found])
        lines = ask(reader, "trace_logs", trace_ids=[found], limit=_LINES)
    if as_json:
        sums = cost_sums(spans)
        summed = [{**span, "cost_sum": total} for span, total in zip(spans, sums, strict=True)]
        whole = {"trace_id": found, "jaeger": page, "spans": summed, "costs": costs, "logs": lines}
        typer.echo(json.dumps(whole, ensure_ascii=False))
        return
    from .show import console, costs_table, logs_table

    out = console()
    out.print(trace_tree(spans))
    if costs:
        out.print(costs_table(costs, out.width))
    if lines:
        out.print(logs_table(lines, {span["span_id"]: span["span_name"] for span in spans}, out.width))
    if page:
        out.print(f"Jaeger: {page}", soft_wrap=True)
