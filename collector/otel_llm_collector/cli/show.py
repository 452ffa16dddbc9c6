"""Tables for the terminal, from rows of the store."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]
Cell = Callable[[Row], str | Text]

#: Columns when the output is not a terminal, so that tables keep their lines whole.
_WIDE = 180

#: Columns that may be folded, and to what width; those that are numbers.
_TEXTS = frozenset({"prompt", "model", "service", "user", "span", "line"})
_FOLDED = 10
_NUMBERS = frozenset(
    {"calls", "failed", "blocked", "tokens in", "tokens out", "in", "out", "cost", "took", "p50", "p95"}
)

#: OpenTelemetry's number of the first severity that is an error.
_ERROR = 17

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


def calls_table(rows: Sequence[Row], width: int = _WIDE, trace_id: str = "") -> Table:
    """Calls, newest first; rows of ``last_calls.sql``. In a narrow ``width`` it has fewer columns."""
    columns: dict[str, Cell] = {
        "time (UTC)": lambda row: str(row["start_time"])[5:19],
        "service": lambda row: row["service_name"],
        "prompt": prompt,
        "model": lambda row: row["response_model"] or row["request_model"],
        "in": lambda row: number(row["input_tokens"]),
        "out": lambda row: number(row["output_tokens"]),
        "cost": cost,
        "took": lambda row: seconds(row["duration_s"]),
        "guardrails": _guardrails,
        "status": _status,
        "trace": lambda row: row["trace_id"][:8],
    }
    title = f"Last {len(rows)} call{'s' if len(rows) != 1 else ''}{f' of trace {trace_id}' if trace_id else ''}"
    return _table(title, columns, rows, width, spare=("service", "time (UTC)", "status", "trace"))


def _table(title: str, columns: Mapping[str, Cell], rows: Iterable[Row], width: int, spare: Sequence[str]) -> Table:
    """A table without as many of the ``spare`` columns as must go so that it fits; long texts are folded after that."""
    lines = [{name: cell(row) for name, cell in columns.items()} for row in map(plain_row, rows)]
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


def costs_table(rows: Iterable[Row], width: int = _WIDE) -> Table:
    """What calls cost by service, prompt and user; rows of ``trace_costs.sql``."""
    columns: dict[str, Cell] = {
        "service": lambda row: row["service_name"],
        "prompt": prompt,
        "user": lambda row: row["user_id"] or "–",
        "calls": lambda row: f"{row['calls']}",
        "failed": lambda row: _count(row["errors"], "red"),
        "tokens in": lambda row: f"{row['input_tokens']:,}",
        "tokens out": lambda row: f"{row['output_tokens']:,}",
        "cost": lambda row: "unpriced" if row["unpriced"] == row["calls"] else money(row["cost_total"]),
    }
    return _table("Cost by service, prompt and user", columns, rows, width, spare=("failed", "tokens in", "tokens out"))


def logs_table(rows: Sequence[Row], spans: Mapping[str, str], width: int = _WIDE) -> Table:
    """Log lines in order of time; rows of ``trace_logs.sql``, and the names of spans by their ids."""
    columns: dict[str, Cell] = {
        "time (UTC)": lambda row: str(row["time"])[5:23],
        "service": lambda row: row["service_name"],
        "span": lambda row: plain(spans.get(row["span_id"], "–")),
        "level": lambda row: Text(row["severity"] or "–", style="red" if row["severity_number"] >= _ERROR else ""),
        "line": lambda row: first_line(row["body"]) or row["event_name"],
    }
    title = f"{len(rows)} log line{'s' if len(rows) != 1 else ''}"
    return _table(title, columns, rows, width, spare=("time (UTC)", "span", "service"))


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


def plain_row(row: Row) -> Row:
    """A row whose texts are :func:`plain`."""
    return {name: plain(value) if isinstance(value, str) else value for name, value in row.items()}


def _guardrails(row: Row) -> Text:
    outcome = row["guardrail_outcome"] or "–"
    style = {"blocked": "red", "violated": "yellow"}.get(outcome, "")
    return Text(outcome, style=style)


def _status(row: Row) -> Text:
    if row["status_code"] == "Error":
        return Text(row["error_type"] or "failed", style="red")
    return Text("streamed" if row["is_stream"] else "ok")


def first_line(text: str, length: int = 80) -> str:
    """The first line of a text, cut where it is long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= length else f"{line[:length]}…"


def _count(value: int, style: str) -> Text:
    return Text(f"{value}", style=style if value else "dim")


def number(value: int | None) -> str:
    """A count, or a dash where there is none."""
    return "–" if value is None else f"{value:,}"
