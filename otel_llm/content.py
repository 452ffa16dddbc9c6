"""What is kept of content: the one point that all of it passes, to be redacted, cut to size and counted.

Content is messages, system instructions, tool definitions, tool arguments and results, queries and documents, variables
of prompts, parameters that are text, and the texts of errors. It goes on the span, on the event, to the completion hook
or nowhere; what it becomes is always valid JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from otel_llm.config import fault
from otel_llm.messages import Message, Part, messages_json, parts_json, to_json

Redact = Callable[[str], str]

#: What stands for a text whose redaction failed.
WITHHELD = "[redaction failed]"

#: Fields of messages, parts and definitions that say what something is, and are not content.
_STRUCTURE = frozenset({"role", "type", "id", "name", "finish_reason", "modality", "mime_type", "sha256", "size"})

#: The least that a part is cut to, in bytes; where not even that fits, whole messages go.
_LEAST = 256


@dataclass(frozen=True)
class Content:
    """Where content goes, and how much of it.

    ``redact`` is given every text and returns what is kept of it. ``part_bytes`` is the most of one part of a message,
    of one tool definition or of one value; ``span_bytes`` the most of a call, of which a quarter is left for what
    comes back.
    """

    span: bool = False
    event: bool = False
    redact: Redact | None = None
    part_bytes: int = 1 << 16
    span_bytes: int = 1 << 18

    def text(self, text: str) -> str:
        """A text by itself, such as that of an error or of a parameter."""
        if self.redact is not None:
            text = redacted(text, self.redact)
        return text if len(text) <= self.part_bytes // 4 else _cut(text, self.part_bytes)


def redacted(text: str, redact: Redact) -> str:
    """What is kept of a text; nothing where its redaction fails."""
    try:
        return str(redact(text))
    except Exception:
        fault("redact")
        return WITHHELD


class Kept:
    """The content of one call, as JSON by attribute. ``truncated`` says whether anything was cut."""

    __slots__ = ("_left", "_rules", "truncated", "values")

    def __init__(self, rules: Content) -> None:
        self._rules = rules
        self._left = rules.span_bytes - rules.span_bytes // 4
        self.truncated = False
        self.values: dict[str, str] = {}

    def answered(self) -> None:
        """From here on what is kept came back."""
        self._left += self._rules.span_bytes // 4

    def messages(self, name: str, messages: Sequence[Message]) -> None:
        """Keeps messages."""
        self._keep(name, messages_json(messages), _redacted_messages, _shorter_messages)

    def parts(self, name: str, parts: Sequence[Part]) -> None:
        """Keeps parts, or tool definitions."""
        self._keep(name, parts_json(parts), _redacted_parts, _shorter_parts)

    def value(self, name: str, value: Any) -> None:
        """Keeps a value of any kind: a text as it is, all else as JSON."""
        self._keep(name, value if isinstance(value, str) else to_json(value), _redacted_value, _shorter_value)

    def _keep(
        self,
        name: str,
        text: str,
        redact: Callable[[str, Redact], str],
        shorten: Callable[[str, int, int], str],
    ) -> None:
        rules = self._rules
        if rules.redact is not None:
            text = redact(text, rules.redact)
        elif (size := len(text)) <= self._left and size <= rules.part_bytes and text.isascii():
            self._left -= size
            self.values[name] = text
            return
        size = _size(text)
        if size > rules.part_bytes or size > self._left:
            shorter = shorten(text, rules.part_bytes, max(0, self._left))
            self.truncated = self.truncated or shorter != text
            text, size = shorter, _size(shorter)
        self._left -= size
        self.values[name] = text


MARK = "…[truncated "


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _cut(text: str, most: int) -> str:
    """The beginning of a text, ``most`` bytes at most but for the mark, which says how many are gone."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most:
        return text
    return f"{data[:most].decode('utf-8', 'ignore')}{MARK}{len(data) - most} bytes]"


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _redacted_messages(text: str, redact: Redact) -> str:
    return _dumps(
        [
            {**content_of(message, redact), "parts": [content_of(part, redact) for part in message["parts"]]}
            for message in json.loads(text)
        ]
    )


def _redacted_parts(text: str, redact: Redact) -> str:
    return _dumps([content_of(part, redact) for part in json.loads(text)])


def _redacted_value(text: str, redact: Redact) -> str:
    try:
        return _dumps(_free(json.loads(text), redact))
    except ValueError:  # a plain text
        return redacted(text, redact)


def _shorter_messages(text: str, part_bytes: int, most: int) -> str:
    messages = json.loads(text)
    overhead = sum(_size(_dumps({**message, "parts": []})) + 1 for message in messages)
    messages, overhead = _fewer(messages, overhead, most)
    cap = _cap([_size(_dumps(part)) for message in messages for part in message["parts"]], part_bytes, most - overhead)
    for message in messages:
        message["parts"] = [_smaller(part, cap) for part in message["parts"]]
    return _dumps(messages)


def _fewer(messages: list[Any], overhead: int, most: int) -> tuple[list[Any], int]:
    """Messages without those in the middle, where there are so many that not even their beginnings fit."""
    least = overhead + _LEAST * sum(len(message["parts"]) for message in messages)
    if least <= most or len(messages) < 3:
        return messages, overhead
    keep = max(2, int(len(messages) * most / least))
    gone = len(messages) - keep
    note = {"role": "system", "parts": [{"type": "text", "content": f"{MARK}{gone} messages]"}]}
    kept = [messages[0], note, *messages[len(messages) - keep + 1 :]]
    return kept, sum(_size(_dumps({**message, "parts": []})) + 1 for message in kept)


def _shorter_parts(text: str, part_bytes: int, most: int) -> str:
    parts = json.loads(text)
    cap = _cap([_size(_dumps(part)) for part in parts], part_bytes, most)
    return _dumps([_smaller(part, cap) for part in parts])


def _shorter_value(text: str, part_bytes: int, most: int) -> str:
    return _dumps(_cut(text, min(part_bytes, most)))


def _cap(sizes: list[int], part_bytes: int, most: int) -> int:
    """The most bytes that each part may have, so that all of them fit: the small ones whole, the large ones alike."""
    left = most
    for number, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - number)
        if size > share:
            return max(0, min(part_bytes, share))
        left -= size
    return part_bytes


def _smaller(part: Any, most: int) -> Any:
    """A part of ``most`` bytes, about: the beginning of its text, or of its JSON, and what it is."""
    text = _dumps(part)
    if _size(text) <= most or not isinstance(part, dict):
        return part
    what = {key: value for key, value in part.items() if key in _STRUCTURE}
    content = part.get("content")
    rest = {key: value for key, value in part.items() if key not in _STRUCTURE}
    room = max(0, most - _size(_dumps(what)) - len('"content":"",') - len(MARK) - 20)
    return {**what, "content": _cut(content if isinstance(content, str) else _dumps(rest), room)}


def content_of(part: Any, redact: Redact) -> Any:
    """A message or a part with its content redacted, and what says what it is left alone."""
    if not isinstance(part, dict):
        return _free(part, redact)
    return {key: value if key in _STRUCTURE else _free(value, redact) for key, value in part.items()}


def _free(value: Any, redact: Redact) -> Any:
    """Any value with its texts redacted, and its numbers where their digits are."""
    if isinstance(value, str):
        return redacted(value, redact)
    if isinstance(value, dict):
        return {key: _free(inner, redact) for key, inner in value.items()}
    if isinstance(value, list):
        return [_free(inner, redact) for inner in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        kept = redacted(digits := str(value), redact)
        return value if kept == digits else kept
    return value
