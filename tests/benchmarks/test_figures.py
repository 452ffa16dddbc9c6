"""The arithmetic behind the benchmarks: medians of pairs, who is compared with whom, when a soak is flat."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.support.figures import Figure, figure, per_chunk
from benchmarks.support.flat import faults
from benchmarks.support.results import Aim, Results

WHOLE = {"input": "full", "output": "full", "tokens": "full", "spans": 1}
AIM = Aim("content", "chat", 60.0, 0.5, ("input", "output", "tokens"))


def test_one_wild_measurement_does_not_move_a_figure() -> None:
    """The median and the error by quartiles leave an outlier out of account."""
    steady = figure([100.0] * 9, [9, 10, 11, 10, 9, 11, 10, 9, 11])
    wild = figure([100.0] * 9, [9, 10, 11, 10, 9, 11, 10, 9, 5000])
    assert (steady.bare, steady.added, steady.ratio) == (100, 10, 1.1)
    assert wild.added == steady.added
    assert wild.error < 1


def test_the_error_falls_with_the_root_of_the_rounds() -> None:
    """Four times the measurements, half the error."""
    few, many = figure([1.0] * 40, [1.0, 2, 3, 4] * 10), figure([1.0] * 160, [1.0, 2, 3, 4] * 40)
    assert few.error == pytest.approx(2 * many.error)


@pytest.mark.parametrize(("added", "verdict"), [(60.0, "met"), (64.0, "unsure"), (64.1, "MISSED")])
def test_an_aim_is_missed_by_more_than_two_errors(added: float, verdict: str) -> None:
    """What lies between is not decided."""
    assert Figure(100, added, 2).verdict(60) == verdict


def test_a_chunk_takes_what_a_stream_takes_more_than_a_plain_call() -> None:
    """The call itself is not counted again in each of its chunks."""
    chunk = per_chunk(Figure(14_000, 260, 40), Figure(800, 60, 30), 200)
    assert (chunk.added, chunk.error) == (1.0, 0.25)


def test_only_a_peer_that_records_the_same_is_compared_with() -> None:
    """The fastest of all may be fast because it leaves something out."""
    figures = {
        ("content", "us", "chat"): Figure(800, 50, 1),
        ("content", "forgets the output", "chat"): Figure(800, 20, 1),
        ("content", "records half", "chat"): Figure(800, 30, 1),
        ("content", "leaves out thoughts", "chat"): Figure(800, 110, 1),
        ("content", "slow", "chat"): Figure(800, 300, 1),
    }
    held: dict[tuple[str, str], dict[str, Any]] = {
        ("us", "chat"): WHOLE,
        ("forgets the output", "chat"): {**WHOLE, "output": ""},
        ("records half", "chat"): {**WHOLE, "input": "part"},
        ("leaves out thoughts", "chat"): {**WHOLE, "tokens": "part"},
        ("slow", "chat"): WHOLE,
    }
    (verdict,) = Results("us", figures, held).verdicts([AIM, Aim("content", "not measured", 1.0)])
    assert (verdict.verdict, verdict.fastest, verdict.share_verdict) == ("met", "leaves out thoughts", "met")
    assert verdict.share == pytest.approx(50 / 110)


def test_our_own_gaps_are_said() -> None:
    """A figure of ours without the content it stands for is not passed off as one."""
    results = Results("us", {("content", "us", "chat"): Figure(800, 5, 1)}, {("us", "chat"): {"spans": 1}})
    (verdict,) = results.verdicts([AIM])
    assert not verdict.complete
    assert "does not hold what it should" in str(verdict)


def _checkpoints(**last: Any) -> list[dict[str, Any]]:
    still = {"resident": 90.0, "threads": 3, "objects": 800, "spans": 1, "contexts": 9, "attached": 0}
    counts = {"ended": {"call": 10, "abandoned": 2}, "expected": {"call": 10, "abandoned": 2}}
    return [{**still, **counts} for _ in range(9)] + [{**still, **counts, **last}]


def test_a_soak_that_stays_as_it_is_has_no_fault() -> None:
    """Nor has one that grows as the bare SDKs do."""
    assert faults(_checkpoints(), _checkpoints()) == []
    assert faults(_checkpoints(resident=94.0), _checkpoints(resident=93.0)) == []


@pytest.mark.parametrize(
    ("last", "word"),
    [
        ({"resident": 92.0}, "memory"),
        ({"threads": 4}, "threads"),
        ({"objects": 833}, "objects"),
        ({"attached": 1}, "attached"),
        ({"ended": {"call": 9, "abandoned": 2}}, "call"),
        ({"ended": {"call": 10, "abandoned": 1, "completed": 1}}, "abandoned"),
    ],
)
def test_whatever_grows_or_is_missing_is_a_fault(last: dict[str, Any], word: str) -> None:
    """Each by itself."""
    found = faults(_checkpoints(**last), _checkpoints())
    assert found
    assert word in found[0]
