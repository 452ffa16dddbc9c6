"""``otel-llm trace``: one trace as a tree."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from otel_llm_collector.errors import CollectorError

from .options import DATA, Data, Json

if TYPE_CHECKING:
    from otel_llm_collector.client import Reader

_HANDLE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def trace(
    trace_id: Annotated[str, typer.Argument(help="Id of the trace, its first digits, or the handle of a call.")],
    data: Data = DATA,
    as_json: Json = False,
) -> None:
    """One trace as a tree across services, with durations, models, tokens and cost."""
    from otel_llm_collector.client import Reader

    with Reader.open(data) as reader:
        spans = _spans(reader, trace_id.strip().lower())
    if as_json:
        typer.echo(json.dumps(spans, ensure_ascii=False))
        return
    from .show import console, trace_tree

    console().print(trace_tree(spans))


def _spans(reader: Reader, given: str) -> list[dict[str, Any]]:
    from .questions import ask

    handle = _HANDLE.fullmatch(given)
    prefix = handle[1] if handle else given
    if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
        raise CollectorError(f"{given} is not a trace id: give up to 32 hexadecimal digits, or the handle of a call.")
    found = [row["trace_id"] for row in ask(reader, "find_traces", prefix=prefix)]
    if not found:
        raise CollectorError(f"No trace begins with {prefix}. The last ones: otel-llm calls")
    if len(found) > 1:
        raise CollectorError(f"Several traces begin with {prefix}: {', '.join(found)}. Give more digits.")
    return ask(reader, "trace_spans", trace_ids=found)
