"""Random protobuf messages of any type, and their OTLP/JSON by an encoder of the tests' own, whole or spoiled."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

_SIZES = {"trace_id": 16, "span_id": 8, "parent_span_id": 8}
_IDS = ("traceId", "spanId", "parentSpanId")
_TEXTS = (
    "",
    "gen_ai.usage.input_tokens",
    "grün",
    "\x00\x1f\"\\/'",
    "\U0001f600",
    "\u2028",
    "x" * 127,
    "y" * 200,
    "€" * 60,
)
_BOUNDS = {
    FieldDescriptor.TYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_SINT32: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_ENUM: (-(1 << 31), (1 << 31) - 1),
    FieldDescriptor.TYPE_UINT32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_FIXED32: (0, (1 << 32) - 1),
    FieldDescriptor.TYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(1 << 63), (1 << 63) - 1),
    FieldDescriptor.TYPE_UINT64: (0, (1 << 64) - 1),
    FieldDescriptor.TYPE_FIXED64: (0, (1 << 64) - 1),
}
_SPOILED = (None, {}, [], [None], "", "x", "12", 12, -1, 1.5, 2.0, True, 1 << 64, "1e3", "NaN", {"x": 1})
_DOUBLES = (0.0, -0.0, 1.5, 1e300, 5e-324, 2.0, -1e21, float("inf"), float("-inf"))


def fill(message: Message, chance: random.Random, depth: int = 0) -> None:
    """Set fields of a message by chance, each kind of value with its extremes; no NaN, which equals nothing."""
    for field in message.DESCRIPTOR.fields:
        if field.name.endswith("strindex") or chance.random() < (0.3 if depth < 8 else 0.8):
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth > 12:
                continue
            if field.is_repeated:
                for _ in range(chance.randrange(3)):
                    fill(getattr(message, field.name).add(), chance, depth + 1)
            else:
                getattr(message, field.name).SetInParent()
                fill(getattr(message, field.name), chance, depth + 1)
        elif field.is_repeated:
            getattr(message, field.name).extend(_scalar(field, chance) for _ in range(chance.randrange(4)))
        else:
            setattr(message, field.name, _scalar(field, chance))


def _scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(_TEXTS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return chance.randbytes(chance.choice((0, 1, _SIZES.get(field.name, 3), 17)))
    if field.type == FieldDescriptor.TYPE_BOOL:
        return chance.random() < 0.5
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return chance.choice((*_DOUBLES, chance.random()))
    low, high = _BOUNDS[field.type]
    return chance.choice((0, 1, 127, 128, 16383, 16384, low, high, chance.randrange(low, high)))


def otlp_json(message: Message) -> dict[str, Any]:
    """A message as OTLP/JSON has it: protobuf's JSON, with numbers for enums and hexadecimal ids."""
    document: dict[str, Any] = _hex(json_format.MessageToDict(message, use_integers_for_enums=True))
    return document


def _hex(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: base64.b64decode(item).hex() if name in _IDS else _hex(item) for name, item in value.items()}
    return [_hex(item) for item in value] if isinstance(value, list) else value


def spoil(document: Any, chance: random.Random) -> None:
    """Put something else in one or two places of a JSON document."""
    places = list(_places(document))
    for inside, key in chance.sample(places, min(len(places), 2)):
        inside[key] = chance.choice(_SPOILED)


def _places(inside: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(inside, dict | list):
        for key in inside if isinstance(inside, dict) else range(len(inside)):
            yield inside, key
            yield from _places(inside[key])
