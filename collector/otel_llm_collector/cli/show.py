"""Tables and trees for the terminal, from rows of the store."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

Row = Mapping[str, Any]
Cell = Callable[[Row], str | Text]

#: Columns when the output is not a terminal, so that tables keep their lines whole.
_WIDE = 180

#: Columns that may be folded, and to what width; those that are numbers.
_TEXTS = frozenset({"prompt", "model", "service"})
_FOLDED = 10
_NUMBERS = frozenset(
    {"calls", "failed", "blocked", "tokens in", "tokens out", "in", "out", "cost", "took", "p50", "p95"}
)

_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def console() -> Console:
    """The console on stdout; what it prints is taken literally, brackets and all."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False)


def plain(text: str) -> str:
    """A text without the control characters that a terminal would obey; whoever sends a span chooses its texts."""
    return _CONTROL.sub("\ufffd", text)


def prompts_table(rows: Iterable[Row], width: int = _WIDE) -> Table:
    """Cost and latency by prompt; rows of ``by_prompt.sql``. In a narrow ``width`` it has fewer columns."""
    columns: dict[str, Cell] = {
        "prompt": prompt,
        "model": lambda row: row["models"],
        "calls": lambda row: f"{row['calls']}",
        "failed": lambda row: _count(row["errors"], "red"),
        "blocked": lambda row: _count(row["blocked"], "yellow"),
        "tokens in": lambda row: f"{row['input_tokens']:,}",
        "tokens out": lambda row: f"{row['output_tokens']:,}",
        "cost": lambda row: "unpriced" if row["unpriced"] == row["calls"] else money(row["cost_total"]),
        "p50": lambda row: seconds(row["p50_s"]),
        "p95": lambda row: seconds(row["p95_s"]),
    }
    return _table("Cost and latency by prompt", columns, rows, width, spare=("model", "blocked", "failed", "calls"))


def calls_table(rows: Sequence[Row], width: int = _WIDE) -> Table:
    """Calls, newest first; rows of ``last_calls.sql``. In a narrow ``width`` it has fewer columns."""
    columns: dict[str, Cell] = {
        "time (UTC)": lambda row: str(row["start_time"])[5:19],
        "service": lambda row: row["service_name"],
        "prompt": prompt,
        "model": lambda row: row["response_model"] or row["request_model"],
        "in": lambda row: _number(row["input_tokens"]),
        "out": lambda row: _number(row["output_tokens"]),
        "cost": cost,
        "took": lambda row: seconds(row["duration_s"]),
        "guardrails": _guardrails,
        "status": _status,
        "trace": lambda row: row["trace_id"][:8],
    }
    title = f"Last {len(rows)} call{'s' if len(rows) != 1 else ''}"
    return _table(title, columns, rows, width, spare=("service", "time (UTC)", "status", "trace"))


def _table(title: str, columns: Mapping[str, Cell], rows: Iterable[Row], width: int, spare: Sequence[str]) -> Table:
    """A table without as many of the ``spare`` columns as must go so that it fits; long texts are folded after that."""
    lines = [{name: cell(row) for name, cell in columns.items()} for row in map(_plain, rows)]
    needed = {name: max([len(name), *(len(line[name]) for line in lines)]) + 3 for name in columns}
    for name in spare:
        if sum(needed.values()) + 1 > width:
            del needed[name]
    table = Table(title=title, title_justify="left")
    for name in needed:
        if name in _TEXTS:
            table.add_column(name, overflow="fold", min_width=min(needed[name] - 3, _FOLDED))
        else:
            table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=True)
    for line in lines:
        table.add_row(*(line[name] for name in needed))
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
