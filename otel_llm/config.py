"""Settings of the library: one line each, read once by ``instrument()`` and nowhere else."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger("otel_llm")


@dataclass(frozen=True, slots=True)
class Setting:
    """An environment variable, its default and what it does."""

    variable: str
    default: str
    sentence: str


CAPTURE = Setting(
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
    "NO_CONTENT",
    "Where messages are recorded: NO_CONTENT, SPAN_ONLY, EVENT_ONLY or SPAN_AND_EVENT.",
)
COMPLETION_HOOK = Setting(
    "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK", "", "Name of the completion hook that stores messages elsewhere."
)
PART_BYTES = Setting("OTEL_LLM_CONTENT_PART_BYTES", "65536", "Most bytes kept of one part of a message.")
SPAN_BYTES = Setting("OTEL_LLM_CONTENT_SPAN_BYTES", "262144", "Most bytes of content kept of one call.")
INCLUDE_USAGE = Setting(
    "OTEL_LLM_INCLUDE_USAGE",
    "false",
    "Set to true, streams of OpenAI's chat ask for usage, unseen.",
)
START_EVENTS = Setting("OTEL_LLM_START_EVENTS", "false", "Set to true, an event says that a call has begun.")
TRACE_HEADERS = Setting(
    "OTEL_LLM_TRACE_HEADERS", "false", "Set to true, trace headers and baggage may go to model providers."
)
PROMPTS = Setting("OTEL_LLM_PROMPTS", "prompts", "Folder of prompt files.")
EXPORTER = Setting("OTEL_TRACES_EXPORTER", "otlp", "Where spans go: otlp, console or none.")
LOGS_EXPORTER = Setting("OTEL_LOGS_EXPORTER", "none", "Where events go: otlp, console or none.")
METRICS_EXPORTER = Setting("OTEL_METRICS_EXPORTER", "none", "Where metrics go: otlp, console or none.")
PROTOCOL = Setting("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "How they travel: http/protobuf or grpc.")
DISABLED = Setting("OTEL_SDK_DISABLED", "false", "Set to true, nothing is recorded at all.")

SETTINGS: tuple[Setting, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Setting))


def read(setting: Setting, environ: Mapping[str, str] = os.environ) -> str:
    """The value in force."""
    return environ.get(setting.variable, "").strip() or setting.default


def on(setting: Setting, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a setting is true; anything but true and false is said, and means false."""
    value = read(setting, environ).lower()
    if value not in ("true", "false"):
        logger.warning("%s=%s is not known, false is assumed: use true or false.", setting.variable, value)
    return value == "true"


def number(setting: Setting, environ: Mapping[str, str] = os.environ) -> int:
    """A setting that is a number of bytes; anything else is said, and the default is used."""
    value = read(setting, environ)
    if value.isascii() and value.isdigit():
        return int(value)
    logger.warning("%s=%s is not a number of bytes: %s is used.", setting.variable, value, setting.default)
    return int(setting.default)


#: Whether content goes on the span and on the event, by the conventions' word for it.
MODES = {
    "NO_CONTENT": (False, False),
    "SPAN_ONLY": (True, False),
    "EVENT_ONLY": (False, True),
    "SPAN_AND_EVENT": (True, True),
}


def capture(environ: Mapping[str, str] = os.environ) -> tuple[bool, bool]:
    """Whether messages go on the span and on the event; an unknown value is said and means neither."""
    value = read(CAPTURE, environ).upper()
    if value not in MODES:
        logger.warning("%s=%s is not known, no content is recorded: use %s.", CAPTURE.variable, value, ", ".join(MODES))
    return MODES.get(value, (False, False))


_said: set[Any] = set()


def fault(where: str) -> None:
    """Logs the exception being handled, once for each place: telemetry that fails is said and swallowed.

    What the exception says may quote content: it is logged as one of the same name that says nothing.
    """
    if where in _said or (error := sys.exception()) is None:
        return
    _said.add(where)
    silent = type(type(error).__name__, (Exception,), {"__module__": type(error).__module__})()
    logger.warning(
        "otel_llm failed in %s; the application is not affected. Said once.",
        where,
        exc_info=silent.with_traceback(error.__traceback__),
    )
