"""Which SQL may be asked: an allow-list over ClickHouse's own syntax tree.

``readonly`` alone is not enough on an embedded engine: it lets ``SELECT file('/etc/passwd')``, ``INTO OUTFILE``,
``KILL QUERY`` and a table that is called ``/etc/passwd`` through. The tree comes from ``EXPLAIN AST``, which runs
nothing. Refused is what is not known here: kinds of node, functions (also where a bare name could be taken for one, as
in ``arrayMap(file, [...])``), table functions, tables of other databases and tables that could be files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from otel_llm_collector.errors import QueryRefused

from .views import Views

_KINDS = """
    SelectWithUnionQuery SelectIntersectExceptQuery SelectQuery ExpressionList Function Identifier Literal Asterisk
    QualifiedAsterisk ColumnsRegexpMatcher QualifiedColumnsRegexpMatcher ColumnsListMatcher QualifiedColumnsListMatcher
    ColumnsTransformerList ColumnsExceptTransformer ColumnsReplaceTransformer ColumnsReplaceTransformer::Replacement
    TablesInSelectQuery TablesInSelectQueryElement TableExpression TableIdentifier TableJoin ArrayJoin Subquery
    WithElement OrderByElement StorageOrderByElement InterpolateElement WindowDefinition WindowListElement SampleRatio
"""
_NODES = frozenset(_KINDS.split())
_TABLE_FUNCTIONS = frozenset(
    {"numbers", "zeros", "values", "sqlstandardvalues", "generateseries", "generate_series", "null"}
)
_SYNTAX = frozenset({"lambda", "exists", "grouping"})
_MEMBERSHIP = re.compile(r"(global)?(not)?(null)?in(ignoreset)?", re.IGNORECASE)
_COMBINATOR = re.compile(
    r"(.+?)(?:If|Array|Map|Distinct|OrDefault|OrNull|ForEach|Resample|SimpleState|MergeState|Merge|State|ArgMin|ArgMax)"
)
_CASTS = frozenset({"cast", "_cast", "accuratecast", "accuratecastordefault", "accuratecastornull"})
_STATE = re.compile(r"\bAggregateFunction\b")
_BY_NAME = frozenset({"arrayreduce", "initializeaggregation"})
"""Functions that call another one, whose name is the text of their first argument."""
_CALLED = re.compile(r"\\'(\w+)(?:\(([\w., ]*)\))?\\'", re.ASCII)
_MOST_PARAMETERS = 100
"""Of ``quantiles(…)(x)`` and its like: each one is another pass over all values, which nothing interrupts."""
_LINE = re.compile(r"( *)(\S+)(?: +(.*?))??(?: \(alias .*\))?(?: \(children \d+\))?")
_TOO_BIG = 168
_TABLE = re.compile(r"(?:(\w+)\.)?(\w+)", re.ASCII)
_LIKE = r"(?: (?:NOT )?I?LIKE '[^'\\]*')?(?: LIMIT \d+)?"
_DATABASES = re.compile(rf"SHOW DATABASES({_LIKE})")
_IS_DATABASE = re.compile(r"EXISTS DATABASE (\w+)", re.ASCII)
_LISTS = re.compile(
    rf"SHOW (?:FULL )?TABLES(?: FROM (\w+))?{_LIKE}|SHOW (?:FUNCTIONS|SETTINGS|ENGINES){_LIKE}", re.ASCII
)
_ABOUT = re.compile(
    r"(DESCRIBE TABLE|SHOW CREATE TABLE|SHOW CREATE VIEW|EXISTS TABLE|EXISTS VIEW) ((?:\w+\.)?\w+)"
    rf"|SHOW (?:FULL )?(?:COLUMNS|INDEXES) FROM (\w+)(?: FROM (\w+))?{_LIKE}",
    re.ASCII,
)


@dataclass(slots=True)
class _Node:
    kind: str
    name: str
    line: str
    parent: _Node | None
    children: list[_Node] = field(default_factory=list)


class Guard:
    """The rules for one store; ``functions`` are the rows of ``schemas/allowed_functions.sql``.

    ``views`` stand for the system tables that can be seen. In an embedded store the name of a table may be that of a
    file.
    """

    def __init__(self, functions: Iterable[Mapping[str, Any]], views: Views, database: str, embedded: bool) -> None:
        self._views = views
        self._seen = views.tables
        self._database = database
        self._embedded = embedded
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
        self._refused |= _BY_NAME  # as in arrayMap(arrayReduce, …), where nobody looks at what they are told to call

    def simple(self, statement: str) -> str | None:
        """What to ask for SHOW, DESCRIBE or EXISTS of something that may be seen; ``None`` for other statements."""
        if like := _DATABASES.fullmatch(statement):
            named = like[1].replace(" ", " WHERE name ", 1) if "LIKE" in like[1] else like[1]
            return f"SELECT name FROM {self._views.system}.databases{named}"  # noqa: S608 - named is a LIKE, checked
        if known := _IS_DATABASE.fullmatch(statement):
            return f"SELECT count() > 0 AS result FROM {self._views.system}.databases WHERE name = '{known[1]}'"  # noqa: S608 - a word, checked
        if listed := _LISTS.fullmatch(statement):
            return self._of(listed, 1)
        if about := _ABOUT.fullmatch(statement):
            self._table(about[2] or about[3])
            return self._of(about, 4)
        return None

    def _of(self, statement: re.Match[str], group: int) -> str:
        """The statement, of our views where it names a database that they stand for."""
        database = statement[group]
        if database in (None, self._database):
            return statement[0]
        if database not in self._views.instead:
            raise QueryRefused(f"Database {database} is not allowed here: only tables of {self._database} can be read.")
        start, end = statement.span(group)
        return statement[0][:start] + self._views.instead[database] + statement[0][end:]

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
            if name.lower() not in _TABLE_FUNCTIONS:
                raise QueryRefused(f"Table function {name} is not allowed here.")
            return
        if not self._is_allowed(name):
            raise QueryRefused(f"Function {name} is not known, or not allowed here.")
        arguments, parameters = ([*(part.children for part in node.children), [], []])[:2]
        if len(parameters) > _MOST_PARAMETERS:
            raise QueryRefused(f"More than {_MOST_PARAMETERS} parameters of {name} are not allowed here.", _TOO_BIG)
        if name.lower() in _BY_NAME:
            self._named(name, arguments)
        if _MEMBERSHIP.fullmatch(name) and arguments and arguments[-1].kind == "Identifier":  # x IN table
            self._table(arguments[-1].name)
        # The states of aggregate functions are not made to be read from bytes that somebody made up.
        if name.lower() in _CASTS and any(
            kind.kind != "Literal" or _STATE.search(kind.line) for kind in arguments[1:2]
        ):
            raise QueryRefused(f"{name} is allowed here to a type that is written out and no AggregateFunction.")

    def _named(self, name: str, arguments: list[_Node]) -> None:
        """Check the function that another one is told to call."""
        called = _CALLED.fullmatch(arguments[0].name) if arguments and arguments[0].kind == "Literal" else None
        if called is None:
            raise QueryRefused(f"{name} is allowed here with the name of a function that is written out.")
        if not self._is_allowed(called[1]):
            raise QueryRefused(f"Function {called[1]} is not known, or not allowed here.")
        if (called[2] or "").count(",") >= _MOST_PARAMETERS:
            raise QueryRefused(f"More than {_MOST_PARAMETERS} parameters of {name} are not allowed here.", _TOO_BIG)

    def _is_allowed(self, name: str) -> bool:
        if name in self._allowed or name.lower() in self._allowed_folded:
            return True
        while combined := _COMBINATOR.fullmatch(name):
            name = combined[1]
            if name in self._aggregates or name.lower() in self._allowed_folded:
                return True
        return False

    def _table(self, name: str) -> None:
        parts = _TABLE.fullmatch(name)
        if not parts:
            raise QueryRefused(
                f"Table {name} is not allowed here: the names of tables have letters, digits and _ only."
            )
        database, table = parts[1] or self._database, parts[2]
        if database != self._database and (database, table) not in self._seen:
            of = {own: theirs for theirs, own in reversed(self._views.instead.items())}
            shown = f"{of[database]}.{table}" if database in of else name
            raise QueryRefused(f"Table {shown} is not allowed here: only tables of {self._database} can be read.")
        # The embedded engine takes a table that it does not have for a file of this name.
        if self._embedded and (Path(name).is_file() or Path(table).is_file()):
            raise QueryRefused(f"Table {name} is not allowed here: a file in the collector's folder is called so.")


def _parse(tree: str) -> list[_Node]:
    """The nodes of an EXPLAIN AST answer, each of which is a line indented by its depth."""
    nodes: list[_Node] = []
    path: list[_Node] = []
    for line in tree.split("\n"):  # nothing else ends a line: names and texts may have what Python takes for an end
        if not line.strip():
            continue
        match = _LINE.fullmatch(line)
        if not match:
            raise QueryRefused("The statement has a form that is not allowed here.")
        depth = len(match[1])
        node = _Node(match[2], (match[3] or "").strip(), line, path[depth - 1] if depth else None)
        if node.parent is not None:
            node.parent.children.append(node)
        del path[depth:]
        path.append(node)
        nodes.append(node)
    return nodes
