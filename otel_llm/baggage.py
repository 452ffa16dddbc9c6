"""Keys of :func:`otel_llm.context` that travel to other services in W3C baggage, as ``otel_llm.user_id`` and so on.

Only where the application asks for it, on both ends: what is in baggage is sent to every host that an instrumented HTTP
client talks to, and what comes in says only what the sender wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from typing import Any

from opentelemetry import baggage
from opentelemetry.context import Context

from otel_llm import ambient
from otel_llm.config import fault

#: Longest value, in characters.
MOST = 256

Place = tuple[Context, Token[Context]]


def put(values: Mapping[str, str]) -> Place | None:
    """Adds keys to the baggage of here, those with a value that may travel; what to leave again."""
    try:
        here = ambient.current()
        for key, value in values.items():
            name = f"otel_llm.{key}"  # what cannot travel leaves no outer value behind, which would be another's
            here = baggage.set_baggage(name, value, here) if _valid(value) else baggage.remove_baggage(name, here)
        return here, ambient.attach(here)
    except Exception:
        fault("adding to the baggage")
        return None


def leave(place: Place) -> None:
    """Goes back, unless it is left in another context than it was put in."""
    try:
        if ambient.current() is place[0]:
            ambient.detach(place[1])
    except Exception:
        fault("leaving the baggage")


def read(names: Mapping[str, object], context: Context) -> dict[str, Any]:
    """The values that came in by any of these names, as far as they are of a form that may be recorded."""
    found = {name: baggage.get_baggage(f"otel_llm.{name}", context) for name in names}
    return {name: value for name, value in found.items() if isinstance(value, str) and _valid(value)}


def without(names: Mapping[str, object], context: Context) -> Context:
    """The context without these names in its baggage, so that what is not believed here is believed nowhere else."""
    for name in baggage.get_all(context).keys() & {f"otel_llm.{name}" for name in names}:
        context = baggage.remove_baggage(name, context)
    return context


def _valid(value: str) -> bool:
    """Whether a value may travel: not empty, not long, nothing but what can be printed on one line."""
    return 0 < len(value) <= MOST and value.isprintable()
