"""kill -9 under load: everything acknowledged is there, and exactly once. ``tools/kills.py`` does it more often."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support.kills import Kills


def test_killed_ten_times_under_load(tmp_path: Path) -> None:
    """At random moments: while it receives, writes, inserts, replays and starts; all signals, all tables."""
    seed = random.SystemRandom().randrange(2**32)
    with Kills(tmp_path, random.Random(seed)) as kills:
        kills.under_load(10)
        assert kills.settle() == [], f"seed {seed}"
    assert min(kills.load.acknowledged[signal] for signal in ("traces", "logs", "metrics")) > 100, f"seed {seed}"
    assert kills.replayed > 0, f"seed {seed}"
