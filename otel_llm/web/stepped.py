"""Streams that are gone through elsewhere: each step in the context in which the stream was made."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Generator, Iterable
from contextvars import Context, copy_context
from typing import Any, Generic, TypeVar, cast, overload

T = TypeVar("T")


@overload
def in_context(chunks: AsyncIterable[T]) -> AsyncGenerator[T]: ...


@overload
def in_context(chunks: Iterable[T]) -> Generator[T]: ...


def in_context(chunks: Any) -> Any:
    """The same chunks, each made in the context of here: what is current, and what ``otel_llm.context`` says.

    For a streamed response whose chunks are made after its handler has returned, and outside of the handler's ``with``:
    ``return StreamingResponse(otel_llm.web.in_context(answer(question)))``. What a generator enters stays entered from
    one chunk to the next, in a thread pool too.
    """
    here = copy_context()
    return _chunks_async(chunks, here) if hasattr(chunks, "__aiter__") else _chunks(chunks, here)


def _chunks(chunks: Iterable[T], here: Context) -> Generator[T]:
    iterator = here.run(iter, chunks)
    try:
        while True:
            try:
                chunk = here.run(next, iterator)
            except StopIteration:
                return
            yield chunk
    finally:
        if hasattr(iterator, "close"):
            here.run(iterator.close)


async def _chunks_async(chunks: AsyncIterable[T], here: Context) -> AsyncGenerator[T]:
    iterator = here.run(aiter, chunks)
    try:
        while True:
            try:
                chunk = await _Stepped(here.run(anext, iterator), here)
            except StopAsyncIteration:
                return
            yield chunk
    finally:
        if hasattr(iterator, "aclose"):
            await _Stepped(here.run(iterator.aclose), here)


class _Stepped(Generic[T]):
    """Something awaited, of which each step runs in a context; whoever awaits it stays the current task."""

    def __init__(self, awaited: Awaitable[T], here: Context) -> None:
        self._awaited = awaited
        self._here = here

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._here.run(self._awaited.__await__)
        step = functools.partial(steps.send, None)
        while True:
            try:
                waits = self._here.run(step)
            except StopIteration as end:
                return cast(T, end.value)
            try:
                step = functools.partial(steps.send, (yield waits))
            except BaseException as error:
                step = functools.partial(steps.throw, error)
