"""Whether a soak was flat: nothing grows after the warm-up, and every call and stream has its span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Most that memory may grow by after the warm-up, in megabytes, and live things in number.
MOST_MB = 2.0
THINGS = {"threads": 0, "objects": 32, "spans": 32, "contexts": 32, "attached": 0}

Checkpoint = Mapping[str, Any]


def warm(checkpoints: Sequence[Checkpoint]) -> Sequence[Checkpoint]:
    """The checkpoints from the end of the warm-up on, a fifth of the way."""
    return checkpoints[len(checkpoints) // 5 - 1 :]


def growth(checkpoints: Sequence[Checkpoint]) -> float:
    """Megabytes from the end of the warm-up to the end."""
    first, *_, last = warm(checkpoints)
    return float(last["resident"] - first["resident"])


def faults(ours: Sequence[Checkpoint], bare: Sequence[Checkpoint]) -> list[str]:
    """What does not hold, in sentences."""
    found = []
    grown = growth(ours) - max(0.0, growth(bare))
    if grown >= MOST_MB:
        found.append(f"memory grew by {grown:.1f} MB after the warm-up, beyond what the bare SDKs grow by")
    for thing, more in THINGS.items():
        then, *later = [checkpoint[thing] for checkpoint in warm(ours)]
        if max(later) > then + more:
            found.append(f"{thing}: {then} after the warm-up, up to {max(later)} later")
    last = ours[-1]
    for outcome in sorted({*last["ended"], *last["expected"]}):
        ended, expected = last["ended"].get(outcome, 0), last["expected"].get(outcome, 0)
        if ended != expected:
            found.append(f"spans that are {outcome}: {ended}, and should be {expected}")
    return found
