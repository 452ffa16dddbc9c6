"""Streams: handed to the caller as the SDK's own type, folded as they pass, ended exactly once.

A stream ends by exhaustion (``completed``), by an error of the SDK (``error``), by a cancelled task (``cancelled``),
by ``close()`` or leaving its ``with`` (``closed_early``), or by being dropped (``abandoned``). The span is never
current across a chunk, except while the SDK works on the first one, which is when a lazy SDK sends its request.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import wrapt

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.invocation import Invocation
from otel_llm.provider import Fold

_FIRST, _CHUNKS = a.TIME_TO_FIRST_CHUNK.name, a.STREAM_CHUNKS.name
_PER_CHUNK = a.TIME_PER_OUTPUT_CHUNK.name


class Recording:
    """What is known of a stream so far: its chunks folded, counted, and, where that is asked for, their times."""

    __slots__ = ("call", "chunks", "first", "fold", "last", "times", "waiting")

    def __init__(self, call: Invocation, fold: Fold) -> None:
        self.call = call
        self.fold = fold
        self.waiting = True
        self.chunks = 0
        self.first = self.last = 0.0
        self.times: list[float] | None = [] if call.metered else None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in; one that the SDK may act upon is known to be of this call."""
        self.chunks += 1
        if self.times is not None:
            self.times.append(time.perf_counter())
        try:
            if self.fold.add(chunk):
                self.call.gave(chunk)
        except Exception:
            fault("folding a chunk")

    def began(self) -> None:
        """A chunk has come for which the call was entered: the first one, or any while the SDK is busy."""
        if not self.first:
            self.first = time.perf_counter()
        self.waiting = self.call.busy

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the call with what has come so far."""
        call = self.call
        if call.ended:
            return
        try:
            if self.chunks:
                self._measure(call)
                call.response = self.fold.response()
        except Exception:
            fault("folding a stream")
        try:
            call.end(error, outcome)
        finally:
            _open.discard(self)

    def _measure(self, call: Invocation) -> None:
        call.values[_FIRST] = self.first - call.started
        call.values[_CHUNKS] = self.chunks
        if self.chunks > 1:
            call.values[_PER_CHUNK] = (time.perf_counter() - self.first) / (self.chunks - 1)
        if self.times:
            call.gaps = [later - earlier for earlier, later in pairwise(self.times)]

    def stopped(self, error: BaseException) -> None:
        """Ends the call by the exception that came out of the SDK's stream in place of a chunk."""
        if isinstance(error, StopIteration | StopAsyncIteration):
            self.end("completed")
        elif isinstance(error, asyncio.CancelledError | GeneratorExit | KeyboardInterrupt):
            self.end("cancelled", error)
        else:
            self.end("error", error)

    def left(self, error: BaseException | None) -> None:
        """Ends the call by the end of the caller's ``with``."""
        if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
            self.end("cancelled", error)
        else:
            self.end("closed_early")


class _Stream(wrapt.BaseObjectProxy[Any]):
    """What both kinds of stream share: the SDK's object, seen through, and its end when it is dropped."""

    def __init__(self, stream: Any, recording: Recording) -> None:
        super().__init__(stream)
        self._self_recording = recording

    @property
    def response(self) -> Any:
        """The HTTP response, whose ``close`` also ends the call: the SDK's helpers close that and not the stream."""
        return _Response(self.__wrapped__.response, self._self_recording)

    def __del__(self) -> None:
        dropped(self._self_recording)


class SyncStream(_Stream):
    """A stream that is read with ``for``."""

    def __iter__(self) -> Iterator[Any]:
        """Itself where the SDK's stream is its own iterator, which ``yield from`` closes; else a generator, as its."""
        return self if iter(self.__wrapped__) is self.__wrapped__ else self._chunks()

    def _chunks(self) -> Iterator[Any]:
        while True:
            try:
                chunk = self.__next__()
            except StopIteration:
                return
            yield chunk

    def __next__(self) -> Any:
        recording: Recording = self._self_recording
        if recording.waiting:  # for the first chunk a lazy SDK sends its request; later it may run tools
            recording.waiting = False
            place = recording.call.enter()
            try:
                chunk = self.__next__()
            except BaseException as error:
                recording.call.leave(place, error)
                raise
            recording.call.leave(place)
            recording.began()
            return chunk
        try:
            chunk = self.__wrapped__.__next__()
        except BaseException as error:
            recording.stopped(error)
            raise
        recording.add(chunk)
        return chunk

    def __enter__(self) -> Self:
        self.__wrapped__.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return self.__wrapped__.__exit__(kind, error, trace)
        finally:
            self._self_recording.left(error)

    def close(self) -> Any:
        """Closes the SDK's stream."""
        try:
            return self.__wrapped__.close()
        finally:
            self._self_recording.end("closed_early")


class AsyncStream(_Stream):
    """A stream that is read with ``async for``."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        recording: Recording = self._self_recording
        if recording.waiting:
            recording.waiting = False
            place = recording.call.enter()
            try:
                chunk = await self.__anext__()
            except BaseException as error:
                recording.call.leave(place, error)
                raise
            recording.call.leave(place)
            recording.began()
            return chunk
        try:
            chunk = await self.__wrapped__.__anext__()
        except BaseException as error:
            recording.stopped(error)
            raise
        recording.add(chunk)
        return chunk

    async def __aenter__(self) -> Self:
        await self.__wrapped__.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Any:
        try:
            return await self.__wrapped__.__aexit__(kind, error, trace)
        finally:
            self._self_recording.left(error)

    @property
    def close(self) -> Callable[[], Awaitable[Any]]:
        """Closes the SDK's stream; not there where it has no such method."""
        return _closer(self.__wrapped__.close, self._self_recording)

    @property
    def aclose(self) -> Callable[[], Awaitable[Any]]:
        """Closes the SDK's stream; not there where it has no such method."""
        return _closer(self.__wrapped__.aclose, self._self_recording)


class _Response(wrapt.BaseObjectProxy[Any]):
    """The HTTP response below a stream; closing it ends the call."""

    def __init__(self, response: Any, recording: Recording) -> None:
        super().__init__(response)
        self._self_recording = recording

    def close(self) -> Any:
        """Closes the response."""
        try:
            return self.__wrapped__.close()
        finally:
            self._self_recording.end("closed_early")

    async def aclose(self) -> Any:
        """Closes the response."""
        return await _closed(self.__wrapped__.aclose(), self._self_recording)


def _closer(close: Callable[[], Awaitable[Any]], recording: Recording) -> Callable[[], Awaitable[Any]]:
    async def closing() -> Any:
        return await _closed(close(), recording)

    return closing


async def _closed(closing: Awaitable[Any], recording: Recording) -> Any:
    """Waits for the SDK to close and ends the call, whatever comes of it."""
    try:
        return await closing
    finally:
        recording.end("closed_early")


# Dropped streams -------------------------------------------------------------------------------------------------
#
# ``__del__`` may run inside any lock of this thread, the span processor's among them, so nothing is ended there: the
# recording goes to a thread through a queue that is safe to use in a finalizer (``queue.SimpleQueue``).

_queue: queue.SimpleQueue[Recording | threading.Event] = queue.SimpleQueue()
_thread_of: list[int] = []
#: Recordings that have not ended, for the end of the process; a recording does not keep its stream alive.
_open: set[Recording] = set()


def dropped(recording: Recording) -> None:
    """Has a recording ended elsewhere; safe in a finalizer."""
    if not recording.call.ended:
        _queue.put(recording)


def watch(recording: Recording) -> None:
    """Sees to it that a recording ends; starts the thread that ends dropped ones, once for each process.

    A fork begins with nothing: the streams that were open are its parent's to end.
    """
    global _queue
    if _thread_of != [os.getpid()]:
        if _thread_of:
            _queue = queue.SimpleQueue()
            _open.clear()
        else:
            atexit.register(_leave)  # now: what is registered last runs first, and the tracer provider was before
        _thread_of[:] = [os.getpid()]
        threading.Thread(target=_end_dropped, name="otel_llm-dropped-streams", daemon=True).start()
    _open.add(recording)


def _end_dropped() -> None:
    while True:
        item = _queue.get()
        if isinstance(item, threading.Event):
            item.set()
        else:
            item.end("abandoned")


def settle(timeout: float = 5.0) -> None:
    """Waits, ``timeout`` seconds at most, until every stream dropped so far has been ended."""
    if _thread_of == [os.getpid()]:
        done = threading.Event()
        _queue.put(done)
        done.wait(timeout)


def _leave() -> None:
    """Ends what is still open when the process does."""
    if _thread_of == [os.getpid()]:
        for recording in list(_open):
            recording.end("abandoned")
        settle()
