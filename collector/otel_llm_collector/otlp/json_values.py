"""Single values of OTLP/JSON as protobuf has them on the wire."""

from __future__ import annotations

import re
import struct
from binascii import a2b_base64, unhexlify
from collections.abc import Callable
from typing import Any

import orjson
from google.protobuf.descriptor import FieldDescriptor

Write = Callable[[Any, int], bytes]
"""A field's bytes, from its value in JSON and the depth of the message that it is in. Raises :class:`Wrong`."""

_IDS = {"trace_id", "span_id", "parent_span_id"}
_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORD = 1 << 64
_INT32 = (-(1 << 31), (1 << 31) - 1)
_INT64 = (-(1 << 63), (1 << 63) - 1)
_UINT32 = (0, (1 << 32) - 1)
_UINT64 = (0, _WORD - 1)


class Wrong(Exception):
    """A value that its field cannot have; ``path`` leads to it, its last part first."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.path: list[str] = []

    def __str__(self) -> str:
        where = "".join(reversed(self.path)).removeprefix(".")
        return f"{where or 'The body'}: {self.args[0]}."


def wrong(value: Any, right: str) -> Wrong:
    """What a value is not; of a long one the beginning is shown."""
    if isinstance(value, dict | list):
        shown = "an object" if isinstance(value, dict) else "a list"
    else:
        shown = orjson.dumps(value[:40] if isinstance(value, str) else value).decode()
    return Wrong(f"{shown} is not {right}")


def varint(number: int) -> bytes:
    """An integer in as many bytes as it needs; one below zero in ten."""
    if 0 <= number < 128:
        return bytes((number,))
    if 0 <= number < 16384:
        return bytes((number & 127 | 128, number >> 7))
    if number < 0:
        number += _WORD
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def heads(tag: bytes) -> list[bytes]:
    """A tag with each length of one byte."""
    return [tag + varint(size) for size in range(128)]


def text(tag: bytes, field: FieldDescriptor) -> Write:
    """The writer of a field that has text or bytes."""
    if field.type == FieldDescriptor.TYPE_STRING:
        return _delimited(tag, str.encode, "a string")
    if field.name in _IDS:
        return _delimited(tag, unhexlify, "an id in hexadecimal digits")
    return _delimited(tag, _base64, "base64")


def _delimited(tag: bytes, read: Callable[[Any], bytes], right: str) -> Write:
    short = heads(tag)

    def write(value: Any, depth: int) -> bytes:
        try:
            data = read(value)
        except (TypeError, ValueError):
            raise wrong(value, right) from None
        size = len(data)
        return (short[size] if size < 128 else tag + varint(size)) + data

    return write


def _base64(value: Any) -> bytes:
    """Of either alphabet, with or without padding."""
    standard = str.translate(value, {ord("-"): "+", ord("_"): "/"})
    return a2b_base64(standard + "=" * (-len(standard) % 4), strict_mode=True)


def _integer(bounds: tuple[int, int], encode: Callable[[int], bytes]) -> Callable[[bytes], Write]:
    """A number, or its decimal digits as a string."""
    least, most = bounds

    def make(tag: bytes) -> Write:
        def write(value: Any, depth: int) -> bytes:
            number = most + 1
            if type(value) is str:
                digits = value.encode()
                if len(digits) <= 20 and (digits.isdigit() or (digits[:1] == b"-" and digits[1:].isdigit())):
                    number = int(digits)
            elif type(value) is int:
                number = value
            elif type(value) is float and value.is_integer() and abs(value) < _WORD // 2:
                number = int(value)
            if least <= number <= most:
                return tag + encode(number)
            raise wrong(value, f"an integer from {least} to {most}")

        return write

    return make


def _enum(tag: bytes) -> Write:
    number = _integer(_INT32, varint)(tag)

    def write(value: Any, depth: int) -> bytes:
        if type(value) is not int:
            raise wrong(value, "an integer, which is how OTLP writes an enum")
        return number(value, depth)

    return write


def _double(tag: bytes) -> Write:
    pack = struct.Struct("<d").pack

    def write(value: Any, depth: int) -> bytes:
        if type(value) is float or type(value) is int:
            return tag + pack(value)
        if type(value) is str:
            if value in _SPECIAL:
                return tag + pack(_SPECIAL[value])
            if _DECIMAL.fullmatch(value) and abs(number := float(value)) < float("inf"):
                return tag + pack(number)
        raise wrong(value, 'a number, "NaN", "Infinity" or "-Infinity"')

    return write


def _bool(tag: bytes) -> Write:
    def write(value: Any, depth: int) -> bytes:
        if type(value) is not bool:
            raise wrong(value, "true or false")
        return tag + (b"\x01" if value else b"\x00")

    return write


def _zigzag(number: int) -> bytes:
    return varint(number * 2 if number >= 0 else -number * 2 - 1)


NUMBERS: dict[int, tuple[int, Callable[[bytes], Write]]] = {
    FieldDescriptor.TYPE_DOUBLE: (1, _double),
    FieldDescriptor.TYPE_FIXED64: (1, _integer(_UINT64, struct.Struct("<Q").pack)),
    FieldDescriptor.TYPE_SFIXED64: (1, _integer(_INT64, struct.Struct("<q").pack)),
    FieldDescriptor.TYPE_FIXED32: (5, _integer(_UINT32, struct.Struct("<I").pack)),
    FieldDescriptor.TYPE_INT64: (0, _integer(_INT64, varint)),
    FieldDescriptor.TYPE_UINT64: (0, _integer(_UINT64, varint)),
    FieldDescriptor.TYPE_INT32: (0, _integer(_INT32, varint)),
    FieldDescriptor.TYPE_UINT32: (0, _integer(_UINT32, varint)),
    FieldDescriptor.TYPE_SINT32: (0, _integer(_INT32, _zigzag)),
    FieldDescriptor.TYPE_ENUM: (0, _enum),
    FieldDescriptor.TYPE_BOOL: (0, _bool),
}
"""The types of number that OTLP has: the wire type, and what makes the writer behind a tag."""
