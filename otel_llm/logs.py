"""Log lines as JSON that lead to the trace, the request, the user and the job in which they were written.

>>> handler.setFormatter(otel_llm.logs.JSONFormatter())
"""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import Span

from otel_llm import ambient
from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.context import current
from otel_llm.plain import plain

#: What :func:`otel_llm.context` says, by the names that it has in a line.
_SAID = {
    a.REQUEST_ID.name: "request_id",
    a.USER_ID.name: "user_id",
    a.SESSION_ID.name: "session_id",
    a.CONVERSATION_ID.name: "conversation_id",
    a.TENANT_ID.name: "tenant_id",
    a.TASK_ID.name: "job_id",
}
#: What every record has, which is not of the application's ``extra``.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JSONFormatter(logging.Formatter):
    """One JSON object a line, in ASCII: ``timestamp`` (RFC 3339, UTC, ms), ``level``, ``logger`` and ``message``.

    Where there is one, ``trace_id`` and ``span_id`` of the current span, ``request_id``, ``user_id``, ``session_id``,
    ``conversation_id``, ``tenant_id`` and ``job_id`` of :func:`otel_llm.context`, then what ``extra`` has
    (``extra={"batch_id": ..., "duration_ms": ...}``) under names that are not taken, ``exception`` and ``stack``.
    What is current is looked up where a line is formatted: a ``QueueHandler`` needs the formatter, not its listener.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        second = datetime.fromtimestamp(math.floor(record.created), UTC)
        line: dict[str, Any] = {
            "timestamp": f"{second:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        try:
            line |= _here()
        except Exception:
            fault("the ids of a log line")
        last: dict[str, Any] = {}
        if record.exc_info and record.exc_info[0] is not None:
            last["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            last["exception"] = record.exc_text
        if record.stack_info:
            last["stack"] = self.formatStack(record.stack_info)
        extra = {str(name): plain(value, str) for name, value in vars(record).items() if name not in _OWN}
        return json.dumps(line | {name: value for name, value in extra.items() if name not in line} | last)


def _here() -> dict[str, str]:
    """The ids of the current span and context."""
    found: dict[str, str] = {}
    span = ambient.current().get(ambient.SPAN)
    if isinstance(span, Span) and (identity := span.get_span_context()).is_valid:
        found = {"trace_id": f"{identity.trace_id:032x}", "span_id": f"{identity.span_id:016x}"}
    said = current()
    return found | {name: said[key] for key, name in _SAID.items() if key in said}
