"""Read-only SQL against the store, with limits on time, rows and memory."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import QueryRefused, StoreError
from otel_llm_collector.settings import MIB, Settings

from .guard import Guard
from .session import Session, session, stop
from .settings import changeable, merged
from .statement import VIEWS, plain, with_format

RESULT_BYTES = 256 * MIB
"""Most that the values of an answer may take, before they are written in a format."""
_CANONICAL = "SELECT formatQuerySingleLine({sql:String})"
_OWN_SCOPE = re.compile(r": In scope SELECT formatQuery.*(?= \([A-Z_]+\)$)|: In scope SELECT formatQuery.*", re.DOTALL)
_TREE_OF = ("EXPLAIN AST SELECT * FROM (", ")")
_DESCRIBED = re.compile(r"DESCRIBE TABLE \((.*)\)", re.DOTALL)
_KILL = re.compile(r"KILL QUERY WHERE query_id = '([^'\\]+)' (?:ASYNC|SYNC)")
_READ_ONLY = re.compile(r"SET readonly = 1")
_WRITE = re.compile(
    r"(?:ALTER|ATTACH|BACKUP|CREATE|DELETE|DETACH|DROP|EXCHANGE|GRANT|INSERT|KILL|MOVE|OPTIMIZE|RENAME|RESTORE|REVOKE|SET"
    r"|SYSTEM|TRUNCATE|UNDROP|UPDATE)\b"
)
_VIEW = re.compile(r"VIEW \{views\}\.(\w+)")
_BETWEEN = re.compile(r"\bBETWEEN\b", re.IGNORECASE)
_MOST_BETWEENS = 16
"""ClickHouse writes ``a BETWEEN b AND c`` as two comparisons of ``a``: each one inside another doubles the text."""
_READONLY = 164
_TOO_BIG = 168
_SYNTAX_ERROR = 62
_SAME_ID = 216
_CANCELLED = 394
_LOOKING: dict[str, str | int] = {"max_result_rows": 0, "max_result_bytes": 0, "readonly": 1}
"""For statements of our own about the one that was sent; 0 is no limit."""
_PATIENCE_S = (0.05, 0.1, 0.2, 0.5, 1.0)


class Answer(NamedTuple):
    """What a question gave: ``body`` in ``format``, and what it took."""

    body: bytes
    format: str
    rows_read: int
    bytes_read: int
    seconds: float


@dataclass(slots=True)
class _Question:
    """One that is being answered."""

    cancelled: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def go_on(self) -> None:
        """Raise ``StoreError`` once it is cancelled: it may have been between two statements."""
        if self.cancelled:
            raise StoreError("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)", _CANCELLED)


class Query:
    """Answers questions; safe to use from many threads, as each question gets a handle of its own."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self.database = store.database
        self._limits: dict[str, str | int] = {
            "max_execution_time": settings.query_seconds,
            "max_result_rows": settings.query_rows,
            "max_result_bytes": min(RESULT_BYTES, settings.query_memory_bytes),
            "result_overflow_mode": "throw",
            "max_memory_usage": settings.query_memory_bytes,
            "max_threads": os.cpu_count() or 1,
            "max_parser_backtracks": 100_000,
            "allow_ddl": 0,
            "session_timezone": "UTC",
            "output_format_json_quote_64bit_integers": 0,
            "output_format_json_quote_decimals": 0,
            "asterisk_include_alias_columns": 1,
        }
        self._lock = threading.Lock()
        self._guard: Guard | None = None
        self._has_views = False
        self._questions: dict[str, _Question] = {}

    def ask(
        self,
        sql: str,
        parameters: Mapping[str, str] | None = None,
        format: str = "JSON",
        settings: Mapping[str, str] | None = None,
        query_id: str = "",
    ) -> Answer:
        """The answer, in ``format`` unless a FORMAT clause in the statement names another.

        Parameters are texts in ClickHouse's own notation, for ``{name:Type}`` in the statement; settings are those of
        ClickHouse that may be changed; ``query_id`` is what ``cancel`` is told.
        Raises ``QueryRefused`` for what may not be asked and ``StoreError`` for what ClickHouse refuses.
        """
        started = time.monotonic()
        query_id = query_id or str(uuid.uuid4())
        limits = {**self._limits, "log_comment": query_id}
        allowed = merged(limits, settings or {})
        bound = dict(parameters or {})
        with self._asked(query_id) as question:
            with session(self._store, {**limits, **_LOOKING}) as looking:
                statement, format = self._checked(looking, question, sql, bound, format)
            question.go_on()
            with session(self._store, allowed) as own:
                result = own.ask(statement, format, bound)
        return Answer(result.body, format, result.rows_read, result.bytes_read, time.monotonic() - started)

    def cancel(self, query_id: str) -> None:
        """Stop a question that is being answered, and wait until it has stopped or will not."""
        question = self._questions.get(query_id)
        if question is not None:
            self._cancel({query_id: question})

    def cancel_all(self) -> None:
        """Stop everything that is being answered."""
        self._cancel(dict(self._questions))

    def _cancel(self, questions: Mapping[str, _Question]) -> None:
        for question in questions.values():
            question.cancelled = True
        for pause in _PATIENCE_S:  # as they may be between two statements
            left = {query_id: question for query_id, question in questions.items() if not question.answered.is_set()}
            for query_id in left:
                stop(self._store, query_id)
            for question in left.values():
                question.answered.wait(pause)

    @contextlib.contextmanager
    def _asked(self, query_id: str) -> Iterator[_Question]:
        with self._lock:
            if query_id in self._questions:
                raise QueryRefused(f"A query with the id {query_id} is running already.", _SAME_ID)
            question = self._questions[query_id] = _Question()
        try:
            yield question
        finally:
            del self._questions[query_id]
            question.answered.set()

    def _checked(
        self, looking: Session, question: _Question, sql: str, parameters: dict[str, str], format: str
    ) -> tuple[str, str]:
        """The statement to run in place of the one that was sent, and the format of its answer."""
        statement, format = with_format(self._canonical(looking, sql), format)
        if kill := _KILL.fullmatch(statement):
            self.cancel(kill[1])
            return f"SELECT 'waiting' AS kill_status, {literal(kill[1])} AS query_id", format
        if _READ_ONLY.fullmatch(statement):  # as it is
            return statement, format
        statement = plain(statement, parameters)
        guard = self._rules()
        if simple := guard.simple(statement):
            statement = simple
        else:
            question.go_on()
            described = _DESCRIBED.fullmatch(statement)
            guard.check(self._tree(looking, described[1] if described else statement, parameters))
        if VIEWS in statement:
            self._make_views()
        return statement, format

    def _canonical(self, own: Session, sql: str) -> str:
        """The text as ClickHouse itself would write it: one statement, no comments, nothing to be read in two ways."""
        if len(_BETWEEN.findall(sql)) > _MOST_BETWEENS:
            raise QueryRefused(
                f"More than {_MOST_BETWEENS} BETWEEN in a statement are not allowed here: write >= and <=.", _TOO_BIG
            )
        try:
            answer = own.ask(_CANONICAL, "RawBLOB", {"sql": _escaped(sql)})
        except StoreError as error:
            raise StoreError(_OWN_SCOPE.sub("", str(error)), error.code) from error
        return answer.body.decode(errors="replace")

    def _tree(self, own: Session, statement: str, parameters: Mapping[str, str]) -> str:
        """The statement's syntax tree, taken as a subquery, where INTO OUTFILE and its like are syntax errors."""
        if not statement.startswith(("SELECT ", "WITH ", "(")):
            raise QueryRefused(
                "This endpoint answers SELECT, DESCRIBE, SHOW and EXISTS only.",
                *([_READONLY] if _WRITE.match(statement) else []),
            )
        try:
            return own.ask(statement.join(_TREE_OF), "TabSeparated", parameters).body.decode(errors="replace")
        except StoreError as error:
            if error.code != _SYNTAX_ERROR or "Max query size" in str(error):
                raise
            raise QueryRefused("Only a plain SELECT is allowed here: no INTO OUTFILE, no PARALLEL WITH.") from error

    def _rules(self) -> Guard:
        with self._lock:
            if self._guard is None:
                functions = self._store.rows(schemas.read("allowed_functions.sql"))
                views = _VIEW.findall(schemas.read("system_views.sql"))
                self._guard = Guard(functions, views, self.database, self._store.embedded)
            return self._guard

    def _make_views(self) -> None:
        """The views that stand for ClickHouse's system tables, once."""
        with self._lock:
            if self._has_views:
                return
            text = schemas.read("system_views.sql").replace("{views}", VIEWS)
            text = text.replace("{database}", literal(self.database)).replace("{settings}", literal(changeable()))
            for created in text.split(";\n"):
                if created.strip():
                    self._store.command(created)
            self._has_views = True


def _escaped(text: str) -> str:
    """A text as the value of a String parameter."""
    return (
        text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    )
