"""Every case of ``docs/faults.md`` has its row, and the tests that it names are there."""

from __future__ import annotations

import re

from tests.support.nodes import defined, functions, rows

CASES = 30
NAMED = re.compile(r"`([\w/]+\.py::[\w:]+)`")


def test_every_fault_has_its_row_and_its_tests() -> None:
    """In order, each with at least one."""
    table = {number: NAMED.findall(cells[-1]) for number, cells in rows("docs/faults.md").items()}
    assert list(table) == list(range(1, CASES + 1))
    assert [number for number, tests in table.items() if not tests] == []
    assert [test for tests in table.values() for test in tests if not defined(f"tests/{test}")] == []


def test_every_test_of_a_fault_is_in_its_row() -> None:
    """Those that have its number in their name."""
    table = rows("docs/faults.md")
    for path in ("tests/collector/test_faults.py", "tests/collector/test_seen.py", "tests/collector/test_kill.py"):
        for name in functions(path):
            if match := re.match(r"test_fault_(\d\d)_", name):
                assert f"::{name}`" in table[int(match[1])][-1]
