"""What the spans of a call hold, found by value and not by name: every peer has names of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from . import transport as t
from .calls import Call

_COST = re.compile("cost|price", re.IGNORECASE)
_FIRST_CHUNK = re.compile("time_to_first|completion_start_time|first.token", re.IGNORECASE)
_USAGE = re.compile("usage|token", re.IGNORECASE)


def contents(spans: Sequence[ReadableSpan], call: Call, text: str, prompt: str) -> dict[str, Any]:
    """How many spans there are, and what they hold: ``full``, ``part`` or nothing."""
    values = list(_values(spans))
    texts = [value for _, value in values if isinstance(value, str)]
    told = "\n".join(texts)
    numbers = [value for name, value in values if _USAGE.search(name)]
    output = "full" if t.ANSWER in told else "part" if "alpha" in told or "omega" in told else ""
    return {
        "spans": len(spans),
        "input": "full" if text in told else "part" if t.QUESTION in told else "",
        "output": "" if "output" not in call.needs else output,
        "tokens": _tokens(numbers, output="output" in call.needs),
        "cost": "full" if any(_COST.search(name) and _positive(value) for name, value in values) else "",
        "first chunk": "full" if any(_FIRST_CHUNK.search(name) for name, _ in values) else "",
        "prompt link": "full" if any("prompt" in name and value == prompt for name, value in values) else "",
    }


def _values(spans: Sequence[ReadableSpan]) -> Iterator[tuple[str, Any]]:
    """Every name and value of the spans and their events; an event's own name too."""
    for span in spans:
        yield from (span.attributes or {}).items()
        for event in span.events:
            yield event.name, True
            yield from (event.attributes or {}).items()


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def _tokens(values: Sequence[Any], *, output: bool) -> str:
    """Whether the totals are there; output without what was thought is a part."""
    found = {int(number) for value in values for number in re.findall(r"\b\d{3,}\b", str(value))}
    if t.INPUT_TOKENS not in found:
        return ""
    if not output or t.OUTPUT_TOKENS in found:
        return "full"
    return "part" if t.OUTPUT_TOKENS - t.REASONING_TOKENS in found else ""
