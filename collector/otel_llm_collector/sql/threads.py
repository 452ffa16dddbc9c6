"""Threads that nothing waits for at the end: a call in ClickHouse that nothing stops would hold the process."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

_T = TypeVar("_T")
_Job = tuple[Future[Any], Callable[[], Any]]


class Threads:
    """So many threads, which do what is submitted one after the other; they end with the process, if not before."""

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Callable[[], _T]) -> Future[_T]:
        """What it returns or raises; ``cancel`` of the future works until a thread has begun."""
        future: Future[_T] = Future()
        self._jobs.put((future, job))
        return future

    def close(self, seconds: float) -> None:
        """Do nothing more; wait so long for those that are at work.

        One that is at work still ends with the process, without the engine's own end, which would wait for its call.
        """
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        libc = ctypes.CDLL(None)
        if any(thread.is_alive() for thread in self._threads) and hasattr(libc, "on_exit"):
            libc.on_exit(libc._exit, None)  # after Python's end, before that of libraries; it is told the exit code

    def _work(self) -> None:
        while (next_ := self._jobs.get()) is not None:
            future, job = next_
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(job())
            except BaseException as error:
                future.set_exception(error)
