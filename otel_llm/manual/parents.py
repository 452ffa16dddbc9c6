"""Calls and spans that another call is told of: by a handle, a span, or the object of a call."""

from __future__ import annotations

from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_llm.config import fault

_read = TraceContextTextMapPropagator().extract


def context_below(parent: Any) -> Context | None:
    """The context in which a call below ``parent`` begins; ``None`` where that says nothing."""
    if parent is None:
        return None
    if not isinstance(parent, Span):
        identity = _identity(parent)
        if identity is None:
            return None
        parent = NonRecordingSpan(identity)
    return set_span_in_context(parent, otel_context.get_current())


def links_to(linked: Any) -> list[Link] | None:
    """Links to calls and spans."""
    if isinstance(linked, str) or not isinstance(linked, list | tuple):
        linked = [linked]
    found = [Link(identity) for each in linked if (identity := _identity(each)) is not None]
    return found or None


def _identity(thing: Any) -> SpanContext | None:
    """The span that is meant; ``None`` where none is, which is said where it should be one."""
    try:
        handle = getattr(thing, "handle", thing)
        if handle is None:  # a call that was not recorded
            return None
        if isinstance(handle, str):
            found = get_current_span(_read({"traceparent": handle}, Context())).get_span_context()
        else:
            found = thing if isinstance(thing, SpanContext) else thing.get_span_context()
        if not found.is_valid:
            raise ValueError(f"{thing!r} is no call")
    except Exception:
        fault("the parent of a call")
        return None
    return found
