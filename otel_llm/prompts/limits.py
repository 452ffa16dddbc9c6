"""What one render may use up, and the filters that could make much of little; imported at the first render."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jinja2 import StrictUndefined, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context

#: Characters of text that one render may put out.
MAX_OUTPUT = 1_000_000
#: Characters of text that one render may make on the way.
MAX_WORK = 16 * MAX_OUTPUT
#: Turns of all loops of one render together.
MAX_TURNS = 100_000
#: Seconds of processor time that the loops of one render may take.
MAX_SECONDS = 2.0

#: The name under which the render's budget travels in the context; no template can write it.
BUDGET = "\0budget"


class Budget:
    """What one render may still use up."""

    __slots__ = ("deadline", "turns", "work")

    def __init__(self) -> None:
        self.turns = MAX_TURNS
        self.work = MAX_WORK
        self.deadline = 0.0

    def turn(self) -> None:
        """Counts one turn of a loop."""
        self.turns -= 1
        if self.turns % 64 == 0:
            now = time.thread_time()
            self.deadline = self.deadline or now + MAX_SECONDS
            if now > self.deadline:
                raise SecurityError(f"its loops take more than {MAX_SECONDS:g} seconds")
        if self.turns < 0:
            raise SecurityError(f"its loops make more than {MAX_TURNS} turns")

    def make(self, size: int) -> None:
        """Counts text about to be made, or just made."""
        self.work -= size
        if size > MAX_OUTPUT or self.work < 0:
            raise SecurityError("it makes more text than a prompt may hold")


def measure(value: Any, budget: Budget) -> None:
    """Counts the text of a value, whose parts may be large or repeated, without making it."""
    if isinstance(value, str):
        budget.make(len(value))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            measure(key, budget)
            measure(item, budget)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            measure(item, budget)
    elif isinstance(value, StrictUndefined):
        str(value)  # raises: what is missing is not text, wherever it stands
    budget.make(4)


@pass_context
def text_of(context: Context, value: Any) -> str:
    """``value|string``: its text."""
    if not isinstance(value, str):
        measure(value, context.parent[BUDGET])
    return str(value)


@pass_context
def join(context: Context, value: Iterable[Any], d: str = "") -> str:
    """``values|join(", ")``: their texts in a row."""
    budget: Budget = context.parent[BUDGET]
    pieces = []
    for item in value:
        budget.make(len(d))
        pieces.append(text_of(context, item))
    return str(d).join(pieces)


@pass_context
def replace(context: Context, s: str, old: str, new: str, count: int = -1) -> str:
    """``text|replace("old", "new")``."""
    found = s.count(old) if count < 0 else min(count, s.count(old))
    context.parent[BUDGET].make(len(s) + found * len(new))
    return s.replace(old, new, count)


@pass_context
def indent(context: Context, s: str, width: int = 4, first: bool = False) -> str:
    """``text|indent(4)``: every line but the first moved to the right."""
    if not 0 <= width <= 64:
        raise SecurityError("indent takes a width of 0 to 64")
    lines = s.splitlines(keepends=True)
    context.parent[BUDGET].make(len(s) + len(lines) * width)
    return "".join(" " * width + line if line.strip() and (first or n) else line for n, line in enumerate(lines))


@pass_context
def rounded(_: Context, value: float, precision: int = 0) -> float:
    """``number|round(2)``."""
    if not -20 <= precision <= 20:
        raise SecurityError("round takes a precision of -20 to 20")
    return round(value, precision)


@pass_context
def tojson(context: Context, value: Any, indent: int | None = None) -> str:
    """``value|tojson``: JSON as a model should read it, without escapes for HTML."""
    if indent is not None and not 0 <= indent <= 8:
        raise SecurityError("tojson takes an indent of 0 to 8")
    measure(value, context.parent[BUDGET])
    return json.dumps(value, ensure_ascii=False, indent=indent)


@pass_context
def counted(context: Context, value: Iterable[Any]) -> Iterator[Any]:
    """Wraps what a loop runs over, so that its turns are counted."""
    budget: Budget = context.parent[BUDGET]
    for item in value:
        budget.turn()
        yield item


@pass_context
def metered(context: Context, value: Any) -> Any:
    """Wraps a filter, a call or a slice, so that the text that it makes is counted."""
    if isinstance(value, str | list | tuple):
        measure(value, context.parent[BUDGET])
    return value


@pass_context
def finalize(context: Context, value: Any) -> Any:
    """What ``{{ }}`` puts out."""
    return text_of(context, value) if isinstance(value, Mapping | list | tuple | set | frozenset) else value


#: Filters of ours, in place of Jinja's where it has one of the name.
FILTERS = {
    "counted": counted,
    "indent": indent,
    "join": join,
    "metered": metered,
    "replace": replace,
    "round": rounded,
    "string": text_of,
    "tojson": tojson,
}
