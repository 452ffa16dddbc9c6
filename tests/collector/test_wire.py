"""Protobuf as bytes: how many messages a request has, and whether a field of the collector's own number is in it."""

from __future__ import annotations

import random

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from otel_llm_collector.otlp import wire
from otel_llm_collector.signals import SIGNALS, TRACES
from tests.support.random_messages import fill

MIB = 1 << 20


def _messages(message: Message) -> int:
    """Those in a message, at any depth."""
    return sum(
        1 + _messages(inner)
        for field, value in message.ListFields()
        if field.type == FieldDescriptor.TYPE_MESSAGE
        for inner in (value if field.is_repeated else (value,))
    )


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int, longer: int = 0) -> bytes:
    """A number in as many bytes more as are asked for."""
    out = bytearray()
    while number > 127 or longer > 0:
        longer -= number <= 127
        out.append(number & 127 | 128)
        number >>= 7
    return bytes((*out, number))


def test_messages_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, to the last one, in requests of every signal, however many fields each has."""
    monkeypatch.setattr(wire, "_FIELDS", 1000)
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    for number in range(60):
        signal = SIGNALS[number % 3]
        message = signal.request()
        fill(message, chance, depth=chance.randrange(5))
        count, body = _messages(message), message.SerializeToString()
        assert not wire.has_more_messages(signal.request, body, count), f"seed {seed}"
        assert wire.has_more_messages(signal.request, body, count - 1) == (count > 0), f"seed {seed}"


def test_what_is_no_request_is_counted_too() -> None:
    """As far as it is one: it is refused later, in other words."""
    chance = random.Random(7)
    for size in (10, 100, 1000):
        for _ in range(50):
            wire.has_more_messages(TRACES.request, chance.randbytes(size), 3)
    assert not wire.has_more_messages(TRACES.request, b"\x0a\xff\xff\xff\xff\x0f" + b"\x0a\x00" * 10, 3)
    assert not wire.has_more_messages(TRACES.request, b"\x80" * 100 + b"\x0a\x00" * 10, 3)
    assert wire.has_more_messages(TRACES.request, b"\x0a\x00" * 4, 3)


def test_a_large_text_is_one_value() -> None:
    """Whatever letters are in it."""
    text = _field(1, _field(2, _field(2, _field(5, b"\x0a" * 8 * MIB))))
    assert not wire.has_more_messages(TRACES.request, text, 3)


@pytest.mark.parametrize("kind", range(6))
@pytest.mark.parametrize("longer", range(4))
def test_a_field_of_our_own(kind: int, longer: int) -> None:
    """Of any type, its number in any length, wherever it stands in a group."""
    own = _varint(2046 << 3 | kind, longer) + {0: b"\x01", 1: bytes(8), 2: b"\x01x", 5: bytes(4)}.get(kind, b"")
    around = _field(1, b""), _field(3, b"\xf2\x7f")
    assert wire.has_own(_field(1, around[0] + own + around[1]))
    assert wire.has_own(_field(1, around[0]) + _field(1, around[1] + own))
    assert not wire.has_own(_field(1, around[0] + around[1]) + own)  # of the request, where it says nothing


def test_fields_of_nobody_are_looked_at_up_to_a_number() -> None:
    """Beyond that a group is taken to be marked, and what nobody knows is left out of it."""
    assert not wire.has_own(_field(1, b"\x20\x00" * 1000))
    assert wire.has_own(_field(1, b"\x20\x00" * MIB))
