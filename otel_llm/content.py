"""What is kept of content: the one point that all of it passes, to be redacted and cut to size, in that order.

Content is messages, system instructions, tool definitions, tool arguments and results, queries and documents, variables
of prompts, parameters that are text, and the texts of errors. It goes on the span, on the event, to the completion hook
or nowhere; what it becomes is always valid JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from otel_llm.config import fault
from otel_llm.cut import cut_messages, cut_part, cut_parts, cut_text, cut_value, dumps, share, size
from otel_llm.messages import mended, messages_json, parts_json, to_json
from otel_llm.redaction import Redact, redacted, redacted_message, redacted_part, redacted_value

#: The least that the budgets of a part and of a span may be, in bytes.
LEAST_PART, LEAST_SPAN = 1024, 4096

#: Values of content that a call may have, and the least bytes that one is cut to; beyond, the last ones are left out.
MOST_VALUES, LEAST_VALUE = 48, 512

#: Bytes of a value that is kept at once, as long as four of its size are left, and how many may be.
SMALL, MOST_SMALL = 8192, 24


@dataclass(frozen=True)
class Content:
    """Where content goes, and how much of it.

    ``redact`` is given every text and returns what is kept of it. ``part_bytes`` is the most of one part of a message,
    of one tool definition or of one value; ``span_bytes`` the most of a call, of which a quarter is left for what
    comes back. Both are bytes of UTF-8, marks included, at least 1,024 and 4,096.
    """

    span: bool = False
    event: bool = False
    redact: Redact | None = None
    part_bytes: int = 1 << 16
    span_bytes: int = 1 << 18

    def __post_init__(self) -> None:
        object.__setattr__(self, "part_bytes", max(self.part_bytes, LEAST_PART))
        object.__setattr__(self, "span_bytes", max(self.span_bytes, LEAST_SPAN))

    @cached_property
    def small(self) -> int:
        """Most characters of a value of which nothing is to be looked at."""
        return 0 if self.redact is not None else min(SMALL, self.part_bytes)

    @cached_property
    def sent_bytes(self) -> int:
        """Most bytes of what is sent."""
        return self.span_bytes - self.span_bytes // 4

    def text(self, text: str) -> str:
        """A text by itself, such as that of an error: as a value of its own budget."""
        if self.redact is not None:
            text = redacted(text, self.redact)
        return mended(text if len(text) <= self.part_bytes // 4 else cut_text(text, self.part_bytes))


class Kind(NamedTuple):
    """How values of a kind are written, redacted and cut; ``plain`` ones are texts, all others JSON.

    Where there is too much, what is highest in rank stays.
    """

    write: Callable[[Any], str]
    redact: Callable[[Any, Redact], Any]
    shorten: Callable[[Any, int, int], Any]
    rank: int = 2
    plain: bool = False


#: A value that is to be redacted and cut: its name, what was written of it, and its kind.
_Waiting = tuple[str, str, Kind]


def _shorter_messages(messages: Any, part_bytes: int, most: int) -> Any:
    parts = [{**message, "parts": [cut_part(part, part_bytes) for part in message["parts"]]} for message in messages]
    return cut_messages(parts, most)


#: Messages; parts of one; definitions of tools; any other value; a text by itself.
MESSAGES = Kind(
    messages_json,
    lambda value, redact: [redacted_message(message, redact) for message in value],
    _shorter_messages,
)
PARTS = Kind(
    parts_json,
    lambda value, redact: [redacted_part(part, redact) for part in value],
    lambda value, part_bytes, most: cut_parts([cut_part(part, part_bytes) for part in value], most),
)
DEFINITIONS = PARTS._replace(write=to_json)
VALUE = Kind(to_json, redacted_value, lambda value, part_bytes, most: cut_value(value, min(part_bytes, most)), rank=1)
TEXT = Kind(str, redacted, lambda value, part_bytes, most: cut_text(value, min(part_bytes, most)), rank=0, plain=True)


def _as_it_is(value: Any, _: Redact) -> Any:
    return value


class Kept:
    """The content of one call: written down at once, redacted and cut when the call has ended.

    ``values`` are JSON by attribute, or texts; ``truncated`` says that some were cut or left out. All together they
    take at most the budget of a span. None of the methods raises.
    """

    __slots__ = ("_kinds", "_left", "_rules", "_small", "_waiting", "truncated", "values")

    def __init__(self, rules: Content) -> None:
        self._rules = rules
        self._left = rules.sent_bytes
        self._small = rules.small
        self._waiting: list[_Waiting] = []
        self._kinds: dict[str, Kind] = {}
        self.truncated = False
        self.values: dict[str, str] = {}

    def keep(self, name: str, value: Any, kind: Kind) -> None:
        """Keeps a value of a kind."""
        try:
            text = value if kind is TEXT and type(value) is str else kind.write(value)
        except Exception:
            fault("writing content")
            return
        length = len(text)
        if length <= self._small and length <= self._left >> 2 and len(self.values) < MOST_SMALL and text.isascii():
            self._left -= length
            self.values[name] = text
            self._kinds[name] = kind
        else:
            self._waiting.append((name, text, kind))

    def value(self, name: str, value: Any) -> None:
        """Keeps a value of any kind: a text as it is, all else as JSON."""
        self.keep(name, value, TEXT if isinstance(value, str) else VALUE)

    def answered(self) -> None:
        """What was sent is all there, and cut; from here on what is kept came back."""
        if self._waiting:
            self._settle()
        self._left += self._rules.span_bytes - self._rules.sent_bytes

    def done(self) -> None:
        """All is there, and cut."""
        if self._waiting:
            self._settle()

    def take(self, other: Kept) -> None:
        """Takes over what another call has kept, but for what this one keeps itself."""
        own = {*self.values, *(name for name, _, _ in self._waiting)}
        for name, text in other.values.items():
            if name not in own:
                self._waiting.append((name, text, other._kinds[name]._replace(redact=_as_it_is)))
        self.truncated = self.truncated or other.truncated

    def structured(self) -> dict[str, Any]:
        """The values as they are, not as JSON."""
        kinds = self._kinds
        return {name: text if kinds[name].plain else json.loads(text) for name, text in self.values.items()}

    def within(self, most: int) -> dict[str, str]:
        """The values, none of which is longer than so many bytes; JSON that could not be is left out."""
        found = {}
        for name, text in self.values.items():
            kind = self._kinds[name]
            if size(text) <= most:
                found[name] = text
            elif kind.plain or most >= LEAST_VALUE:
                found[name] = self._cut(text, kind, most)
        self.truncated = self.truncated or len(found) < len(self.values)
        return found

    def _put(self, name: str, text: str, kind: Kind) -> None:
        self._left -= size(text)
        self.values[name] = text
        self._kinds[name] = kind

    def _settle(self) -> None:
        """Moves what is waiting to the values."""
        waiting, self._waiting = self._waiting, []
        try:
            self._fit(waiting)
        except Exception:
            fault("cutting content")
            self.truncated = True

    def _fit(self, waiting: list[_Waiting]) -> None:
        """Redacts, cuts each part, then all of it to what is left: small values stay whole, large ones share."""
        waiting = self._without(waiting, range(len(waiting)), len(self.values) + len(waiting) - MOST_VALUES)
        ready = []
        for name, text, kind in waiting:
            try:
                ready.append((name, self._ready(text, kind), kind))
            except Exception:
                fault("redacting and cutting content")
                self.truncated = True
        while True:
            sizes = [size(text) for _, text, _ in ready]
            each = share(sizes, max(0, self._left))
            large = [number for number, bytes in enumerate(sizes) if bytes > each]
            if each >= LEAST_VALUE or not large:
                break
            ready = self._without(ready, large, 1)
        for (name, text, kind), bytes in zip(ready, sizes, strict=True):
            self._put(name, text if bytes <= each else self._cut(text, kind, each), kind)

    def _without(self, values: list[_Waiting], among: Sequence[int], many: int) -> list[_Waiting]:
        """The values without so many of some: the least in rank goes first, and of those the last."""
        if many <= 0:
            return values
        self.truncated = True
        gone = set(sorted(among, key=lambda number: (values[number][2].rank, -number))[:many])
        return [value for number, value in enumerate(values) if number not in gone]

    def _ready(self, text: str, kind: Kind) -> str:
        """A value redacted, and with no part of it larger than a part may be."""
        rules = self._rules
        if rules.redact is not None:
            found = kind.redact(text if kind.plain else json.loads(text), rules.redact)
            text = found if kind.plain else dumps(found)
        text = mended(text)
        return text if size(text) <= rules.part_bytes else self._cut(text, kind, size(text))

    def _cut(self, text: str, kind: Kind, most: int) -> str:
        found = kind.shorten(text if kind.plain else json.loads(text), self._rules.part_bytes, most)
        shorter: str = found if kind.plain else dumps(found)
        self.truncated = self.truncated or shorter != text
        return shorter
