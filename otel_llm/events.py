"""Events of a call, as log records with its trace and span ids: that it began, its details, its exception.

They go to the application's LoggerProvider; without one nothing is made. Names and severities are those of
https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai), where the conventions have the event.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from typing import Any

from opentelemetry._logs import LoggerProvider, LogRecord, SeverityNumber, get_logger_provider
from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context

#: Providers that take nothing: the API's own.
NOWHERE = frozenset({"ProxyLoggerProvider", "NoOpLoggerProvider", "_ProxyMeterProvider", "NoOpMeterProvider"})

STARTED = "otel_llm.call.started"
DETAILS = "gen_ai.client.inference.operation.details"
EXCEPTION = "gen_ai.client.operation.exception"


class Events:
    """Where events go. ``version`` and ``attributes`` are those of the scope."""

    def __init__(self, provider: LoggerProvider | None, version: str, attributes: Mapping[str, Any]) -> None:
        self._provider = provider
        self._version = version
        self._attributes = dict(attributes)

    @property
    def live(self) -> bool:
        """Whether anybody takes them."""
        return type(self._provider or get_logger_provider()).__name__ not in NOWHERE

    def started(self, span: Span, values: Mapping[str, Any]) -> None:
        """A call has begun: what is known of one that never ends."""
        self._emit(STARTED, span, SeverityNumber.DEBUG, values)

    def details(self, span: Span, values: Mapping[str, Any], content: Mapping[str, str]) -> LogRecord:
        """All that is known of a call; content as structure, not as JSON. The record is returned before it is sent."""
        structured = {name: _structured(text) for name, text in content.items()}
        return self._record(DETAILS, span, SeverityNumber.DEBUG, {**values, **structured})

    def exception(self, span: Span, error: BaseException, message: str, values: Mapping[str, Any]) -> None:
        """A call has failed. The stack is where, without what the error says, which is ``message``."""
        kind = type(error)
        where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        said = {
            "exception.type": f"{where}{kind.__qualname__}",
            "exception.message": message,
            "exception.stacktrace": "".join(traceback.format_tb(error.__traceback__)),
        }
        self._emit(EXCEPTION, span, SeverityNumber.WARN, {**values, **said})

    def send(self, record: LogRecord) -> None:
        """Sends a record."""
        provider = self._provider or get_logger_provider()
        provider.get_logger("otel_llm", self._version, attributes=self._attributes).emit(record)

    def _emit(self, name: str, span: Span, severity: SeverityNumber, values: Mapping[str, Any]) -> None:
        self.send(self._record(name, span, severity, values))

    def _record(self, name: str, span: Span, severity: SeverityNumber, values: Mapping[str, Any]) -> LogRecord:
        return LogRecord(
            context=set_span_in_context(span, Context()),
            severity_number=severity,
            severity_text=severity.name,
            attributes=dict(values),
            event_name=name,
        )


def _structured(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # a plain text
        return text
