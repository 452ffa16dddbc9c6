"""Native blocks as a client wants them that says its protocol's version, as clickhouse-go does.

The engine writes blocks without version: the numbers of columns and rows, then for each column its name, its type and
its values. From version 54454 on a block has a head, and each column a byte that says how its values are written. To
put them in, the end of each column must be found, which takes its type.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from otel_llm_collector.errors import QueryRefused

REVISION = 54454
"""The version of the protocol from which on blocks have those bytes."""
_NOT_IMPLEMENTED = 48
_HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"
_ORDINARY = b"\x00"
_SIZES = {
    "Bool": 1, "Date": 2, "Date32": 4, "DateTime": 4, "DateTime32": 4, "DateTime64": 8, "Time": 4, "Time64": 8,
    "Enum8": 1, "Enum16": 2, "BFloat16": 2, "Float32": 4, "Float64": 8, "IPv4": 4, "IPv6": 16, "Nothing": 1, "UUID": 16,
    **{f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)},
    **{f"Decimal{bits}": bits // 8 for bits in (32, 64, 128, 256)},
}  # fmt: skip
_INDEXES = (1, 2, 4, 8)
_SHAPES = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_PART = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[(),]", re.DOTALL)
_NAMED = re.compile(r"(?:`(?:[^`\\]|\\.)*`|\w+) (?=\S)")

Skip = Callable[[bytes, int, int], int]
"""Of some bytes, a place in them and a number of rows: the place behind the values."""
GoOn = Callable[[], None]
"""Raises when the client has gone, or the time is over."""
_TEXTS_AT_ONCE = 65_536


def versioned(answer: bytes, go_on: GoOn) -> bytes:
    """The blocks of an answer, each with a head and each column with its byte; asks now and then whether to go on."""
    parts: list[bytes] = []
    at = 0
    while at < len(answer):
        start = at
        columns, at = _varint(answer, at)
        rows, at = _varint(answer, at)
        parts += [_HEAD, answer[start:at]]
        for _ in range(columns):
            start = at
            at = _text(answer, at)
            size, begin = _varint(answer, at)
            at = begin + size
            parts += [answer[start:at], _ORDINARY]
            start, at = at, _behind(answer[begin:at].decode(), answer, at, rows, go_on)
            parts.append(answer[start:at])
    return b"".join(parts)


def _behind(kind: str, data: bytes, at: int, rows: int, go_on: GoOn) -> int:
    """The place behind a column's values."""
    if not rows:
        return at
    try:
        prefix, skip = _column(kind, go_on)
        return skip(data, at + prefix, rows)
    except RecursionError:
        raise QueryRefused("A column whose type is nested so deeply cannot be sent to this client.") from None


def _column(kind: str, go_on: GoOn) -> tuple[int, Skip]:
    """How many bytes come before all values of a type, and how to skip the values."""
    name, inner = _split(_SHAPES.get(kind, kind))
    if name == "String":
        return 0, _texts(go_on)
    if name in _SIZES:
        return 0, _fixed(_SIZES[name])
    if name == "FixedString":
        return 0, _fixed(int(inner[0]))
    if name == "Decimal":
        digits = int(inner[0])
        return 0, _fixed(next(size for size, most in ((4, 9), (8, 18), (16, 38), (32, 76)) if digits <= most))
    if name.startswith("Interval"):
        return 0, _fixed(8)
    if name == "SimpleAggregateFunction":
        return _column(inner[1], go_on)
    if name == "Nullable":
        prefix, skip = _column(inner[0], go_on)
        return prefix, lambda data, at, rows: skip(data, at + rows, rows)
    if name == "LowCardinality":
        outer, key = _split(inner[0])  # a missing value is one of the distinct ones
        return 8, _dictionary(_column(key[0] if outer == "Nullable" else inner[0], go_on)[1])
    if name == "Array":
        return _array(_column(inner[0], go_on))
    if name in ("Map", "Nested"):
        return _array(_tuple(inner, go_on))
    if name == "Tuple" and inner:
        return _tuple(inner, go_on)
    raise QueryRefused(
        f"A column of type {kind} cannot be sent to this client: cast it, for example with toString.", _NOT_IMPLEMENTED
    )


def _split(kind: str) -> tuple[str, list[str]]:
    """The name of a type, and what it has in parentheses."""
    name, _, rest = kind.partition("(")
    inner: list[str] = []
    depth, start = 0, 0
    for part in _PART.finditer(rest):
        if part[0] == "(":
            depth += 1
        elif part[0] in (",", ")") and depth == 0:
            inner.append(rest[start : part.start()].strip())
            start = part.end()
        elif part[0] == ")":
            depth -= 1
    return name, [part for part in inner if part]


def _fixed(size: int) -> Skip:
    return lambda data, at, rows: at + size * rows


def _texts(go_on: GoOn) -> Skip:
    """Each text has to be stepped over, which takes a while for many."""

    def skip(data: bytes, at: int, rows: int) -> int:
        for done in range(0, rows, _TEXTS_AT_ONCE):
            go_on()
            at = _strings(data, at, min(rows - done, _TEXTS_AT_ONCE))
        return at

    return skip


def _strings(data: bytes, at: int, rows: int) -> int:
    for _ in range(rows):
        size = data[at]
        at += 1
        if size > 127:
            more = data[at]
            at += 1
            if more > 127:
                size, at = _varint(data, at - 2)
            else:
                size = size & 127 | more << 7
        at += size
    return at


def _text(data: bytes, at: int) -> int:
    return _strings(data, at, 1)


def _dictionary(keys: Skip) -> Skip:
    """Low cardinality: the distinct values, then an index for each row."""

    def skip(data: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        size = _INDEXES[data[at]]
        at = keys(data, at + 16, _number(data, at + 8))
        return at + 8 + size * _number(data, at)

    return skip


def _array(column: tuple[int, Skip]) -> tuple[int, Skip]:
    """Where each row ends, then the values of all rows."""
    prefix, values = column

    def skip(data: bytes, at: int, rows: int) -> int:
        if not rows:
            return at
        at += 8 * rows
        return values(data, at, _number(data, at - 8))

    return prefix, skip


def _tuple(inner: list[str], go_on: GoOn) -> tuple[int, Skip]:
    """One column after the other; what comes before their values comes before all of them."""
    columns = [_column(_NAMED.sub("", part, count=1) if _NAMED.match(part) else part, go_on) for part in inner]

    def skip(data: bytes, at: int, rows: int) -> int:
        for _, values in columns:
            at = values(data, at, rows)
        return at

    return sum(prefix for prefix, _ in columns), skip


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number in seven bits a byte, the lowest first, and the place behind it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
