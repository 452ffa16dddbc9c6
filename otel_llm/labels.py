"""The labels of metrics, bounded: so many values of one label and so many combinations, whatever there may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from otel_llm.messages import mended

#: Values that one label may have in a process; all others are OTHER.
MOST = 200
OTHER = "other"

#: Combinations of labels that a process may have, and the labels of all others: both are OpenTelemetry's own
#: (https://opentelemetry.io/docs/specs/otel/metrics/sdk/#cardinality-limits).
MOST_COMBINATIONS = 2000
OVERFLOW: Mapping[str, Any] = {"otel.metric.overflow": True}

T = TypeVar("T")


class Labelled(Generic[T]):
    """What is made of each combination of labels, once: ``make`` is given the labels."""

    def __init__(self, names: tuple[str, ...], make: Callable[[Mapping[str, Any]], T]) -> None:
        self._names = names
        self._make = make
        self._seen: dict[str, set[Any]] = {name: set() for name in names}
        self._made: dict[tuple[Any, ...], T] = {}
        self._overflow: T | None = None

    def of(self, values: Mapping[str, Any]) -> T:
        """What was made of the labels among the values."""
        key = tuple(map(values.get, self._names))
        try:
            found = self._made.get(key)
        except TypeError:  # a value that is none of a label's
            found = None
        return self._bounded(key) if found is None else found

    def _bounded(self, values: tuple[Any, ...]) -> T:
        key = tuple(
            None if value is None else self._value(name, value) for name, value in zip(self._names, values, strict=True)
        )
        found = self._made.get(key)
        if found is None:
            if len(self._made) >= MOST_COMBINATIONS:
                self._overflow = self._overflow or self._make(OVERFLOW)
                return self._overflow
            labels = {name: value for name, value in zip(self._names, key, strict=True) if value is not None}
            found = self._made[key] = self._make(labels)
        return found

    def _value(self, name: str, value: Any) -> Any:
        if type(value) is not int:
            value = mended(str(value))
        seen = self._seen[name]
        if value not in seen:
            if len(seen) >= MOST:
                return OTHER
            seen.add(value)
        return value
