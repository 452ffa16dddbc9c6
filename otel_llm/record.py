"""What is known of a call when it ends, put where it goes: the span, the event, the completion hook, the metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import Span, Status, StatusCode

from otel_llm import attributes as a
from otel_llm import failure
from otel_llm.config import fault
from otel_llm.errors import error_type
from otel_llm.messages import mended
from otel_llm.others import say
from otel_llm.span import MOST_ATTRIBUTES

if TYPE_CHECKING:
    from otel_llm.content import Kept
    from otel_llm.invocation import Invocation

_OUTCOME, _RETRIES, _ERROR, _TRUNCATED = (
    a.STREAM_OUTCOME.name, a.RETRY_COUNT.name, a.ERROR_TYPE.name, a.CONTENT_TRUNCATED.name
)  # fmt: skip

_OPERATION = a.OPERATION.name
_CAME = a.OUTPUT_MESSAGES.name

#: The conventions' operations that are inferences, and those that are something else, of which they have no event.
_INFERENCES = frozenset({"chat", "generate_content", "text_completion"})
_OTHERS = frozenset({"embeddings", "retrieval", "fetch_response", "create_agent", "invoke_agent", "invoke_workflow"})

#: Attributes that may be left out.
_FREE = (a.METADATA.name, a.REQUEST_PARAM.name)

#: Attributes of an adopted span that are ours to say, whoever has said them.
_ALWAYS = ("otel_llm.", "gen_ai.prompt.")

#: Types that a span keeps as they are.
_PLAIN = frozenset({int, float, bool})
_ITEMS = _PLAIN | {str}


def end(call: Invocation) -> None:
    """Puts what is known of a call where it goes, and ends its span at the time it is now: a hook may take long."""
    ends, seconds = call.ends, None
    try:
        ends, seconds = ends or time.time_ns(), time.perf_counter() - call.started
        put(call)
    except Exception:
        fault("recording a call")
    if not call.adopted:
        try:
            if call.starter is not None and ends is not None:
                call.starter.end(call.span, ends)
            else:
                call.span.end(ends)
        except Exception:
            fault("ending a span")
    if call.metered and seconds is not None:
        try:
            if call.endpoint.internal:
                call.scope.metrics.step(call.values, seconds, call.span)
            else:
                call.scope.metrics.call(call.values, seconds, call.gaps or (), call.span)
        except Exception:
            fault("the metrics of a call")


def put(call: Invocation) -> None:
    """Puts the call's values on its span, sends its events and calls the completion hook."""
    values, kept, error = call.values, call.kept, call.error
    span: Any = call.span
    if call.outcome is not None:
        values[_OUTCOME] = call.outcome
    if call.retries:
        values[_RETRIES] = call.retries
    if error is not None:
        values[_ERROR] = error_type(error)
        failure.put(call, error)
    elif _ERROR in values and not call.adopted:  # the provider answered that it failed
        span.set_status(Status(StatusCode.ERROR, values[_ERROR]))
    content: dict[str, str] = {}
    if kept is not None and call.scope.content.span:
        # a span of the starter's has no such length, and what would be asked for it is better not made
        content = kept.values if call.starter is not None else _fitting(kept, span)
    if kept is not None and kept.truncated:
        values[_TRUNCATED] = True
    if len(values) + len(content) > MOST_ATTRIBUTES:
        _leave_out(values, len(values) + len(content) - MOST_ATTRIBUTES)
    plain = _mend(values)
    if call.starter is not None and plain and not span.late and span._end_time is None:
        span.held.update(values)  # there is nothing for the SDK to check, and no limit is reached
        span.held.update(content)
    elif call.recording:
        new = {**values, **content}
        if call.adopted:
            new = _missing(call, new)
        if new:
            span.set_attributes(new)
    if kept is not None and (call.scope.content.event or call.scope.completion is not None):
        _send(call, kept)


def _leave_out(values: dict[str, Any], many: int) -> None:
    """Leaves out some of what the application has named itself, before OpenTelemetry's SDK drops what came first."""
    for name in [name for name in reversed(values) if name.startswith(_FREE)][:many]:
        del values[name]
        values[_TRUNCATED] = True


def _fitting(kept: Kept, span: Span) -> dict[str, str]:
    """The values of content, within the length that the application has set for all attributes of spans."""
    most = getattr(getattr(span, "_attributes", None), "max_value_len", None)
    return kept.values if most is None else kept.within(most)


def _send(call: Invocation, kept: Kept) -> None:
    """Sends the event of a request to a model, with what the completion hook adds to it."""
    scope, record = call.scope, None
    if scope.content.event and scope.events.live and _asks_a_model(call, kept):
        record = scope.events.details(call.span, call.values, kept.structured())
    if scope.completion is not None and call.completed:
        scope.completion(call.span, record, call.completed)
    if record is not None:
        scope.events.send(record)


def _asks_a_model(call: Invocation, kept: Kept) -> bool:
    """Whether a call is what the conventions call an inference, or one without their name that a model answered."""
    operation = call.start[_OPERATION]
    return operation in _INFERENCES or (
        operation not in _OTHERS and not call.endpoint.internal and _CAME in kept.values
    )


def _missing(call: Invocation, values: dict[str, Any]) -> dict[str, Any]:
    """What an adopted span does not have yet, and what is ours to say in any case: cost, prompt, guardrails."""
    span: Any = call.span
    if not span.is_recording():
        say("ended", "A span that was begun for a model call had ended before the call did: it lacks what came of it.")
        return {}
    theirs = getattr(span, "attributes", None) or {}
    return {name: value for name, value in values.items() if name.startswith(_ALWAYS) or name not in theirs}


def _mend(values: dict[str, Any]) -> bool:
    """Rids texts of lone surrogates, which would cost the exporter its whole batch; whether all types are plain."""
    plain = True
    for name, value in values.items():
        kind = type(value)
        if kind is str:
            if not value.isascii():
                values[name] = mended(value)
        elif kind is list:
            values[name] = tuple(map(_whole, value))
            plain = plain and _ITEMS.issuperset(map(type, value))
        elif kind not in _PLAIN:
            plain = False
    return plain


def _whole(item: Any) -> Any:
    return mended(item) if type(item) is str else item
