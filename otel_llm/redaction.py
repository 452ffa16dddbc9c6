"""Redaction: every text of content through the application's function, and what is no text but says the same.

Of what has a schema, the fields that say what a thing is (roles, types, ids, names of tools, digests) are not content.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_llm.config import fault
from otel_llm.cut import dumps

Redact = Callable[[str], str]

#: What stands for a text whose redaction failed.
WITHHELD = "[redaction failed]"

#: Levels of nesting that are gone through text by text; what is deeper is redacted as the text of its JSON.
LEVELS = 100

_OF_MESSAGE = frozenset({"role", "finish_reason"})
_OF_PART = frozenset({"type", "id", "name", "modality", "mime_type", "sha256", "size"})


def redacted(text: str, redact: Redact) -> str:
    """What is kept of a text: what ``redact`` returns, and nothing where it raises or returns no text."""
    try:
        kept = redact(text)
        if not isinstance(kept, str):
            raise TypeError(f"redact returned {type(kept).__name__}")
    except Exception:
        fault("redact")
        return WITHHELD
    return kept


def redacted_message(message: dict[str, Any], redact: Redact) -> dict[str, Any]:
    """A message, its parts and the name of who said it."""
    return {
        key: value
        if key in _OF_MESSAGE
        else [redacted_part(part, redact) for part in value]
        if key == "parts"
        else redacted_value(value, redact)
        for key, value in message.items()
    }


def redacted_part(part: Any, redact: Redact) -> Any:
    """A part of a message, or a tool definition."""
    if not isinstance(part, dict):
        return redacted_value(part, redact)
    return {key: value if key in _OF_PART else redacted_value(value, redact) for key, value in part.items()}


def redacted_value(value: Any, redact: Redact, level: int = 0) -> Any:
    """A plain value: its texts, the keys of its objects, and its numbers where their digits are redacted."""
    if isinstance(value, str):
        return redacted(value, redact)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        kept = redacted(digits := str(value), redact)
        return value if kept == digits else kept
    if level == LEVELS:
        return redacted(dumps(value), redact)
    if isinstance(value, list):
        return [redacted_value(inner, redact, level + 1) for inner in value]
    found: dict[str, Any] = {}
    for key, inner in value.items():
        kept = redacted(key, redact)
        if kept in found:  # two keys that look the same now
            kept = f"{kept} ({len(found)})"
        found[kept] = redacted_value(inner, redact, level + 1)
    return found
