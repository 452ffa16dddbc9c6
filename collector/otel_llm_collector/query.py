"""Read-only SQL against the store, with limits on time, rows and memory."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import schemas
from .errors import QueryRefused, StoreError
from .settings import Settings
from .sql_guard import Guard
from .store import Store

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

# A subset of what the client takes for a placeholder: where one of these is found it leaves the rest of the text alone.
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*):[^{}]+\}", re.ASCII)
_FORMAT = re.compile(r"(.*) FORMAT (\w+)", re.DOTALL)
_FORMAT_NAME = re.compile(r"\w+", re.ASCII)

_CANONICAL = "SELECT formatQuerySingleLine({sql:String})"
_SYNTAX_ERROR = 62
_TREE_OF = ("EXPLAIN AST SELECT * FROM (", ")")


class _Text:
    """A parameter's value as ClickHouse reads it, passed on as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


class Query:
    """Answers questions; safe to use from many threads, each of which gets a handle with the limits set on it."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        # `readonly` comes last: after it nothing can be set.
        self._limits: dict[str, str | int] = {
            "max_execution_time": settings.query_seconds,
            "max_result_rows": settings.query_rows,
            "result_overflow_mode": "throw",
            "max_memory_usage": settings.query_memory_bytes,
            "allow_ddl": 0,
            "session_timezone": "UTC",
            "output_format_json_quote_64bit_integers": 0,
            "output_format_json_quote_decimals": 0,
            "readonly": 1,
        }
        self._local = threading.local()
        self._guard: Guard | None = None

    def ask(self, sql: str, parameters: Mapping[str, str] | None = None, format: str = "JSON") -> tuple[bytes, str]:
        """The answer and the name of its format, which a FORMAT clause in the statement overrides.

        Parameters are texts in ClickHouse's own notation, for ``{name:Type}`` in the statement.
        Raises ``QueryRefused`` for what may not be asked and ``StoreError`` for what ClickHouse refuses.
        """
        client = self._client()
        statement = self._canonical(client, sql)
        if clause := _FORMAT.fullmatch(statement):
            statement, format = clause[1], clause[2]
        if not _FORMAT_NAME.fullmatch(format):  # the client puts it behind the statement as it is
            raise QueryRefused(f"{format!r} is not the name of a format; JSON, CSVWithNames and TabSeparated are.")
        guard = self._rules()
        if not guard.simple(statement):
            guard.check(self._tree(client, statement, parameters))
        return self._raw(client, statement, parameters, format), format

    def _canonical(self, client: Client, sql: str) -> str:
        """The text as ClickHouse itself would write it: one statement, no comments, nothing to be read in two ways."""
        try:
            answer = self._raw(client, _CANONICAL, {"sql": _escaped(sql)}, "RawBLOB")
        except StoreError as error:
            raise StoreError(str(error).partition(": In scope SELECT formatQuery")[0], error.code) from error
        return answer.decode(errors="replace")

    def _tree(self, client: Client, statement: str, parameters: Mapping[str, str] | None) -> str:
        """The statement's syntax tree, taken as a subquery, where INTO OUTFILE and its like are syntax errors."""
        if not statement.startswith(("SELECT ", "WITH ", "(")):
            raise QueryRefused("This endpoint answers SELECT, DESCRIBE, SHOW TABLES and EXISTS only.")
        try:
            return self._raw(client, statement.join(_TREE_OF), parameters, "TabSeparated").decode(errors="replace")
        except StoreError as error:
            if error.code != _SYNTAX_ERROR:
                raise
            raise QueryRefused("Only a plain SELECT is allowed here: no INTO OUTFILE, no PARALLEL WITH.") from error

    def _raw(self, client: Client, sql: str, parameters: Mapping[str, str] | None, format: str) -> bytes:
        # Only names that the text has: given others, the client would fill in %-placeholders instead.
        wanted = set(_PLACEHOLDER.findall(sql))
        bound = {name: _Text(value) for name, value in (parameters or {}).items() if name in wanted}
        with self._store.translated():
            return client.raw_query(sql, parameters=bound or None, fmt=format)

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self._store.connect(self._limits)
        return client

    def _rules(self) -> Guard:
        if self._guard is None:
            self._guard = Guard(self._store.rows(schemas.read("allowed_functions.sql")), self._store.database)
        return self._guard


def _escaped(text: str) -> str:
    """A text as the value of a String parameter."""
    return (
        text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )
