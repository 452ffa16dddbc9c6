"""Protobuf as bytes, without parsing it: how many messages it holds, and whether a field of our own is in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

_FIELDS = 3
"""Times as many fields as messages are looked at to count these."""
_AROUND = 1 << 18
"""Fields around the items that are looked at to find our own."""
_OWN = 2046
GROUP = 1 << 3 | 2
"""The tag of a group in a request of any signal."""
_FIXED = {1: 8, 5: 4}
_VARINT = 10

_Messages: TypeAlias = dict[int, "_Messages"]
"""What the fields of a message hold that are messages themselves, by their tags."""


def has_more_messages(kind: type[Message], body: bytes, most: int) -> bool:
    """Whether there are more in a body, one in another too; it need not be a request. Far more fields are as bad."""
    shape = _shape(kind.DESCRIPTOR)
    if len(body) // 2 <= most or len(body) - len(body.translate(None, shape.beginnings)) <= most:
        return False
    messages = fields = 0
    waiting = [(shape.root, 0, len(body))]
    while waiting:
        of, start, stop = waiting.pop()
        for tag, begin, end in fields_of(body, start, stop):
            fields += 1
            inner = of.get(tag)
            if inner is not None:
                messages += 1
                if begin < end:
                    waiting.append((inner, begin, end))
            if messages > most or fields > _FIELDS * most:
                return True
    return False


def has_own(body: bytes) -> bool:
    """Whether a group of a request, by resource, has a field of our own; one of too many fields is taken to have it."""
    fields = 0
    for tag, begin, end in fields_of(body, 0, len(body)):
        for inner, _, _ in fields_of(body, begin, end) if tag == GROUP else ():
            fields += 1
            if inner >> 3 == _OWN or fields > _AROUND:
                return True
    return False


class _Shape:
    """Which messages a request holds."""

    def __init__(self, request: Descriptor) -> None:
        self._known: dict[str, _Messages] = {}
        self.root = self._of(request)
        tags = {tag for of in self._known.values() for tag in of}
        self.beginnings = bytes({tag for tag in tags if tag < 128} | {tag & 127 | 128 for tag in tags})
        """The bytes with which their fields begin."""

    def _of(self, message: Descriptor) -> _Messages:
        if message.full_name not in self._known:
            found = self._known[message.full_name] = {}
            found |= {
                field.number << 3 | 2: self._of(field.message_type) for field in message.fields if field.message_type
            }
        return self._known[message.full_name]


@cache
def _shape(request: Descriptor) -> _Shape:
    return _Shape(request)


def fields_of(body: bytes, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message up to where it is none: tag, and where the content begins and ends.

    What is in a group, which OTLP does not use, is taken for fields beside it.
    """
    try:
        while at < stop:
            tag, begin = (body[at], at + 1) if body[at] < 128 else _varint(body, at)
            match tag & 7:
                case 2:
                    size, begin = (body[begin], begin + 1) if body[begin] < 128 else _varint(body, begin)
                    at = begin + size
                case 0:
                    at = _varint(body, begin)[1]
                case kind:
                    at = begin + _FIXED.get(kind, 0)
            if at > stop:
                return
            yield tag, begin, at
    except IndexError:
        return


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = 0
    for shift in range(_VARINT):
        byte = body[at + shift]
        number |= (byte & 127) << 7 * shift
        if byte < 128:
            return number, at + shift + 1
    raise IndexError
