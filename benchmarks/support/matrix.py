"""Streams that are left in every way there is: how many spans come of it, and what they say."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import openai

from . import transport as t
from .adapters import Telemetry

#: Seconds to wait for spans that another thread ends.
PATIENCE = 0.3
_OUTCOME = "otel_llm.stream.outcome"


class Consumer(Exception):
    """What the application raises while it reads."""


def _stream(clients: t.Clients) -> Any:
    return clients.openai.chat.completions.create(model=t.CHAT_MODEL, messages=t.messages("hi"), stream=True)


async def _async_stream(clients: t.Clients, model: str = t.CHAT_MODEL) -> Any:
    return await clients.async_openai.chat.completions.create(model=model, messages=t.messages("hi"), stream=True)


def _gemini(clients: t.Clients, model: str = t.GEMINI_MODEL) -> Any:
    return clients.google.models.generate_content_stream(model=model, contents="hi")


def _read_out(clients: t.Clients) -> None:
    for _ in _stream(clients):
        pass


def _with_break(clients: t.Clients) -> None:
    with _stream(clients) as stream:
        for _ in stream:
            break


def _close(clients: t.Clients) -> None:
    stream = _stream(clients)
    for _ in stream:
        break
    stream.close()


def _drop(clients: t.Clients) -> None:
    for _ in _stream(clients):
        break


def _never_read(clients: t.Clients) -> None:
    _stream(clients)


def _consumer_raises(clients: t.Clients) -> None:
    with contextlib.suppress(Consumer):
        for _ in _stream(clients):
            raise Consumer


def _consumer_raises_in_with(clients: t.Clients) -> None:
    with contextlib.suppress(Consumer), _stream(clients) as stream:
        for _ in stream:
            raise Consumer


async def _generator_break(clients: t.Clients) -> None:
    async def pieces() -> AsyncIterator[Any]:
        async for chunk in await _async_stream(clients):
            yield chunk

    async for _ in pieces():
        break


async def _task_cancelled(clients: t.Clients) -> None:
    async def read() -> None:
        async for _ in await _async_stream(clients, t.WAITS):
            began.set()

    began = asyncio.Event()
    task = asyncio.create_task(read())
    await began.wait()
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _gemini_read_out(clients: t.Clients) -> None:
    for _ in _gemini(clients):
        pass


def _gemini_break(clients: t.Clients) -> None:
    for _ in _gemini(clients):
        break


def _gemini_never_read(clients: t.Clients) -> None:
    _gemini(clients)


async def _gemini_async_break(clients: t.Clients) -> None:
    async for _ in await clients.google.aio.models.generate_content_stream(model=t.GEMINI_MODEL, contents="hi"):
        break


def _gemini_fails(clients: t.Clients) -> None:
    with contextlib.suppress(Exception):
        for _ in _gemini(clients, t.FAILS):
            pass


WAYS: dict[str, Callable[[t.Clients], Awaitable[None] | None]] = {
    "openai: read to its end": _read_out,
    "openai: with, break": _with_break,
    "openai: break, close()": _close,
    "openai: dropped": _drop,
    "openai: never iterated": _never_read,
    "openai: consumer raises": _consumer_raises,
    "openai: consumer raises in with": _consumer_raises_in_with,
    "openai: async generator left": _generator_break,
    "openai: task cancelled": _task_cancelled,
    "gemini: read to its end": _gemini_read_out,
    "gemini: break": _gemini_break,
    "gemini: never iterated": _gemini_never_read,
    "gemini: async break": _gemini_async_break,
    "gemini: HTTP 500": _gemini_fails,
}
IS_STREAM = "isinstance(stream, openai.Stream)"


def behaviour(clients: t.Clients, telemetry: Telemetry) -> dict[str, str]:
    """What came of each way: how many spans, their status, and how they say the stream ended.

    An SDK whose streams have no span when they are read to their end is not looked at.
    """
    found: dict[str, str] = {}
    for name, leave in WAYS.items():
        if found.get(f"{name.partition(':')[0]}: read to its end") == "0":
            continue
        telemetry.sink.keeping = True
        coming = leave(clients)
        if coming is not None:
            asyncio.run(_awaited(coming))
        found[name] = _spans(telemetry)
        telemetry.sink.keeping, telemetry.sink.spans = False, []
    with _stream(clients) as stream:
        found[IS_STREAM] = "yes" if isinstance(stream, openai.Stream) else "no"
    return found


async def _awaited(coming: Awaitable[None]) -> None:
    await coming
    gc.collect()
    await asyncio.sleep(0.01)  # the loop closes what was dropped


def _spans(telemetry: Telemetry) -> str:
    """The spans that came, as soon as there is one and nothing more comes."""
    gc.collect()
    until = time.monotonic() + PATIENCE
    while True:
        time.sleep(0.02)
        before = len(telemetry.sink.spans)
        telemetry.flush()
        count = len(telemetry.sink.spans)
        if time.monotonic() > until or count == before > 0:
            break
    said = [
        " ".join([span.status.status_code.name, str((span.attributes or {}).get(_OUTCOME, ""))]).strip()
        for span in telemetry.sink.spans
    ]
    return " ".join([str(len(said)), " + ".join(said)]).strip()
