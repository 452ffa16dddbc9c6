"""A thread for the work of large requests, which would hold up all others on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_AT_ONCE = 256 << 10
"""Bytes of a body that is worked on at once: 180 spans take half a millisecond, as JSON some five."""


class Aside:
    """Works on one large request after another, so that only one of them takes the memory for that."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="otel-llm-large")

    async def run(self, size: int, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """The result of work on a body of that size."""
        if size <= _AT_ONCE:
            return work(*arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*arguments, **named))

    def close(self) -> None:
        """Returns when nothing is worked on; what has not begun is cancelled."""
        self._thread.shutdown(cancel_futures=True)
