"""What is known of a call when it ends, put where it goes: the span, the event, the completion hook, the metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Span, Status, StatusCode

from otel_llm import attributes as a
from otel_llm.asked import told
from otel_llm.config import fault
from otel_llm.errors import error_type
from otel_llm.messages import mended
from otel_llm.others import say

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_OUTCOME, _RETRIES, _ERROR, _TRUNCATED = (
    a.STREAM_OUTCOME.name, a.RETRY_COUNT.name, a.ERROR_TYPE.name, a.CONTENT_TRUNCATED.name
)  # fmt: skip

#: Attributes of an adopted span that are ours to say, whoever has said them.
_ALWAYS = ("otel_llm.", "gen_ai.prompt.")

#: Types that a span keeps as they are.
_PLAIN = frozenset({int, float, bool})


def end(call: Invocation) -> None:
    """Puts what is known of a call where it goes, and ends its span."""
    try:
        put(call)
    except Exception:
        fault("recording a call")
    if not call.adopted:
        try:
            call.span.end(call.ends)
        except Exception:
            fault("ending a span")
    if call.metered:
        try:
            call.scope.metrics.record(call.values, time.perf_counter() - call.started, call.gaps or ())
        except Exception:
            fault("the metrics of a call")


def put(call: Invocation) -> None:
    """Puts the call's values on its span, and sends its events."""
    values, span, scope = call.values, call.span, call.scope
    if call.outcome is not None:
        values[_OUTCOME] = call.outcome
    if call.retries:
        values[_RETRIES] = call.retries
    error = call.error
    if error is not None:
        values[_ERROR] = error_type(error)
    elif _ERROR in values and not call.adopted:  # the provider answered that it failed
        span.set_status(Status(StatusCode.ERROR, values[_ERROR]))
    kept = call.kept
    if kept is not None and kept.truncated:
        values[_TRUNCATED] = True
    if not call.recording:
        return
    if error is not None:
        _failed(call, error)
    plain = _mend(values)
    content = {} if kept is None else kept.values
    _mend(content)
    new = {**values, **content} if scope.content.span else values
    if call.adopted:
        new = _missing(call, new)
    if new:
        fill(span, new, plain)
    if kept is None:
        return
    record = None
    if scope.content.event and scope.events.live:
        record = scope.events.details(span, values, kept.values)
    if scope.completion is not None:
        scope.completion(span, record, **call.completed)
    if record is not None:
        scope.events.send(record)


def _missing(call: Invocation, values: dict[str, Any]) -> dict[str, Any]:
    """What an adopted span does not have yet, and what is ours to say in any case: cost, prompt, guardrails."""
    span: Any = call.span
    if not span.is_recording():
        say("ended", "A span that was begun for a model call had ended before the call did: it lacks what came of it.")
        return {}
    theirs = getattr(span, "attributes", None) or {}
    return {name: value for name, value in values.items() if name.startswith(_ALWAYS) or name not in theirs}


def _failed(call: Invocation, error: BaseException) -> None:
    """The status of a failed call, and its event."""
    said = told(call, error)
    name = type(error).__name__
    if not call.adopted:
        call.span.set_status(Status(StatusCode.ERROR, f"{name}: {said}" if said else name))
    events = call.scope.events
    if isinstance(error, Exception) and events.live:
        try:
            events.exception(call.span, error, said, call.start)
        except Exception:
            fault("the event of an exception")


def _mend(values: dict[str, Any]) -> bool:
    """Rids texts of lone surrogates, which would cost the exporter its whole batch; whether all types are plain."""
    plain = True
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            if not value.isascii():
                values[name] = mended(value)
        elif kind is list:
            values[name] = tuple([mended(item) if type(item) is str else item for item in value])
        elif kind not in _PLAIN:
            plain = False
    return plain


def fill(span: Span, values: dict[str, Any], plain: bool) -> None:
    """Sets attributes of a span, in which they are new or the same.

    The SDK checks and copies each value by itself, which takes longer than all the rest of a span. Where nothing is to
    be checked (plain types, no limit that could be reached) they are put in place at once.
    """
    held = getattr(span, "_attributes", None)
    if (
        plain
        and type(held) is BoundedAttributes
        and held.max_value_len is None
        and (held.maxlen is None or len(held) + len(values) <= held.maxlen)
        and type(inner := getattr(held, "_dict", None)) is dict
        and span.is_recording()
    ):
        inner.update(values)
    else:
        span.set_attributes(values)
