"""Protobuf messages out of parsed OTLP/JSON: writers made once, from the descriptor of a message type.

They write the wire format themselves, in three fifths of the time that filling in message objects takes.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from .json_values import NUMBERS, Write, Wrong, heads, text, varint, wrong

_DEPTH = 100
"""Messages inside one another that protobuf's own parser takes."""
_DELIMITED = 2
"""The wire type of what has a length."""
_PROFILES_ONLY = {"key_strindex", "string_value_strindex"}
_PAIR = "opentelemetry.proto.common.v1.KeyValue"
_VALUE = "opentelemetry.proto.common.v1.AnyValue"


class Fields(dict[str, Write]):
    """The fields of a message type by their names in JSON; any other name is written as nothing."""

    def __missing__(self, name: str) -> Write:
        return _nothing


def _nothing(value: Any, depth: int) -> bytes:
    return b""


class Kind:
    """A message type; ``known`` are those made so far, which it may hold, itself too."""

    def __init__(self, descriptor: Descriptor, known: dict[str, Kind]) -> None:
        known[descriptor.full_name] = self
        self.fields = Fields()
        self._choices = [[field.json_name for field in choice.fields] for choice in descriptor.oneofs]
        for field in descriptor.fields:
            if field.name not in _PROFILES_ONLY:
                self.fields[field.json_name] = _field(field, known)

    def write(self, value: Any, depth: int) -> bytes:
        """A message's bytes, without a tag; null is as good as absent. Raises :class:`Wrong`."""
        if type(value) is not dict:
            raise wrong(value, "an object")
        fields = self.fields
        out = b""
        name = ""
        try:
            for name, item in value.items():
                if item is not None:
                    out += fields[name](item, depth)
        except Wrong as error:
            error.path.append(f".{name}")
            raise
        if len(value) > 1:
            for names in self._choices:
                given = [name for name in names if value.get(name) is not None]
                if len(given) > 1:
                    raise Wrong(f"{' and '.join(given)} exclude one another")
        return out


def _field(field: FieldDescriptor, known: dict[str, Kind]) -> Write:
    """The writer of a field, with its tag."""
    wire, number = NUMBERS.get(field.type, (_DELIMITED, None))
    if number is not None and field.is_repeated:
        return _packed(_tag(field, _DELIMITED), number(b""))
    tag = _tag(field, wire)
    if number is not None:
        return number(tag)
    if field.type != FieldDescriptor.TYPE_MESSAGE:
        one = text(tag, field)
        return _repeated(one) if field.is_repeated else one
    name = field.message_type.full_name
    one = _message(tag, known.get(name) or Kind(field.message_type, known))
    if not field.is_repeated:
        return one
    return _attributes(tag, one, known[_VALUE].fields) if name == _PAIR else _repeated(one)


def _tag(field: FieldDescriptor, wire: int) -> bytes:
    return varint(field.number << 3 | wire)


def _message(tag: bytes, kind: Kind) -> Write:
    short = heads(tag)

    def write(value: Any, depth: int) -> bytes:
        if depth == _DEPTH:
            raise Wrong(f"it is inside more than {_DEPTH} others")
        data = kind.write(value, depth + 1)
        size = len(data)
        return (short[size] if size < 128 else tag + varint(size)) + data

    return write


def _repeated(one: Write) -> Write:
    def write(items: Any, depth: int) -> bytes:
        if type(items) is not list:
            raise wrong(items, "a list")
        out: list[bytes] = []
        try:
            for item in items:
                out.append(one(item, depth))  # noqa: PERF401, its length tells which item is wrong
        except Wrong as error:
            error.path.append(f"[{len(out)}]")
            raise
        return b"".join(out)

    return write


def _packed(tag: bytes, number: Write) -> Write:
    numbers = _repeated(number)

    def write(items: Any, depth: int) -> bytes:
        data = numbers(items, depth)
        return tag + varint(len(data)) + data

    return write


def _attributes(tag: bytes, one: Write, values: Fields) -> Write:
    """Attributes are most of a request: a key with one value is written here, in three fifths of the usual time.

    Everything else goes the general way: pairs of another shape, and those at the greatest depth.
    """
    general = _repeated(one)
    short, short_key, short_value = heads(tag), heads(b"\x0a"), heads(b"\x12")

    def write(items: Any, depth: int) -> bytes:
        if type(items) is not list or depth > _DEPTH - 2:
            return general(items, depth)
        out: list[bytes] = []
        inside = depth + 2
        name = ""
        try:
            for item in items:
                try:
                    key = item["key"].encode()
                    ((name, content),) = item["value"].items()
                    value = b"" if content is None else values[name](content, inside)
                except Wrong as error:
                    error.path.append(f".value.{name}")
                    raise
                except (AttributeError, KeyError, TypeError, ValueError):
                    out.append(one(item, depth))
                    continue
                size = len(key)
                key = (short_key[size] if size < 128 else b"\x0a" + varint(size)) + key
                size = len(value)
                pair = key + (short_value[size] if size < 128 else b"\x12" + varint(size)) + value
                size = len(pair)
                out.append((short[size] if size < 128 else tag + varint(size)) + pair)
        except Wrong as error:
            error.path.append(f"[{len(out)}]")
            raise
        return b"".join(out)

    return write
