"""Handles of calls: which call gave a response, and which was the last. A handle is a W3C traceparent, as a string."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Any

from opentelemetry.trace import SpanContext

#: The last call that ended in this context.
last: ContextVar[SpanContext | None] = ContextVar("otel_llm.last_call", default=None)


class _Given(weakref.ref[Any]):
    """A response, and the call that gave it."""

    __slots__ = ("identity", "key")
    identity: SpanContext
    key: int


_given: dict[int, _Given] = {}


def _forget(given: _Given) -> None:
    _given.pop(given.key, None)


def handle(identity: SpanContext) -> str:
    """The handle of a span: ``00-<trace>-<span>-<flags>``, as https://www.w3.org/TR/trace-context/ writes it."""
    return f"00-{identity.trace_id:032x}-{identity.span_id:016x}-{identity.trace_flags:02x}"


def last_call() -> str | None:
    """The handle of the last call that ended in this context, a W3C traceparent; ``None`` before the first."""
    identity = last.get()
    return None if identity is None else handle(identity)


def call_of(response: Any) -> str | None:
    """The handle of the call that gave ``response`` (the SDK's own object); ``None`` where it is not known."""
    identity = giver(response)
    return None if identity is None else handle(identity)


def giver(response: Any) -> SpanContext | None:
    """The span of the call that gave ``response``; ``None`` where it is not known."""
    given = _given.get(id(response))
    return given.identity if given is not None and given() is response else None


def gave(response: Any, identity: SpanContext) -> None:
    """Remembers that a call gave ``response``, for as long as that lives."""
    try:
        given = _Given(response, _forget)
    except TypeError:  # not every object can be remembered weakly
        return
    given.identity = identity
    given.key = key = id(response)
    _given[key] = given
