"""A call that failed: what is said of its error, on the span and as an event."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from opentelemetry.trace import Status, StatusCode

from otel_llm import attributes as a
from otel_llm.config import fault

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

#: What may be taken for a provider's code of an error, such as ``rate_limit_exceeded`` or ``RESOURCE_EXHAUSTED``.
_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,63}")

_TRUNCATED = a.CONTENT_TRUNCATED.name


def put(call: Invocation, error: BaseException) -> None:
    """Sets the status of a failed call, and sends its event."""
    content, events = call.scope.content, call.scope.events
    name = type(error).__name__
    ours = type(error).__module__.partition(".")[0] == "otel_llm"  # which says what the application said, or rules do
    told = _told(call, error) if ours or content.span or content.event else ""
    code = told if ours else _code(error)
    if call.recording and not call.adopted:
        said = told if content.span and told else code
        call.span.set_status(Status(StatusCode.ERROR, f"{name}: {said}" if said else name))
    if isinstance(error, Exception) and events.live and (call.recording or content.event):
        try:
            events.exception(call.span, error, told if content.event and told else code or name, call.start)
        except Exception:
            fault("the event of an exception")


def _told(call: Invocation, error: BaseException) -> str:
    """The text of an error, redacted and cut: it is content, which providers quote."""
    try:
        text = str(error)
        told = call.scope.content.text(text)
    except Exception:
        fault("the text of an error")
        return ""
    if len(told) < len(text) and told.endswith(" bytes]"):
        call.values[_TRUNCATED] = True
    return told


def _code(error: BaseException) -> str:
    """What an error says in a word that is nobody's content: the provider's code."""
    for name in ("code", "status"):
        try:
            code = getattr(error, name, None)
        except Exception:
            fault("the code of an error")
            continue
        if isinstance(code, str) and _CODE.fullmatch(code):
            return code
    return ""
