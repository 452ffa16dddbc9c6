"""Read-only SQL against the store, with limits on time, rows and memory."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import QueryRefused, StoreError
from otel_llm_collector.settings import Settings

from .guard import Guard
from .session import RESULT_BYTES, Session, session, stop
from .settings import merged
from .statement import plain, with_format
from .task import Task
from .views import Views

_CANONICAL = "SELECT formatQuerySingleLine({})"
_OWN_SCOPE = re.compile(r": In scope SELECT formatQuery.*(?= \([A-Z_]+\)$)|: In scope SELECT formatQuery.*", re.DOTALL)
_TREE_OF = ("EXPLAIN AST SELECT * FROM (", ")")
_DESCRIBED = re.compile(r"DESCRIBE TABLE \((.*)\)", re.DOTALL)
_KILL = re.compile(r"KILL QUERY WHERE query_id = '([^'\\]+)' (?:ASYNC|SYNC)")
_READ_ONLY = re.compile(r"SET readonly = 1")
_WRITE = re.compile(
    r"(?:ALTER|ATTACH|BACKUP|CREATE|DELETE|DETACH|DROP|EXCHANGE|GRANT|INSERT|KILL|MOVE|OPTIMIZE|RENAME|RESTORE|REVOKE|SET"
    r"|SYSTEM|TRUNCATE|UNDROP|UPDATE)\b"
)
_BETWEEN = re.compile(r"\bBETWEEN\b", re.IGNORECASE)
_MOST_BETWEENS = 16
"""ClickHouse writes ``a BETWEEN b AND c`` as two comparisons of ``a``: each one inside another doubles the text."""
_READONLY = 164
_TOO_BIG = 168
_SYNTAX_ERROR = 62
_SAME_ID = 216
_MISSING = (60, 81)
_BLOCK_ROWS = 65_409
"""Of a block, between which ClickHouse looks at the time."""
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
            "max_block_size": _BLOCK_ROWS,
            "max_parser_backtracks": 100_000,
            "allow_ddl": 0,
            "session_timezone": "UTC",
            "output_format_json_quote_64bit_integers": 0,
            "output_format_json_quote_decimals": 0,
            "asterisk_include_alias_columns": 1,
        }
        self._lock = threading.Lock()
        self._guard: Guard | None = None
        self._views = Views(store)
        self._tasks: dict[str, Task] = {}

    def ask(
        self,
        sql: str,
        parameters: Mapping[str, str] | None = None,
        format: str = "JSON",
        settings: Mapping[str, str] | None = None,
        task: Task | None = None,
    ) -> Answer:
        """The answer, in ``format`` unless a FORMAT clause in the statement names another.

        Parameters are texts in ClickHouse's own notation, for ``{name:Type}`` in the statement; settings are those of
        ClickHouse that may be changed; ``task`` is what ``cancel`` is told.
        Raises ``QueryRefused`` for what may not be asked and ``StoreError`` for what ClickHouse refuses.
        """
        started = time.monotonic()
        task = task or Task()
        limits = {**self._limits, "log_comment": task.mark}
        allowed = merged(limits, settings or {})
        task.begin(int(allowed["max_execution_time"]))
        bound = dict(parameters or {})
        with self._asked(task):
            with session(self._store, {**limits, **_LOOKING}) as looking:
                statement, format = self._checked(looking, task, sql, bound, format)
            if not statement:
                return Answer(b"", format, 0, 0, time.monotonic() - started)
            task.go_on()
            with session(self._store, allowed) as own:
                try:
                    result = own.ask(statement, format, bound)
                except StoreError as error:
                    if error.code in _MISSING and self._views.named(statement):
                        self._views.forget()
                    raise
        return Answer(result.body, format, result.rows_read, result.bytes_read, time.monotonic() - started)

    def seconds(self, settings: Mapping[str, str]) -> int:
        """How long a question with these settings may take; raises ``QueryRefused`` like ``ask``."""
        return int(merged(self._limits, settings)["max_execution_time"])

    @contextlib.contextmanager
    def own(self, task: Task, seconds: int) -> Iterator[Session]:
        """For statements of ours, under the same limits: nothing is looked for in them. ``task`` may be cancelled.

        ``seconds`` lowers the limit of time. Raises ``StoreError``.
        """
        limits = {**self._limits, "log_comment": task.mark}
        task.begin(min(seconds, int(limits["max_execution_time"])))
        limits["max_execution_time"] = task.seconds
        with self._asked(task), session(self._store, {**limits, "readonly": 1}) as own:
            yield own

    def cancel(self, *tasks: Task) -> None:
        """Stop questions that are being answered, and wait until they have stopped or will not."""
        for task in tasks:
            task.cancelled = True
        for pause in _PATIENCE_S:  # as they may be between two statements
            left = [task for task in tasks if not task.answered.is_set()]
            for task in left:
                stop(self._store, task.mark)
            for task in left:
                task.answered.wait(pause)

    @contextlib.contextmanager
    def _asked(self, task: Task) -> Iterator[None]:
        try:
            with self._lock:
                if task.query_id in self._tasks:
                    raise QueryRefused(f"A query with the id {task.query_id} is running already.", _SAME_ID)
                self._tasks[task.query_id] = task
            try:
                yield
            finally:
                del self._tasks[task.query_id]
        finally:
            task.answered.set()

    def _checked(
        self, looking: Session, task: Task, sql: str, parameters: dict[str, str], format: str
    ) -> tuple[str, str]:
        """The statement to run in place of the one that was sent, empty for none, and the format of its answer."""
        statement, format = with_format(self._canonical(looking, sql), format)
        if kill := _KILL.fullmatch(statement):
            if found := self._tasks.get(kill[1]):
                self.cancel(found)
            only = "" if found else " WHERE 0"
            return f"SELECT 'waiting' AS kill_status, {literal(kill[1])} AS query_id{only}", format
        if _READ_ONLY.fullmatch(statement):
            return "", format
        statement = plain(statement, parameters, self._views.instead)
        guard = self._rules()
        if simple := guard.simple(statement):
            statement = simple
        else:
            task.go_on()
            described = _DESCRIBED.fullmatch(statement)
            guard.check(self._tree(looking, described[1] if described else statement, parameters))
        if self._views.named(statement):
            self._views.make()
        return statement, format

    def _canonical(self, own: Session, sql: str) -> str:
        """The text as ClickHouse itself would write it: one statement, no comments, nothing to be read in two ways."""
        if len(_BETWEEN.findall(sql)) > _MOST_BETWEENS:
            raise QueryRefused(
                f"More than {_MOST_BETWEENS} BETWEEN in a statement are not allowed here: write >= and <=.", _TOO_BIG
            )
        try:
            answer = own.ask(_CANONICAL.format(literal(sql).replace("\0", "\\0")), "RawBLOB")
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
                self._guard = Guard(functions, self._views, self.database, self._store.embedded)
            return self._guard
