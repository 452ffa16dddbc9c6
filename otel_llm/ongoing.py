"""Work that goes on after the call that began it: a background response, a video, a batch.

The usage of such work is known to whoever asks last, perhaps many times. It is counted by the first request that finds
the work finished, in the process that began it, and by no other.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from opentelemetry.trace import SpanContext

from otel_llm.fork import guard, in_child

#: Works that are remembered; the oldest is forgotten for one more.
MOST = 4096


class Work(NamedTuple):
    """Which call began it, when (``time.perf_counter``), and the model it asked for."""

    call: SpanContext
    began: float
    model: str | None


_works: dict[str, Work] = {}
_lock = guard(threading.Lock())
in_child(_works.clear)


def begin(id: str, call: SpanContext, model: str | None) -> None:
    """Remembers a work that a call began; one that is known keeps its beginning."""
    with _lock:
        _works.setdefault(id, Work(call, time.perf_counter(), model))
        if len(_works) > MOST:
            del _works[next(iter(_works))]


def begun(id: str) -> Work | None:
    """A work that is still to be finished; ``None`` where it is finished or unknown."""
    return _works.get(id)


def finish(id: str) -> Work | None:
    """The work, which is finished now; ``None`` where it had been before, or is not known."""
    with _lock:
        return _works.pop(id, None)
