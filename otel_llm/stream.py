"""Streams: handed to the caller as the SDK's own type, folded as they pass, ended exactly once.

A stream ends by exhaustion (``completed``), by an error of the SDK (``error``), by a cancelled task (``cancelled``),
by ``close()`` or leaving its ``with`` (``closed_early``), or by being dropped (``abandoned``). The span is never
current across a chunk, except while the SDK works on the first one, which is when a lazy SDK sends its request.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from itertools import pairwise
from types import GeneratorType, TracebackType
from typing import Any, Self

import wrapt

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.invocation import Invocation
from otel_llm.provider import Fold
from otel_llm.reaper import closed, dropped

_FIRST, _CHUNKS = a.TIME_TO_FIRST_CHUNK.name, a.STREAM_CHUNKS.name
_PER_CHUNK = a.TIME_PER_OUTPUT_CHUNK.name


class Recording:
    """What is known of a stream so far: its chunks folded, counted, and, where that is asked for, their times.

    ``hides`` says of a chunk whether it came because we asked for it, and is not for the caller.
    """

    __slots__ = ("call", "chunks", "first", "fold", "gone", "hides", "last", "times", "waiting")

    def __init__(self, call: Invocation, fold: Fold) -> None:
        self.call = call
        self.fold = call.fold = fold
        self.waiting = True
        self.chunks = 0
        self.first = self.last = 0.0
        self.hides = call.hides
        self.gone: weakref.ref[Any] | None = None
        self.times: list[float] | None = [] if call.metered else None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in; one that the SDK may act upon is known to be of this call."""
        self.chunks += 1
        try:
            if self.times is not None:
                self.times.append(time.perf_counter())
            if self.fold.add(chunk):
                self.call.gave(chunk)
        except Exception:
            fault("folding a chunk")

    def began(self) -> None:
        """A chunk has come for which the call was entered: the first one, or any while the SDK is busy."""
        self.waiting = self.call.busy
        try:
            self.first = self.first or time.perf_counter()
        except Exception:
            fault("the time of a chunk")

    def entered(self, step: Callable[[], Any]) -> Any:
        """A chunk for which the call is entered: a lazy SDK sends its request for the first, later it may run tools."""
        self.waiting = False
        place = self.call.enter()
        try:
            chunk = step()
        except BaseException as error:
            self.call.leave(place, error)
            raise
        self.call.leave(place)
        self.began()
        self.add(chunk)
        return chunk

    async def entered_async(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """The same where the chunk is awaited."""
        self.waiting = False
        place = self.call.enter()
        try:
            chunk = await step()
        except BaseException as error:
            self.call.leave(place, error)
            raise
        self.call.leave(place)
        self.began()
        self.add(chunk)
        return chunk

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the call with what has come so far."""
        call = self.call
        if call.ended:
            return
        try:
            if self.chunks:
                self._measure(call)
            if self.chunks or call.busy:  # an SDK that runs tools may keep chunks to itself
                call.response = self.fold.response()
        except Exception:
            fault("folding a stream")
        try:
            call.end(error, outcome)
        finally:
            closed(self)

    def _measure(self, call: Invocation) -> None:
        call.values[_FIRST] = self.first - call.started
        call.values[_CHUNKS] = self.chunks
        if self.chunks > 1:
            call.values[_PER_CHUNK] = (time.perf_counter() - self.first) / (self.chunks - 1)
        if self.times:
            call.gaps = [later - earlier for earlier, later in pairwise(self.times)]

    def shut(self) -> None:
        """Ends the call by the end of a generator, unless that was dropped and is ended elsewhere."""
        if self.gone is None or self.gone() is not None:
            self.end("closed_early")

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
        source = iter(self.__wrapped__)
        return self if source is self.__wrapped__ else _relay(self._self_recording, source, self)

    def __next__(self) -> Any:
        recording: Recording = self._self_recording
        try:
            if recording.waiting:
                return recording.entered(self.__wrapped__.__next__)
            chunk = self.__wrapped__.__next__()
        except BaseException as error:
            recording.stopped(error)
            raise
        recording.add(chunk)
        return self.__next__() if recording.hides is not None and recording.hides(chunk) else chunk

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

    def __aiter__(self) -> AsyncIterator[Any]:
        source = aiter(self.__wrapped__)
        return self if source is self.__wrapped__ else _relay_async(self._self_recording, source, self)

    async def __anext__(self) -> Any:
        recording: Recording = self._self_recording
        try:
            if recording.waiting:
                return await recording.entered_async(self.__wrapped__.__anext__)
            chunk = await self.__wrapped__.__anext__()
        except BaseException as error:
            recording.stopped(error)
            raise
        recording.add(chunk)
        return await self.__anext__() if recording.hides is not None and recording.hides(chunk) else chunk

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


def _relay(recording: Recording, source: Iterator[Any], stream: Any) -> Generator[Any, None, None]:
    """The chunks of ``source``, taken in as they pass; for ``stream``, or in place of the SDK's own generator.

    A generator that is dropped is told so first (``Recording.gone``), and then left like one that is closed.
    """
    step, times, fold, call = source.__next__, recording.times, recording.fold.add, recording.call
    hides = recording.hides
    while True:
        try:
            if recording.waiting:
                chunk = recording.entered(step)
            else:
                chunk = step()
                recording.chunks += 1
                try:
                    if times is not None:
                        times.append(time.perf_counter())
                    if fold(chunk):
                        call.gave(chunk)
                except Exception:
                    fault("folding a chunk")
                if hides is not None and hides(chunk):
                    continue
        except StopIteration:
            recording.end("completed")
            return
        except BaseException as error:
            recording.stopped(error)
            raise
        try:
            yield chunk
        except BaseException:
            if stream is None and isinstance(source, Generator):
                source.close()
                recording.shut()
            raise


async def _relay_async(recording: Recording, source: AsyncIterator[Any], stream: Any) -> AsyncGenerator[Any, None]:
    """The same for chunks that are awaited, and always for a ``stream``, which is kept."""
    step = source.__anext__
    while True:
        try:
            if recording.waiting:
                chunk = await recording.entered_async(step)
            else:
                chunk = await step()
                recording.add(chunk)
                if recording.hides is not None and recording.hides(chunk):
                    continue
        except StopAsyncIteration:
            recording.end("completed")
            return
        except BaseException as error:
            recording.stopped(error)
            raise
        yield chunk


def recorded(stream: Any, recording: Recording) -> Any:
    """The SDK's stream, or what stands for it, that records itself; ``None`` for what is no stream."""
    if type(stream) is GeneratorType:
        made: Any = _relay(recording, stream, None)
        made.__name__, made.__qualname__ = stream.__name__, stream.__qualname__
        recording.gone = weakref.ref(made, lambda _: dropped(recording))
        return made
    if hasattr(stream, "__next__"):
        return SyncStream(stream, recording)
    return AsyncStream(stream, recording) if hasattr(stream, "__anext__") else None
