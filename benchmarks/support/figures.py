"""Figures out of paired measurements, and how they stand to an aim."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """CPU microseconds of a bare call, what the instrumented one takes more, and the standard error of that."""

    bare: float
    added: float
    error: float

    @property
    def ratio(self) -> float:
        """Instrumented to bare."""
        return (self.bare + self.added) / self.bare

    def verdict(self, aim: float) -> str:
        """How it stands to an aim."""
        return _verdict(self.added - aim, self.error)

    def share(self, other: Figure) -> float | None:
        """Its part of another one; ``None`` where the other is not above zero by two of its errors."""
        return self.added / other.added if other.added > 2 * other.error else None

    def share_verdict(self, other: Figure, aim: float) -> str:
        """How its part of another one stands to an aim."""
        return _verdict(self.added - aim * other.added, math.hypot(self.error, aim * other.error))


def figure(bare: Sequence[float], added: Sequence[float]) -> Figure:
    """Medians of measurements taken in pairs; two at least.

    The error is that of a median, with the spread by quartiles, so that outliers do not count.
    """
    low, _, high = statistics.quantiles(added, n=4)
    error = 1.2533 * (high - low) / 1.349 / math.sqrt(len(added))
    return Figure(statistics.median(bare), statistics.median(added), error)


def per_chunk(stream: Figure, plain: Figure, chunks: int) -> Figure:
    """What a chunk takes: a stream without what a plain call takes, by its chunks."""
    error = math.hypot(stream.error, plain.error) / chunks
    return Figure(stream.bare / chunks, (stream.added - plain.added) / chunks, error)


def _verdict(above: float, error: float) -> str:
    """``met``, ``MISSED`` by more than two errors, or ``unsure`` between."""
    return "met" if above <= 0 else "MISSED" if above > 2 * error else "unsure"
