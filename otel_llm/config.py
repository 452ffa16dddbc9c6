"""Settings of the library: one line each, read once by ``instrument()`` and nowhere else."""

from __future__ import annotations

import logging
import os
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
    "Whether messages are recorded: NO_CONTENT or SPAN_ONLY.",
)
PROMPTS = Setting("OTEL_LLM_PROMPTS", "prompts", "Folder of prompt files.")
EXPORTER = Setting("OTEL_TRACES_EXPORTER", "otlp", "Where spans go: otlp, console or none.")
PROTOCOL = Setting("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "How spans travel: http/protobuf or grpc.")
DISABLED = Setting("OTEL_SDK_DISABLED", "false", "Set to true, nothing is recorded at all.")

SETTINGS: tuple[Setting, ...] = (CAPTURE, PROMPTS, EXPORTER, PROTOCOL, DISABLED)


def read(setting: Setting, environ: Mapping[str, str] = os.environ) -> str:
    """The value in force."""
    return environ.get(setting.variable, "").strip() or setting.default


def captures_content(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether messages go on the span, by the conventions' own variable; an unknown value is said and means no."""
    value = read(CAPTURE, environ).upper()
    if value in ("NO_CONTENT", "SPAN_ONLY"):
        return value == "SPAN_ONLY"
    logger.warning(
        "%s=%s is not supported, no content is recorded: use NO_CONTENT or SPAN_ONLY.", CAPTURE.variable, value
    )
    return False


_said: set[Any] = set()


def fault(where: str) -> None:
    """Logs the exception being handled, once for each place: telemetry that fails is said and swallowed."""
    if where not in _said:
        _said.add(where)
        logger.warning("otel_llm failed in %s; the application is not affected. Said once.", where, exc_info=True)
