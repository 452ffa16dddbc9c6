"""``otel-llm demo``: three services, some sixty model calls, and what the store knows about them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import DATA, Data

if TYPE_CHECKING:
    from rich.console import Console

    from otel_llm_collector.client import Reader

    from .stage import Stage

_COUNTS = ("calls", "input_tokens", "output_tokens")


def demo(
    data: Data = DATA,
    leave: Annotated[bool, typer.Option("--exit", help="Leave when done, instead of staying up.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object: calls, traces, totals.")] = False,
    live: Annotated[
        bool, typer.Option(help="Ask the real providers; needs GEMINI_API_KEY and OPENAI_API_KEY.")
    ] = False,
) -> None:
    """Three services that use the real SDKs, about 60 calls, and what they cost; no key needed."""
    from rich.console import Console

    from otel_llm_collector.client import Reader

    from .questions import ask
    from .stage import SERVICES, stage

    for number in (signal.SIGTERM, signal.SIGHUP):  # the second comes when the terminal is closed
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda number, frame: _interrupt())
    said = Console(stderr=True, highlight=False, markup=False, emoji=False)
    began = time.time()
    with stage(data, live, lambda text: said.print(text, style="dim")) as everything:
        with Reader.open(data) as reader:
            before = _totals(reader, list(SERVICES))
            _play(everything, said)
            seen = everything.seen()
            reader.flush()
            after = _totals(reader, list(SERVICES))
            prompts = ask(reader, "by_prompt", since=began, services=list(SERVICES))
            found = _collect(reader, began)
        found["totals"] = {name: _less(after[name], before[name]) for name in after} | {
            "services": {**seen, "cost": round(seen["cost"], 9)}
        }
        agreed = _agree(found["totals"])
        if as_json:
            typer.echo(json.dumps(found, ensure_ascii=False))
        else:
            _report(found, prompts, agreed, data, time.time() - began)
        if not leave:
            _stay(everything, said)
    if not agreed:
        raise typer.Exit(1)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _play(everything: Stage, said: Console) -> None:
    """Ask the questions, with a bar that shows how far it is."""
    import asyncio

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    from otel_llm_demo.dialogue import Turn, Visit
    from otel_llm_demo.play import play, questions

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=said) as progress:
        task = progress.add_task("Three readers ask", total=questions())

        def told(visit: Visit, turn: Turn, reply: dict[str, Any]) -> None:
            outcome = "" if reply["outcome"] == "ok" else f" ({reply['outcome']})"
            progress.console.print(Text.assemble((f"{visit.user}: ", "dim"), turn.question, (outcome, "yellow")))
            progress.advance(task)

        asyncio.run(play(everything.services["web"], told))


def _totals(reader: Reader, services: list[str]) -> dict[str, dict[str, Any]]:
    from .questions import ask

    questions = {"llm_calls": "totals", "rollup": "totals_hourly"}
    return {name: ask(reader, question, services=services)[0] for name, question in questions.items()}


def _less(after: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """What this run added; an older demo's calls may be in the same store."""
    counts: dict[str, Any] = {name: after[name] - before[name] for name in _COUNTS}
    return {**counts, "cost": round(after["cost_total"] - before["cost_total"], 9)}


def _agree(totals: dict[str, dict[str, Any]]) -> bool:
    """Whether call by call, hour by hour and the services themselves say the same."""
    return totals["llm_calls"] == totals["rollup"] == totals["services"]


def _collect(reader: Reader, began: float) -> dict[str, Any]:
    from .questions import ask
    from .stage import SERVICES

    calls = ask(reader, "last_calls", since=began, services=list(SERVICES), trace_ids=[], limit=10_000)
    ids = sorted({call["trace_id"] for call in calls})
    spans: dict[str, list[dict[str, Any]]] = {trace_id: [] for trace_id in ids}
    for span in ask(reader, "trace_spans", trace_ids=ids):
        spans[span["trace_id"]].append(span)
    traces = [
        {"trace_id": trace_id, "services": sorted({span["service_name"] for span in found}), "spans": found}
        for trace_id, found in spans.items()
    ]
    return {"calls": calls, "traces": traces}


def _report(found: dict[str, Any], prompts: list[dict[str, Any]], agreed: bool, data: Path, took: float) -> None:
    from . import show
    from .tree import trace_tree

    out = show.console()
    out.print(show.prompts_table(prompts, out.width))
    best = _best_trace(found["traces"])
    if best:
        out.print(trace_tree(best["spans"]))
    out.print()
    for name, total in found["totals"].items():
        tokens = f"{total['input_tokens']:,} tokens in, {total['output_tokens']:,} out"
        out.print(f"{name:>10}: {total['calls']} calls, {tokens}, {show.money(total['cost'])}")
    if agreed:
        out.print("All three agree.", style="green")
    else:
        out.print("They do not agree.", style="red")
    out.print(f"\n{len(found['calls'])} model calls in {took:.1f} s. Look closer:")
    command = "uv run otel-llm" if "UV_RUN_RECURSION_DEPTH" in os.environ else "otel-llm"
    where = "" if data == DATA else f" --data {shlex.quote(str(data))}"
    question = "SELECT service_name, sum(cost_total) FROM llm_calls GROUP BY service_name"
    trace = f"trace {best['trace_id'][:8]}" if best else "trace ID"
    for line in ("calls", trace, f'sql "{question}"', "doctor"):
        out.print(f"  {command} {line}{where}", soft_wrap=True)


def _best_trace(traces: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The one that says most: across all services, and with something that went wrong."""

    def merit(trace: dict[str, Any]) -> tuple[int, int, int]:
        failed = sum(1 for span in trace["spans"] if span["provider"] and span["status_code"] == "Error")
        return len(trace["services"]), failed, -len(trace["spans"])

    return max(traces, key=merit, default=None)


def _stay(everything: Stage, said: Console) -> None:
    try:
        here = everything.collector
        said.print(f"The collector takes OTLP at {here.http} and {here.grpc}, and answers SQL at {here.api}")
        said.print("Everything stays up until Ctrl-C.", style="bold")
        while not (ended := everything.processes.ended()):
            time.sleep(0.5)
        said.print(f"{', '.join(ended)} ended by itself.", style="red")
    except KeyboardInterrupt:
        said.print()
