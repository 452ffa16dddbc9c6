"""Cutting content to a number of bytes: what is small stays whole, what is large is cut alike, and a mark says so.

Sizes are bytes of UTF-8, of JSON where a value is JSON. A result is never larger than was asked for, its marks
included; each value is written a fixed number of times, so the time taken is linear in its size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

#: The least that a value, a part and a message are cut to; of lists whose items cannot all have that, the middle goes.
VALUE, PART, MESSAGE = 64, 160, 512

#: Levels of nesting in which values are cut one by one; what is deeper is cut as the text of its JSON.
LEVELS = 6

_NOTE = 96  # a note in the place of what is gone, at most
_SHORT = 48  # what is kept of a role or a name

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_escape: Callable[[str], str] = json.encoder.encode_basestring


def size(text: str) -> int:
    """Bytes of a text in UTF-8; a lone surrogate is one, as is the question mark that it becomes."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def dumps(value: Any) -> str:
    """Compact JSON of plain values."""
    return _encode(value)


def mark(count: int, what: str = "bytes") -> str:
    """What stands where something was cut."""
    return f"…[truncated {count} {what}]"


def share(sizes: Sequence[int], most: int) -> int:
    """The most that each may have, so that all fit into ``most``: the small ones whole, the large ones alike."""
    left = most
    for number, each in enumerate(sorted(sizes)):
        if each > left // (len(sizes) - number):
            return max(0, left // (len(sizes) - number))
        left -= each
    return max(sizes, default=0)


def cut_text(text: str, most: int) -> str:
    """A text of at most so many bytes."""
    total = size(text)
    if total <= most:
        return text
    room = max(0, most - size(mark(total)))
    kept = text[:room].encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    return kept + mark(total - size(kept))


def cut_string(text: str, most: int) -> str:
    """A text of which the JSON has at most so many bytes, quotes and escapes counted."""
    total = size(text)
    room = max(0, most - size(mark(total)) - 2)
    escaped = _escape(text[:room])[1:-1].encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    kept = _unescaped(escaped)
    return kept + mark(total - size(kept))


def _unescaped(escaped: str) -> str:
    """What escaped text says, without half an escape at its end, which has six characters at most."""
    for less in range(6):
        try:
            text: str = json.loads(f'"{escaped[: len(escaped) - less]}"')
        except ValueError:
            continue
        return text
    return ""


def cut_value(value: Any, most: int, levels: int = LEVELS) -> Any:
    """A plain value whose JSON has at most so many bytes, 64 at least: cut inside, or as the text of its JSON."""
    text = dumps(value)
    if size(text) <= most:
        return value
    if isinstance(value, str):
        return cut_string(value, most)
    found: Any = None
    if levels and isinstance(value, dict):
        found = _cut_fields(value, most, levels - 1)
    elif levels and isinstance(value, list):
        found = _cut_items(
            value, most, VALUE, lambda item, room: cut_value(item, room, levels - 1), lambda gone: mark(gone, "items")
        )
    return found or cut_string(text, most)


def cut_parts(parts: Sequence[Any], most: int) -> list[Any]:
    """Parts of a message, or tool definitions."""
    return _cut_items(parts, most, PART, cut_part, lambda gone: _text(mark(gone, "parts")))


def cut_part(part: Any, most: int) -> Any:
    """One of them, which stays an object with a type."""
    found = cut_value(part, most)
    if isinstance(found, dict) and "type" in found:
        return found
    kind = part.get("type") if isinstance(part, dict) else None
    return {"type": cut_value(str(kind or "unknown"), VALUE), "content": cut_string(dumps(part), most - VALUE - 24)}


def cut_messages(messages: Sequence[Any], most: int) -> list[Any]:
    """Messages: the first and the last, and of what is between as much as fits."""
    return _cut_items(
        messages,
        most,
        MESSAGE,
        _cut_message,
        lambda gone: {"role": "system", "parts": [_text(mark(gone, "messages"))]},
    )


def _text(said: str) -> dict[str, Any]:
    return {"type": "text", "content": said}


def _cut_message(message: Any, most: int) -> Any:
    said = {key: value if key == "parts" else cut_value(value, _SHORT) for key, value in message.items()}
    rest = size(dumps({**said, "parts": []})) - 2
    return {**said, "parts": cut_parts(message["parts"], most - rest)}


def _cut_fields(value: dict[str, Any], most: int, levels: int) -> dict[str, Any]:
    """An object: its first fields, if they cannot all be there; empty where not one can."""
    names = [size(dumps(name)) + 2 for name in value]
    sizes = [size(dumps(inner)) for inner in value.values()]
    room = most - 1
    if sum(names) + sum(min(each, VALUE) for each in sizes) > room:
        room -= _NOTE
        kept, least = 0, 0
        for name, each in zip(names, sizes, strict=True):
            least += name + min(each, VALUE)
            if least > room:
                break
            kept += 1
        if not kept:
            return {}
    else:
        kept = len(names)
    most_each = share(sizes[:kept], room - sum(names[:kept]))
    found = {
        name: inner if each <= most_each else cut_value(inner, most_each, levels)
        for (name, inner), each in zip(list(value.items())[:kept], sizes, strict=False)
    }
    if kept < len(names):
        found["…"] = mark(len(names) - kept, "fields")
    return found


def _cut_items(
    items: Sequence[Any],
    most: int,
    least: int,
    cut: Callable[[Any, int], Any],
    note: Callable[[int], Any],
) -> list[Any]:
    """A list: the first item and as many of the last as can have their least, a note between them where some go."""
    sizes = [size(dumps(item)) for item in items]
    room = most - 1 - len(items)
    if sum(sizes) <= room:
        return list(items)
    first = last = len(items)
    if sum(min(each, least) for each in sizes) > room:
        first, last, room = _ends(sizes, most - 2 - _NOTE, least)
    kept = sizes[:first] + sizes[last:]
    most_each = share(kept, room)
    found = [
        item if each <= most_each else cut(item, most_each)
        for item, each in zip([*items[:first], *items[last:]], kept, strict=True)
    ]
    if first < last:
        found.insert(first, note(last - first))
    return found


def _ends(sizes: Sequence[int], most: int, least: int) -> tuple[int, int, int]:
    """Where the gap begins and ends when the first item and the last ones are kept, and the room that they have."""
    room, first, last = most, 0, len(sizes)
    if min(sizes[0], least) + 1 <= room:
        room, first = room - min(sizes[0], least) - 1, 1
    while last > first and min(sizes[last - 1], least) + 1 <= room:
        room -= min(sizes[last - 1], least) + 1
        last -= 1
    return first, last, most - first - (len(sizes) - last)
