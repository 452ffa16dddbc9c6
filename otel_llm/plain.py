"""Any value at all as plain JSON values: what stands for what is not JSON, for a circle, for what is too deep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

#: Levels of nesting that are followed, and values in all: enough for any schema, too little to hurt.
DEEPEST, MOST = 100, 30_000

TOO_DEEP = "…[nested too deep]"
TOO_MANY = "…[too many values]"
CIRCLE = "…[a circle]"


def plain(value: Any, fallback: Any) -> Any:
    """The value with everything in it that JSON has no word for replaced. Never raises.

    ``fallback`` gives, for an object, something that is nearer to JSON; what it raises stands for the object.
    """
    return _Plain(fallback).of(value, 0)


class _Plain:
    """One walk through a value."""

    def __init__(self, fallback: Any) -> None:
        self._fallback = fallback
        self._above: set[int] = set()
        self._left = MOST

    def of(self, value: Any, level: int) -> Any:
        """A value ``level`` levels down."""
        self._left -= 1
        if isinstance(value, str):
            return str.__str__(value)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int):
            return _integer(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else str(float(value))
        if self._left < 0:
            return TOO_MANY
        if level >= DEEPEST:
            return TOO_DEEP
        if id(value) in self._above:
            return CIRCLE
        self._above.add(id(value))
        try:
            return self._inside(value, level + 1)
        except Exception as error:
            return f"…[{type(value).__name__}: {type(error).__name__}]"
        finally:
            self._above.discard(id(value))

    def _inside(self, value: Any, level: int) -> Any:
        if isinstance(value, Mapping):
            return {_key(key): self.of(inner, level) for key, inner in value.items() if self._left >= 0}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(inner, level) for inner in value if self._left >= 0]
        return self.of(self._fallback(value), level)


def _key(key: Any) -> str:
    return str.__str__(key) if isinstance(key, str) else str(key)


def _integer(value: int) -> Any:
    """An integer as it is, or in hexadecimal where it is longer than Python writes in decimal."""
    return int(value) if value.bit_length() < 10_000 else f"{value:#x}"
