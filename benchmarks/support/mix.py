"""A mix of calls and streams of both SDKs, sync and async, and how each stream is meant to end.

A third of the streams is left early: closed, left in a ``with``, dropped after the first chunk, dropped by an exception
of the application, never iterated, cancelled with their task.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import transport as t

#: Every so many streams one is left early.
LEFT_EARLY = 3


class Application(Exception):
    """What the application raises while it reads."""


@dataclass(frozen=True)
class Opener:
    """Opens a stream of an SDK: for ``for``, and for ``async for``; ``by_with`` where it can be used in a ``with``."""

    sync: Callable[[t.Clients, str], Any]
    asynchronous: Callable[[t.Clients, str, str], Awaitable[Any]]
    model: str
    by_with: bool


def _openai(clients: t.Clients, text: str) -> Any:
    return clients.openai.chat.completions.create(model=t.CHAT_MODEL, messages=t.messages(text), stream=True)


async def _async_openai(clients: t.Clients, text: str, model: str) -> Any:
    return await clients.async_openai.chat.completions.create(model=model, messages=t.messages(text), stream=True)


def _gemini(clients: t.Clients, text: str) -> Any:
    return clients.google.models.generate_content_stream(model=t.GEMINI_MODEL, contents=text)


async def _async_gemini(clients: t.Clients, text: str, model: str) -> Any:
    return await clients.google.aio.models.generate_content_stream(model=model, contents=text)


OPENERS = (
    Opener(_openai, _async_openai, t.CHAT_MODEL, by_with=True),
    Opener(_gemini, _async_gemini, t.GEMINI_MODEL, by_with=False),
)

CALLS: tuple[Callable[[t.Clients, str], object], ...] = (
    lambda clients, text: clients.openai.chat.completions.create(model=t.CHAT_MODEL, messages=t.messages(text)),
    lambda clients, text: clients.google.models.generate_content(model=t.GEMINI_MODEL, contents=text),
    lambda clients, text: clients.openai.responses.create(model=t.CHAT_MODEL, input=text),
    lambda clients, text: clients.openai.embeddings.create(model=t.EMBEDDING_MODEL, input=text),
    lambda clients, text: clients.google.models.embed_content(model=t.GEMINI_EMBEDDING_MODEL, contents=text),
)
ASYNC_CALLS: tuple[Callable[[t.Clients, str], Awaitable[object]], ...] = (
    lambda clients, text: clients.async_openai.chat.completions.create(model=t.CHAT_MODEL, messages=t.messages(text)),
    lambda clients, text: clients.google.aio.models.generate_content(model=t.GEMINI_MODEL, contents=text),
    lambda clients, text: clients.async_openai.responses.create(model=t.CHAT_MODEL, input=text),
    lambda clients, text: clients.async_openai.embeddings.create(model=t.EMBEDDING_MODEL, input=text),
)


def _read(opener: Opener, clients: t.Clients, text: str) -> str:
    for _ in opener.sync(clients, text):
        pass
    return "completed"


def _close(opener: Opener, clients: t.Clients, text: str) -> str:
    stream = opener.sync(clients, text)
    next(iter(stream))
    stream.close()
    return "closed_early"


def _drop(opener: Opener, clients: t.Clients, text: str) -> str:
    for _ in opener.sync(clients, text):
        break
    return "abandoned"


def _raise(opener: Opener, clients: t.Clients, text: str) -> str:
    with contextlib.suppress(Application):
        if opener.by_with:
            with opener.sync(clients, text) as stream:
                for _ in stream:
                    raise Application
        for _ in opener.sync(clients, text):
            raise Application
    return "closed_early" if opener.by_with else "abandoned"


def _never_read(opener: Opener, clients: t.Clients, text: str) -> str:
    opener.sync(clients, text)
    return "abandoned"


async def _async_read(opener: Opener, clients: t.Clients, text: str) -> str:
    async for _ in await opener.asynchronous(clients, text, opener.model):
        pass
    return "completed"


async def _async_close(opener: Opener, clients: t.Clients, text: str) -> str:
    stream = await opener.asynchronous(clients, text, opener.model)
    await anext(aiter(stream))
    await (stream.close() if opener.by_with else stream.aclose())
    return "closed_early"


async def _async_drop(opener: Opener, clients: t.Clients, text: str) -> str:
    async for _ in await opener.asynchronous(clients, text, opener.model):
        break
    return "abandoned"


async def _async_raise(opener: Opener, clients: t.Clients, text: str) -> str:
    async def pieces() -> AsyncIterator[Any]:
        async for chunk in await opener.asynchronous(clients, text, opener.model):
            yield chunk

    with contextlib.suppress(Application):
        async for _ in pieces():
            raise Application
    return "abandoned"


async def _async_never_read(opener: Opener, clients: t.Clients, text: str) -> str:
    await opener.asynchronous(clients, text, opener.model)
    return "abandoned"


async def _cancelled(opener: Opener, clients: t.Clients, text: str) -> str:
    async def read() -> None:
        async for _ in await opener.asynchronous(clients, text, t.WAITS):
            began.set()

    began = asyncio.Event()
    task = asyncio.create_task(read())
    await began.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return "cancelled"


Way = Callable[[Opener, t.Clients, str], str]
AsyncWay = Callable[[Opener, t.Clients, str], Awaitable[str]]
WAYS: tuple[Way, ...] = (_close, _drop, _raise, _never_read)
ASYNC_WAYS: tuple[AsyncWay, ...] = (_async_close, _async_drop, _async_raise, _async_never_read, _cancelled)


def streams(clients: t.Clients, count: int, text: Callable[[int], str]) -> Iterator[str]:
    """Reads streams, and leaves some; gives how each is meant to end."""
    for number in range(count):
        opener = OPENERS[number % len(OPENERS)]
        early, way = number % LEFT_EARLY == 0, WAYS[number // (LEFT_EARLY * len(OPENERS)) % len(WAYS)]
        yield (way if early else _read)(opener, clients, text(number))


async def async_streams(clients: t.Clients, count: int, text: Callable[[int], str]) -> list[str]:
    """The same with ``await``, some of them at a time."""
    ended: list[str] = []
    together = 8
    for first in range(0, count, together):
        coming = []
        for number in range(first, min(first + together, count)):
            opener = OPENERS[number % len(OPENERS)]
            early, way = number % LEFT_EARLY == 0, ASYNC_WAYS[number // (LEFT_EARLY * len(OPENERS)) % len(ASYNC_WAYS)]
            coming.append((way if early else _async_read)(opener, clients, text(number)))
        ended += await asyncio.gather(*coming)
    return ended
