"""Events of a call, as log records with its trace and span ids: that it began, its details, its exception.

They go to the application's LoggerProvider; without one nothing is made. Names and severities are those of
https://github.com/open-telemetry/semantic-conventions-genai (docs/gen-ai), where the conventions have the event.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.trace import Span, set_span_in_context

from otel_llm.ambient import logger_provider
from otel_llm.cut import dumps

if TYPE_CHECKING:
    from opentelemetry._logs import Logger, LoggerProvider, LogRecord

#: Providers that take nothing: none, and the API's own.
NOWHERE = frozenset(
    {"NoneType", "ProxyLoggerProvider", "NoOpLoggerProvider", "_ProxyMeterProvider", "NoOpMeterProvider"}
)

STARTED = "otel_llm.call.started"
DETAILS = "gen_ai.client.inference.operation.details"
EXCEPTION = "gen_ai.client.operation.exception"


#: Levels of nesting that a value of an event keeps; deeper ones are the text of their JSON. Each level is up to three
#: of protobuf, of which receivers take a hundred in all.
LEVELS = 24

_LARGEST = (1 << 63) - 1


class Events:
    """Where events go. ``version`` and ``attributes`` are those of the scope."""

    def __init__(self, provider: LoggerProvider | None, version: str, attributes: Mapping[str, Any]) -> None:
        self._provider = provider
        self._version = version
        self._attributes = dict(attributes)
        self._logger: tuple[LoggerProvider, Logger] | None = None

    @property
    def live(self) -> bool:
        """Whether anybody takes them."""
        return type(self._provider or logger_provider()).__name__ not in NOWHERE

    def started(self, span: Span, values: Mapping[str, Any]) -> None:
        """A call has begun: what is known of one that never ends."""
        self.send(_record(STARTED, span, "DEBUG", values))

    def details(self, span: Span, values: Mapping[str, Any], content: Mapping[str, Any]) -> LogRecord:
        """All that is known of a call; content as structure, not as JSON. The record is returned before it is sent."""
        structured = {name: _any(value, LEVELS) for name, value in content.items()}
        return _record(DETAILS, span, "DEBUG", {**values, **structured})

    def exception(self, span: Span, error: BaseException, message: str, values: Mapping[str, Any]) -> None:
        """A call has failed. The stack is where, without what the error says, which is ``message``."""
        kind = type(error)
        where = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        said = {
            "exception.type": f"{where}{kind.__qualname__}",
            "exception.message": message,
            "exception.stacktrace": "".join(traceback.format_tb(error.__traceback__)),
        }
        self.send(_record(EXCEPTION, span, "WARN", {**values, **said}))

    def send(self, record: LogRecord) -> None:
        """Sends a record."""
        provider = self._provider or logger_provider()
        if self._logger is None or self._logger[0] is not provider:
            made = provider.get_logger("otel_llm", self._version, attributes=self._attributes)
            self._logger = (provider, made)
        self._logger[1].emit(record)


def _record(name: str, span: Span, severity: str, values: Mapping[str, Any]) -> LogRecord:
    from opentelemetry._logs import LogRecord, SeverityNumber

    return LogRecord(
        timestamp=time_ns(),
        context=set_span_in_context(span, Context()),
        severity_number=SeverityNumber[severity],
        severity_text=severity,
        attributes=dict(values),
        event_name=name,
    )


def _any(value: Any, levels: int) -> Any:
    """A plain value as an attribute of OpenTelemetry may be: integers of 64 bits, and not nested too deep."""
    if isinstance(value, dict):
        return {key: _any(inner, levels - 1) for key, inner in value.items()} if levels else dumps(value)
    if isinstance(value, list):
        return [_any(inner, levels - 1) for inner in value] if levels else dumps(value)
    if isinstance(value, int) and not -_LARGEST <= value <= _LARGEST:
        return str(value)
    return value
