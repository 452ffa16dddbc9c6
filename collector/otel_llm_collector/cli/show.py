"""Tables and trees for the terminal, from rows of the store."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

Row = Mapping[str, Any]

#: Columns when the output is not a terminal, so that tables keep their lines whole.
_WIDE = 180

_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def console() -> Console:
    """The console on stdout; what it prints is taken literally, brackets and all."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def plain(text: str) -> str:
    """A text without the control characters that a terminal would obey; whoever sends a span chooses its texts."""
    return _CONTROL.sub("\ufffd", text)


def prompts_table(rows: Iterable[Row]) -> Table:
    """Cost and latency by prompt; rows of ``by_prompt.sql``."""
    table = Table(title="Cost and latency by prompt", title_justify="left")
    for name in ("prompt", "model"):
        table.add_column(name, overflow="fold")
    for name in ("calls", "failed", "blocked", "tokens in", "tokens out", "cost", "p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in map(_plain, rows):
        table.add_row(
            prompt(row),
            row["models"],
            f"{row['calls']}",
            _count(row["errors"], "red"),
            _count(row["blocked"], "yellow"),
            f"{row['input_tokens']:,}",
            f"{row['output_tokens']:,}",
            "unpriced" if row["unpriced"] == row["calls"] else money(row["cost_total"]),
            seconds(row["p50_s"]),
            seconds(row["p95_s"]),
        )
    return table


def calls_table(rows: Sequence[Row]) -> Table:
    """Calls, newest first; rows of ``last_calls.sql``."""
    table = Table(title=f"Last {len(rows)} calls", title_justify="left")
    for name in ("time (UTC)", "service", "prompt", "model"):
        table.add_column(name, overflow="fold")
    for name in ("in", "out", "cost", "took"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("guardrails", "status", "trace"):
        table.add_column(name, no_wrap=True)
    for row in map(_plain, rows):
        table.add_row(
            str(row["start_time"])[5:19],
            row["service_name"],
            prompt(row),
            row["response_model"] or row["request_model"],
            _number(row["input_tokens"]),
            _number(row["output_tokens"]),
            cost(row),
            seconds(row["duration_s"]),
            _guardrails(row),
            _status(row),
            row["trace_id"][:8],
        )
    return table


def trace_tree(spans: Sequence[Row]) -> Tree:
    """The spans of one trace as a tree across services; rows of ``trace_spans.sql``, in order of time."""
    known = {span["span_id"] for span in spans}
    total = sum(span["cost_total"] or 0 for span in spans)
    services = len({span["service_name"] for span in spans})
    head = f"trace {spans[0]['trace_id']} · {services} service{'s' if services != 1 else ''} · "
    calls = sum(1 for span in spans if span["provider"])
    tree = Tree(Text(f"{head}{len(spans)} spans · {calls} model calls · {money(total)}", style="bold"))
    nodes: dict[str, Tree] = {}
    # A child may have begun on a clock that is behind its parent's, so the parents are added first.
    waiting = [_plain(span) for span in spans]
    while waiting:
        rest = []
        for span in waiting:
            parent = span["parent_span_id"]
            if parent in nodes:
                nodes[span["span_id"]] = nodes[parent].add(_span(span))
            elif parent not in known or parent == span["span_id"]:
                nodes[span["span_id"]] = tree.add(_span(span))
            else:
                rest.append(span)
        if len(rest) == len(waiting):  # spans that are each other's parents: show them all the same
            for span in rest:
                tree.add(_span(span))
            break
        waiting = rest
    return tree


def prompt(row: Row) -> str:
    """``name@version``, or a dash where a call has no prompt."""
    if not row["prompt_name"]:
        return "–"
    return f"{row['prompt_name']}@{row['prompt_version']}" if row["prompt_version"] else str(row["prompt_name"])


def cost(row: Row) -> str:
    """What a call cost, or that its price is not known."""
    return "unpriced" if row["cost_total"] is None else money(row["cost_total"])


def money(amount: float | None) -> str:
    """US dollars with the digits that small amounts need."""
    if amount is None:
        return "–"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.6f}" if not 0 < amount < 1e-5 else f"${amount:.9f}"


def seconds(value: float) -> str:
    """A duration, in milliseconds below a second."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _plain(row: Row) -> Row:
    return {name: plain(value) if isinstance(value, str) else value for name, value in row.items()}


def _span(span: Row) -> Text:
    text = Text()
    text.append(f"{span['service_name']} ", style="cyan")
    text.append(span["span_name"], style="bold" if span["provider"] else "")
    text.append(f"  {seconds(span['duration_s'])}", style="green")
    if span["provider"]:
        details = [
            prompt(span),
            f"{_number(span['input_tokens'])} → {_number(span['output_tokens'])} tokens",
            cost(span),
        ]
        if span["is_stream"]:
            details.append("streamed")
        if span["guardrail_outcome"] not in ("", "passed"):
            details.append(f"guardrails: {span['guardrail_outcome']}")
        text.append("  " + " · ".join(details), style="dim")
    if span["status_code"] == "Error":
        reason = _first_line(span["status_message"]) or _first_line(span["error_type"] or "") or "failed"
        text.append(f"  {reason}", style="red")
    return text


def _guardrails(row: Row) -> Text:
    outcome = row["guardrail_outcome"] or "–"
    style = {"blocked": "red", "violated": "yellow"}.get(outcome, "")
    return Text(outcome, style=style)


def _status(row: Row) -> Text:
    if row["status_code"] == "Error":
        return Text(row["error_type"] or "failed", style="red")
    return Text("streamed" if row["is_stream"] else "ok")


def _first_line(text: str, length: int = 80) -> str:
    line = text.strip().partition("\n")[0]
    return line if len(line) <= length else f"{line[:length]}…"


def _count(value: int, style: str) -> Text:
    return Text(f"{value}", style=style if value else "dim")


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"
