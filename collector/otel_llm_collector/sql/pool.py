"""Threads that ask ClickHouse on behalf of an event loop, which is never held by them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TypeVar

from otel_llm_collector.errors import CollectorError, QueryRefused
from otel_llm_collector.sparing import Sparing

from .query import Query
from .task import Task, late
from .threads import Threads

_log = logging.getLogger(__name__)
_THREADS = 4
_GRACE_S = 5.0
"""For what a question takes beside its time in ClickHouse, before it is answered that it took too long."""
_END_S = 1.0
"""For threads at work when the collector stops."""
TOO_MANY = 202
"""ClickHouse's number for too many questions at once."""

_T = TypeVar("_T")


class Pool:
    """Does so many jobs at once, each a question or several of one ``Query``; belongs to the loop that makes it."""

    def __init__(self, query: Query, name: str, at_once: int) -> None:
        """``at_once`` is the most jobs that are done, or wait for one of the threads."""
        self._query = query
        self._at_once = at_once
        self._threads = Threads(_THREADS, f"otel-llm-{name}")
        self._cancelling = Threads(_THREADS, f"otel-llm-{name}-cancel")
        self._sparing = Sparing(_log)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[Task] = set()

    async def do(self, job: Callable[[], _T], task: Task, seconds: int) -> _T:
        """What the job returns; raises ``CollectorError`` in good time, whatever ClickHouse does meanwhile.

        Raises ``QueryRefused`` where there are too many, or no thread was free for so many seconds. A job whose caller
        is cancelled is stopped.
        """
        if len(self._tasks) >= self._at_once:
            raise QueryRefused(f"{self._at_once} statements are being answered, or wait for it.", TOO_MANY)
        self._tasks.add(task)
        submitted = self._threads.submit(job)
        answer = asyncio.wrap_future(submitted)
        try:
            await asyncio.wait([answer], timeout=seconds)
            if not answer.done() and submitted.cancel():
                raise QueryRefused(f"No thread was free for {seconds} second{'s' * (seconds > 1)}.", TOO_MANY)
            await asyncio.wait([answer], timeout=max(0.0, min(task.left, seconds)) + _GRACE_S)
            if not answer.done():
                raise late(seconds)
            return await answer
        finally:
            self._tasks.discard(task)
            if not submitted.done() and not submitted.cancel():
                self._cancelling.submit(lambda: self._cancel([task]))
            answer.cancel()

    async def stop(self, seconds: float) -> None:
        """Stop what is being answered, waiting so long: nobody can ask any more, and it might take long."""
        left = list(self._tasks)
        stopping = asyncio.wrap_future(self._cancelling.submit(lambda: self._cancel(left)))
        await asyncio.wait([stopping], timeout=seconds)
        stopping.cancel()

    def close(self) -> None:
        """End the threads; one in a call that nothing stops ends with the process."""
        for threads in (self._threads, self._cancelling):
            threads.close(_END_S)

    def _cancel(self, tasks: list[Task]) -> None:
        try:
            self._query.cancel(*tasks)
        except CollectorError as error:
            message = "Questions of clients that are gone cannot be stopped: %s"
            self._loop.call_soon_threadsafe(self._sparing.say, "cancel", message, error)
