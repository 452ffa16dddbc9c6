"""One question, from when it comes until it is answered."""

from __future__ import annotations

import math
import threading
import time
import uuid

from otel_llm_collector.errors import StoreError

_TIMEOUT = 159
_CANCELLED = 394


class Task:
    """A question's id, which its client chose, and how it is going; another thread may cancel it.

    ``mark`` is what ClickHouse knows it by. Nobody else does: who names an id stops nothing but questions of ours.
    """

    def __init__(self, query_id: str = "") -> None:
        self.query_id = query_id or str(uuid.uuid4())
        self.mark = f"otel-llm {uuid.uuid4()}"
        self.cancelled = False
        self.answered = threading.Event()
        self.seconds = 0
        """How many it has in all, once it has begun."""
        self._until = math.inf

    def begin(self, seconds: int) -> None:
        """From now on it has so many seconds."""
        self.seconds = seconds
        self._until = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that it still has; without end where it has not begun."""
        return self._until - time.monotonic()

    def go_on(self) -> None:
        """Raise ``StoreError`` once it is cancelled, or its time is over: ClickHouse sees its own statements only."""
        if self.cancelled:
            raise StoreError("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)", _CANCELLED)
        if self.left < 0:
            raise late(self.seconds)


def late(seconds: int) -> StoreError:
    """The error of a question that has taken longer."""
    return StoreError(f"Code: 159. DB::Exception: Timeout exceeded: {seconds} seconds. (TIMEOUT_EXCEEDED)", _TIMEOUT)
