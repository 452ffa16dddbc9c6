"""What a table has between two times, in numbers that two stores can be compared by."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_MODULUS = 1 << 64

Keys = Counter[int]
"""How often there is a row with each key. A key stands for all that a row contains."""


@dataclass(frozen=True, slots=True)
class Sums:
    """How many rows there are, and the sum of their keys."""

    rows: int = 0
    checksum: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.rows + other.rows, (self.checksum + other.checksum) % _MODULUS)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.rows - other.rows, (self.checksum - other.checksum) % _MODULUS)


def sums_of(keys: Keys) -> Sums:
    """Those of rows whose keys are known."""
    return Sums(keys.total(), sum(key * count for key, count in keys.items()) % _MODULUS)


class Seconds:
    """The sums of each second that has rows; ``seconds`` come in order of time."""

    def __init__(self, seconds: Iterable[tuple[int, Sums]]) -> None:
        self.seconds = list(seconds)
        self._times = [time for time, _ in self.seconds]

    @property
    def rows(self) -> int:
        """In all seconds."""
        return sum(sums.rows for _, sums in self.seconds)

    def within(self, first: int, last: int) -> Sums:
        """The sums from ``first`` to ``last``, both included."""
        inside = self.seconds[bisect_left(self._times, first) : bisect_right(self._times, last)]
        return sum((sums for _, sums in inside), Sums())
