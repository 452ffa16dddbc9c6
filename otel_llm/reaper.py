"""Streams that are dropped, and those that are still open when the process ends: each is ended exactly once.

``__del__`` may run inside any lock of this thread, the span processor's among them, so nothing is ended there: what is
dropped goes to a thread through a queue that is safe to use in a finalizer (``queue.SimpleQueue``).
"""

from __future__ import annotations

import atexit
import queue
import threading
from typing import Protocol

from otel_llm.fork import guard, in_child


class Ending(Protocol):
    """What ends once: a call, a request that is served."""

    @property
    def ended(self) -> bool:
        """Whether it has."""


class Recording(Protocol):
    """Of a stream, what ends its call."""

    @property
    def call(self) -> Ending:
        """What it is a stream of."""

    def end(self, outcome: str) -> None:
        """Ends the call; ``outcome`` says how the stream did."""


_queue: queue.SimpleQueue[Recording | threading.Event] = queue.SimpleQueue()
_thread: threading.Thread | None = None
_starting = guard(threading.Lock())
#: Recordings that have not ended, for the end of the process; a recording does not keep its stream alive.
_open: set[Recording] = set()


def dropped(recording: Recording) -> None:
    """Has a recording ended elsewhere; safe in a finalizer."""
    if not recording.call.ended:
        _queue.put(recording)


def watch(recording: Recording) -> None:
    """Sees to it that a recording ends; starts the thread that ends dropped ones, once for each process."""
    global _thread
    with _starting:
        if _thread is None:
            atexit.unregister(_leave)  # a fork has it from its parent
            atexit.register(_leave)  # now: what is registered last runs first, and the tracer provider was before
            _thread = threading.Thread(target=_end_dropped, name="otel_llm-dropped-streams", daemon=True)
            _thread.start()
    _open.add(recording)


def closed(recording: Recording) -> None:
    """A recording has ended."""
    _open.discard(recording)


def _end_dropped() -> None:
    while True:
        item = _queue.get()
        if isinstance(item, threading.Event):
            item.set()
        else:
            item.end("abandoned")


def settle(timeout: float = 5.0) -> None:
    """Waits, ``timeout`` seconds at most, until every stream dropped so far has been ended."""
    if _thread is not None:
        done = threading.Event()
        _queue.put(done)
        done.wait(timeout)


def _leave() -> None:
    """Ends what is still open when the process does."""
    if _thread is not None:
        for recording in list(_open):
            recording.end("abandoned")
        settle()


def _forked() -> None:
    """A fork begins with nothing: the streams that were open are its parent's to end."""
    global _queue, _thread
    _queue, _thread = queue.SimpleQueue(), None
    _open.clear()


in_child(_forked)
