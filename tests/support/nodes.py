"""Tests by their names, as documents name them: whether there are such, without importing their modules."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


def defined(node_id: str) -> bool:
    """Whether a test of that id is defined, by the text of its file."""
    path, *names = node_id.split("::")
    scope = _body(ROOT / path)
    for name in names:
        found = [node for node in scope if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name]
        if not found:
            return False
        scope = tuple(found[0].body)
    return bool(names)


def functions(path: str) -> list[str]:
    """The names of the tests of a file."""
    return [node.name for node in _body(ROOT / path) if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_"]


def rows(page: str) -> dict[int, list[str]]:
    """The cells of the rows of a document's tables whose first cell is a number."""
    cells = [line.strip("|").split(" | ") for line in (ROOT / page).read_text().splitlines() if line[:2] == "| "]
    return {int(row[0]): [cell.strip() for cell in row[1:]] for row in cells if row[0].strip().isdigit()}


@cache
def _body(path: Path) -> tuple[ast.stmt, ...]:
    return tuple(ast.parse(path.read_text()).body) if path.is_file() else ()
