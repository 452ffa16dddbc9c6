"""Which SQL may be asked: an allow-list over ClickHouse's own syntax tree.

``readonly`` alone is not enough on an embedded engine: it lets ``SELECT file('/etc/passwd')``, ``INTO OUTFILE`` and
``KILL QUERY`` through. The tree comes from ``EXPLAIN AST``, which runs nothing. Refused is what is not known here:
kinds of node, functions (also where a bare name could be taken for one, as in ``arrayMap(file, [...])``), table
functions and tables of other databases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import QueryRefused

_KINDS = """
    SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExpressionList Function Identifier Literal Asterisk
    QualifiedAsterisk ColumnsRegexpMatcher QualifiedColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsListMatcher
    ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement
    TablesInSelectQuery TablesInSelectQueryElement TableExpression TableIdentifier TableJoin ArrayJoin Subquery
    WithElement OrderByElement StorageOrderByElement InterpolateElement WindowDefinition WindowListElement SampleRatio
"""
_NODES = frozenset(_KINDS.split())
_TABLE_FUNCTIONS = frozenset(
    {"numbers", "zeros", "values", "SQLStandardValues", "generateSeries", "generate_series", "null"}
)
_SYSTEM_TABLES = frozenset({"one", "numbers", "tables", "columns", "databases", "functions", "data_type_families"})
_SYNTAX = frozenset({"lambda", "exists", "grouping"})
_MEMBERSHIP = re.compile(r"(global)?(not)?(null)?in(ignoreset)?", re.IGNORECASE)
_COMBINATOR = re.compile(
    r"(.+?)(?:If|Array|Map|Distinct|OrDefault|OrNull|ForEach|Resample|SimpleState|MergeState|Merge|State|ArgMin|ArgMax)"
)
_LINE = re.compile(r"( *)(\S+)(?: +(.*?))??(?: \(alias .*\))?(?: \(children \d+\))?")
_SHOW = re.compile(r"SHOW (TABLES|DATABASES)( LIKE '[^'\\]*')?")
_ABOUT = re.compile(r"(?:DESCRIBE TABLE|SHOW CREATE TABLE|SHOW CREATE VIEW|EXISTS TABLE) ([\w.]+)")


@dataclass(slots=True)
class _Node:
    kind: str
    name: str
    parent: _Node | None
    children: list[_Node] = field(default_factory=list)


class Guard:
    """The rules for one store; ``functions`` are the rows of ``schemas/allowed_functions.sql``."""

    def __init__(self, functions: Iterable[Mapping[str, Any]], database: str) -> None:
        self._database = database
        self._allowed: set[str] = set(_SYNTAX)
        self._allowed_folded: set[str] = set()
        self._aggregates: set[str] = set()
        self._refused: set[str] = set()
        for row in functions:
            name = row["name"]
            if not row["allowed"]:
                self._refused.add(name.lower())
                continue
            self._allowed.add(name)
            if row["case_insensitive"]:
                self._allowed_folded.add(name.lower())
            if row["is_aggregate"]:
                self._aggregates.add(name)
        self._refused -= {name.lower() for name in self._allowed}

    def simple(self, statement: str) -> bool:
        """Whether it is SHOW, DESCRIBE or EXISTS of something that may be seen; the text is ClickHouse's own form."""
        if about := _ABOUT.fullmatch(statement):
            self._table(about[1])
            return True
        return _SHOW.fullmatch(statement) is not None

    def check(self, tree: str) -> None:
        """Raise ``QueryRefused`` unless everything in the answer of EXPLAIN AST is allowed."""
        for node in _parse(tree):
            if node.kind not in _NODES:
                raise QueryRefused(f"{node.kind} is not allowed here: this endpoint answers SELECT only.")
            if node.kind == "TableIdentifier":
                self._table(node.name)
            elif node.kind == "Function":
                self._function(node)
            elif node.kind == "Identifier" and node.name.lower() in self._refused:
                raise QueryRefused(f"The name {node.name} is that of a function which is not allowed here.")

    def _function(self, node: _Node) -> None:
        name = node.name
        if node.parent is not None and node.parent.kind == "TableExpression":
            if name not in _TABLE_FUNCTIONS:
                raise QueryRefused(f"Table function {name} is not allowed here.")
            return
        if not self._is_allowed(name):
            raise QueryRefused(f"Function {name} is not known, or not allowed here.")
        if _MEMBERSHIP.fullmatch(name) and node.children:
            right = node.children[0].children[-1:]
            if right and right[0].kind == "Identifier":  # x IN table
                self._table(right[0].name)

    def _is_allowed(self, name: str) -> bool:
        if name in self._allowed or name.lower() in self._allowed_folded:
            return True
        while combined := _COMBINATOR.fullmatch(name):
            name = combined[1]
            if name in self._aggregates or name.lower() in self._allowed_folded:
                return True
        return False

    def _table(self, name: str) -> None:
        database, _, table = name.rpartition(".")
        if database.lower() == "information_schema" or database in ("", self._database):
            return
        if database == "system" and table in _SYSTEM_TABLES:
            return
        raise QueryRefused(f"Table {name} is not allowed here: only tables of {self._database} can be read.")


def _parse(tree: str) -> list[_Node]:
    """The nodes of an EXPLAIN AST answer, each of which is a line indented by its depth."""
    nodes: list[_Node] = []
    path: list[_Node] = []
    for line in tree.splitlines():
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise QueryRefused("The statement has a form that is not allowed here.")
        depth = len(match[1])
        node = _Node(match[2], (match[3] or "").strip(), path[depth - 1] if depth else None)
        if node.parent is not None:
            node.parent.children.append(node)
        del path[depth:]
        path.append(node)
        nodes.append(node)
    return nodes
