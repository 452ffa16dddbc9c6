"""One call of Jaeger: its steps, each a question or several, and the time that it has."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import orjson

from otel_llm_collector.client import notation
from otel_llm_collector.errors import QueryRefused, StoreError
from otel_llm_collector.sql.pool import TOO_MANY, Pool
from otel_llm_collector.sql.query import Query
from otel_llm_collector.sql.session import Session
from otel_llm_collector.sql.task import Task, late

if TYPE_CHECKING:
    from .reader import Ask

_T = TypeVar("_T")
_P = ParamSpec("_P")


class Call:
    """``left`` tells how many seconds the client still waits, ``None`` for as long as it takes."""

    def __init__(self, query: Query, pool: Pool, room: asyncio.Semaphore, left: Callable[[], float | None]) -> None:
        self._query = query
        self._pool = pool
        self._room = room
        self._left = left

    @contextlib.asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """Held while spans that were read are sent: so many calls at once have some in memory.

        Raises ``QueryRefused`` where others hold it for as long as a statement may take.
        """
        seconds = self._query.seconds({})
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
        except TimeoutError:
            message = f"As many spans as may be are being sent to others, and were for {seconds} seconds."
            raise QueryRefused(message, TOO_MANY) from None
        try:
            yield
        finally:
            self._room.release()

    async def step(self, work: Callable[Concatenate[Ask, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """What ``work(ask, …)`` returns, done in a thread; raises ``CollectorError``."""
        seconds = self._query.seconds({})
        if (left := self._left()) is not None:
            if left <= 0:
                raise late(0)
            seconds = min(seconds, math.ceil(left))
        task = Task()

        def job() -> _T:
            with self._query.own(task, seconds) as own:
                return work(partial(_ask, own, task), *args, **kwargs)

        return await self._pool.do(job, task, seconds)


def _ask(own: Session, task: Task, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows that answer a statement."""
    task.go_on()
    bound = {name: notation(value) for name, value in parameters.items()}
    body = own.ask(sql, "JSONEachRow", bound).body
    try:
        return [orjson.loads(line) for line in _utf8(body).splitlines()]
    except orjson.JSONDecodeError as error:
        raise StoreError(f"ClickHouse's answer is no JSON: {error}.") from error


def _utf8(body: bytes) -> bytes:
    """The answer where what is no text in it, as the exporter may store it, is replaced."""
    try:
        body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="replace").encode()
    return body
