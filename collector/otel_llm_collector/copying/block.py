"""What is copied at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .sums import Seconds, Sums


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of whole seconds, with times from ``first`` to ``last``, both included.

    ``brought`` are the sums of those that were copied before.
    """

    first: int
    last: int
    brought: Sums = field(default_factory=Sums)


def cut(seconds: Seconds, known: Sequence[Block], length: int, rows: int) -> Iterator[Block]:
    """The seconds that are in none of the ``known`` blocks, which are in order of time, as blocks of their own.

    A second has a ``length``. A block has at most so many ``rows``, but one second at least, and no known one inside.
    """
    firsts = [block.first for block in known]
    first: int | None = None
    last = held = place = 0
    for time, sums in seconds.seconds:
        before = bisect_right(firsts, time)
        if first is not None and (before != place or held + sums.rows > rows):
            yield Block(first, last)
            first = None
        if before and time <= known[before - 1].last:
            continue
        if first is None:
            first, held, place = time, 0, before
        last, held = time + length - 1, held + sums.rows
    if first is not None:
        yield Block(first, last)
