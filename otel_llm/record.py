"""What is known of a call when it ends, put where it goes: the span, the event, the completion hook, the metrics."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import Span, Status, StatusCode

from otel_llm import attributes as a
from otel_llm.asked import told
from otel_llm.config import fault
from otel_llm.errors import error_type
from otel_llm.messages import mended

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_OUTCOME, _RETRIES, _ERROR, _TRUNCATED = (
    a.STREAM_OUTCOME.name, a.RETRY_COUNT.name, a.ERROR_TYPE.name, a.CONTENT_TRUNCATED.name
)  # fmt: skip

#: Types that a span keeps as they are.
_PLAIN = frozenset({str, int, float, bool, tuple})


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
    elif _ERROR in values:  # the provider answered that it failed
        span.set_status(Status(StatusCode.ERROR, values[_ERROR]))
    kept = call.kept
    if kept is not None and kept.truncated:
        values[_TRUNCATED] = True
    if not call.recording:
        return
    if error is not None:
        _failed(call, error)
    new = values
    if call.start.items() <= values.items():  # what the span has from its start need not be sent again
        new = dict(islice(values.items(), len(call.start), None))
    if call.adopted:
        theirs = getattr(span, "attributes", None) or {}
        new = {name: value for name, value in values.items() if name not in theirs}
    content = _mended(kept.values) if kept is not None else {}
    new = _mended(new)
    if kept is None:
        fill(span, new)
        return
    fill(span, {**new, **content} if scope.content.span else new)
    record = None
    if scope.content.event and scope.events.live:
        record = scope.events.details(span, {**call.start, **new}, content)
    if scope.completion is not None:
        scope.completion(span, record, **call.completed)
    if record is not None:
        scope.events.send(record)


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


def _mended(values: dict[str, Any]) -> dict[str, Any]:
    """Values whose texts have no lone surrogates, which would cost the exporter its whole batch."""
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            if not value.isascii():
                values[name] = mended(value)
        elif kind is list:
            values[name] = tuple([mended(item) if type(item) is str else item for item in value])
    return values


def fill(span: Span, values: dict[str, Any]) -> None:
    """Sets attributes of a span, to which they are new.

    The SDK checks and copies each value by itself, which takes longer than all the rest of a span. Where nothing is to
    be checked (plain types, no limit that could be reached) they are put in place at once.
    """
    held = getattr(span, "_attributes", None)
    if (
        type(held) is BoundedAttributes
        and held.max_value_len is None
        and (held.maxlen is None or len(held) + len(values) <= held.maxlen)
        and type(inner := getattr(held, "_dict", None)) is dict
        and _PLAIN.issuperset(map(type, values.values()))
        and span.is_recording()
    ):
        inner.update(values)
    else:
        span.set_attributes(values)
