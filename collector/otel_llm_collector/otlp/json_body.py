"""OTLP in JSON: requests become the protobuf that everything behind the door is made for, and answers become JSON.

Unlike protobuf's own JSON, ids are hexadecimal and enums are numbers. What OTLP does not know is passed over.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import islice
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from otel_llm_collector.errors import Malformed
from otel_llm_collector.signals import SIGNALS

from .json_fields import Kind
from .json_values import Wrong

_VALUES = 1 << 21
"""Values that a request may have: one of two bytes takes more than a hundred in memory."""
_VALUE = re.compile(rb'[^",{[]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)[^",{[]*+)*+(?:[,{[]|\Z)', re.DOTALL)
"""A value and what begins the next one. Strings are passed over whole; any end is one too, so that time is linear."""
_SIGNALS = {signal.request.DESCRIPTOR.fields[0].json_name: signal.name for signal in SIGNALS} | {
    "resourceProfiles": "profiles"
}
"""What the requests of a signal hold, by which those of another are recognised."""
_LONE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
"""Half of a surrogate pair without the other."""


def to_protobuf(kind: type[Message], body: bytes) -> bytes:
    """A request of that kind in protobuf, from its JSON in UTF-8. The same body always gives the same bytes.

    Raises :class:`Malformed`, with the path of the field, where a value is not what OTLP/JSON has there. Ids may have
    any length. Half of a surrogate pair, which encoders in JavaScript and Python let through, becomes U+FFFD.
    """
    document = _parse(body)
    try:
        written = _writer(kind.DESCRIPTOR).write(document, 0)
    except Wrong as wrong:
        raise Malformed(str(wrong)) from None
    expected = kind.DESCRIPTOR.fields[0].json_name
    if expected not in document:
        for name, signal in _SIGNALS.items():
            if name in document:
                raise Malformed(f"{name}: this is a request of {signal}; {_SIGNALS[expected]} have {expected}.")
    return written


def response_json(message: Message) -> bytes:
    """An ``Export*ServiceResponse`` or a ``google.rpc.Status`` in JSON, with 64-bit numbers as strings."""
    return orjson.dumps(json_format.MessageToDict(message))


@cache
def _writer(descriptor: Descriptor) -> Kind:
    return Kind(descriptor, {})


def _parse(body: bytes) -> Any:
    if _values(body) > _VALUES:
        raise Malformed(f"The body has more than {_VALUES} values in JSON; send fewer items in a request.")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        mended = _mend(body)
        if mended == body:
            raise Malformed(f"The body is not JSON: {error}.") from None
    try:
        return orjson.loads(mended)
    except orjson.JSONDecodeError as error:
        raise Malformed(f"The body is not JSON: {error}.") from None


def _values(body: bytes) -> int:
    """Most values that a document can have; where it may have too many, they are counted, up to one too many."""
    most = len(body) // 2
    if most > _VALUES:
        most = 1 + sum(map(body.count, (b",", b"{", b"[")))
    if most > _VALUES:
        most = sum(1 for _ in islice(_VALUE.finditer(body), _VALUES + 1))
    return most


def _mend(body: bytes) -> bytes:
    """Halves of surrogate pairs become U+FFFD; escaped backslashes, behind which none begins, are hidden meanwhile."""
    if b"\0" in body:
        return body
    return _LONE.sub(rb"\\ufffd", body.replace(rb"\\", b"\0")).replace(b"\0", rb"\\")
