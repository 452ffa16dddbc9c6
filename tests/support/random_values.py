"""Random values, texts, ids and times of OTLP, from a seed."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

DAY_NS = 86_400_000_000_000
MENDED = "\ufffd"
"""What text that is not UTF-8 is mended to; a text that has it stands for one that is broken."""
_TEXTS = (
    "", " ", "chat gpt-5", "gen_ai.operation.name", "grün", "日本語", "\U0001f525", "\x00", "a\x00b", "\x01\x1f\x7f",
    "\t\r\n", "'", '"', "\\", "\\'", "\\u001f", "/", "{\"a\": [1, 2]}", "[", "null", "NaN", "\u2028\u2029", "\u0085",
    "\ufeff", "'; DROP TABLE otel_traces; --", "<script>alert(1)</script>", "%s{}", "x" * 127, "y" * 128, "z" * 5000,
)  # fmt: skip
_KEYS = ("", "a", "b", "service.name", "gen_ai.operation.name", "gen_ai.usage.input_tokens", "k8s.pod.name", "ü", "a b")
INTS = (0, 1, -1, 127, 128, 2**31 - 1, 2**31, -(2**31), 2**53, 2**53 + 1, 2**63 - 1, -(2**63))
DOUBLES = (
    0.0, -0.0, 1.0, 0.1, -1.5, 1e-5, 1e-6, 1e-7, 5e-324, 1e15, 1e16, 1e17, 1e20, 1e21, 123456789012345678.0, 1e300,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
ENUMS = (0, 1, 2, 3, 4, 5, 6, 9, 24, 255, 256, 1000, 2**31 - 1, -1, -(2**31))
COUNTS = (0, 0, 0, 1, 7, 2**31, 2**32 - 1)
ANY_TIMES = (0, 1, 999_999_999, 10**18, 2**63 - 1, 2**63, 2**64 - 1)
_KINDS = ("string", "bool", "int", "double", "bytes", "list", "array", "map", "nothing", "reference")
_NESTED = (30, 8, 14, 12, 5, 10, 4, 4, 3, 0.2)
_FLAT = (30, 8, 14, 12, 5, 10, 0, 0, 3, 0.2)
_DEEPEST = (1, 1, 1, 1, 1, 0, 0, 0, 1, 0)
_DEPTH = 5


class Values:
    """Draws what requests are made of.

    Times lie in the year before and the day after ``now``, in nanoseconds since 1970, unless ``any_time``. Values are
    maps, and arrays of more than one plain kind, if ``nested``.
    """

    def __init__(self, seed: int, now: int, any_time: bool = False, nested: bool = True) -> None:
        self._chance = random.Random(seed)
        self._now = now
        self._any_time = any_time
        self._weights = _NESTED if nested else _FLAT
        self._broken = 0
        """Texts of the request so far that are to be broken."""
        self._strange = False
        """Whether the request has what OTLP does not know."""

    def _attributes(self, attributes: Any, named: bool = False) -> None:
        if named:
            attributes.add(key="service.name").value.string_value = self._text()
        for _ in range(self._few(6)):
            attribute = attributes.add(key=self._chance.choice(_KEYS) if self._often() else self._text())
            if self._often():
                self._value(attribute.value)
            self._stranger(attribute)

    def _value(self, value: AnyValue, depth: int = 0) -> None:
        kind = self._chance.choices(_KINDS, self._weights if depth < _DEPTH else _DEEPEST)[0]
        match kind:
            case "string" | "bool" | "int" | "double" | "bytes":
                self._scalar(value, kind)
            case "list":
                value.array_value.SetInParent()
                same = self._chance.choice(("string", "bool", "int", "double", "bytes"))
                for _ in range(self._few(4)):
                    self._scalar(value.array_value.values.add(), same)
            case "array":
                value.array_value.SetInParent()
                for _ in range(self._few(4)):
                    self._value(value.array_value.values.add(), depth + 1)
            case "map":
                value.kvlist_value.SetInParent()
                for _ in range(self._few(4)):
                    pair = value.kvlist_value.values.add(key=self._chance.choice(_KEYS))
                    self._value(pair.value, depth + 1)
            case "reference":
                value.string_value_strindex = 3
                self._strange = True

    def _scalar(self, value: AnyValue, kind: str) -> None:
        match kind:
            case "string":
                value.string_value = self._text()
            case "bool":
                value.bool_value = self._often()
            case "int":
                value.int_value = self._chance.choice(INTS)
            case "double":
                value.double_value = self._double()
            case "bytes":
                value.bytes_value = self._chance.randbytes(self._chance.choice((0, 1, 2, 3, 40)))

    def _text(self) -> str:
        draw = self._chance.random()
        if draw < 0.001:
            self._broken += 1
            return f"a{MENDED}b"
        return self._chance.choice(_TEXTS) if draw < 0.6 else f"text {self._chance.randrange(1000)}"

    def _id(self, size: int) -> bytes:
        if self._chance.random() < 0.98:
            return self._chance.randbytes(size)
        return self._chance.choice((b"", bytes(size), b"12345", self._chance.randbytes(size + 1)))

    def _time(self) -> int:
        draw = self._chance.random()
        if self._any_time and draw < 0.1:
            return self._chance.choice(ANY_TIMES)
        if draw < 0.995:  # every day is a partition, which costs an insert some milliseconds
            return self._now - self._chance.randrange(DAY_NS)
        return self._now + self._chance.randrange(-31 * DAY_NS, DAY_NS * 9 // 10)

    def _double(self) -> float:
        return self._chance.choice(DOUBLES) if self._often() else self._chance.uniform(-1e6, 1e6)

    def _unsigned(self) -> int:
        return self._chance.choice((0, 1, 300, 2**32, 2**63, 2**64 - 1))

    def _stranger(self, message: Message) -> None:
        """Sometimes a field that OTLP does not have yet, of any wire type."""
        if self._chance.random() < 0.01:
            new = (b"\xb8\x3e\x07", b"\xba\x3e\x03abc", b"\xb9\x3e12345678", b"\xbd\x3e1234")  # field 999
            message.MergeFromString(self._chance.choice(new))
            self._strange = True

    def _few(self, limit: int) -> int:
        return self._chance.randrange(limit)

    def _often(self) -> bool:
        return self._chance.random() < 0.7

    def _rarely(self) -> bool:
        return self._chance.random() < 0.05
