"""Every rule of ``docs/otlp.md`` has its row, and every row all tests that have its number."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.nodes import ROOT, functions, rows

RULES = 46


def test_every_rule_has_its_row_and_its_tests() -> None:
    """Those that the row names are those that there are."""
    there: dict[int, set[str]] = {number: set() for number in range(1, RULES + 1)}
    for path in sorted(Path(__file__).parent.glob("test_rules_*.py")):
        for name in functions(str(path.relative_to(ROOT))):
            if match := re.match(r"test_rule_(\d\d)_", name):
                there[int(match[1])].add(f"{path.name}::{name}")
    named = {
        number: set(re.findall(r"`(test_\w+\.py::\w+)`", cells[-1])) for number, cells in rows("docs/otlp.md").items()
    }
    assert named == there
    assert all(there.values())
