"""Both SDKs answered in this process, so that no socket blurs a figure: recorded once, given again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import httpx2
import openai
from google import genai

CHUNKS = 200
#: Its pieces are so cut that the first and the last chunk can be told.
ANSWER = "alpha" + "word " * (CHUNKS - 2) + "omega"
INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, REASONING_TOKENS = 3111, 2517, 1009, 503
SYSTEM = "Be brief."
TEMPLATE = "Answer the question from the passage. Passage: {{ passage }} Question: {{ question }}"
PASSAGE = "There is no better, there is no more open door by which you can enter into the study of nature. " * 8
QUESTION = "Why?"
CHAT_MODEL, EMBEDDING_MODEL = "gpt-5-mini", "text-embedding-3-small"
GEMINI_MODEL, GEMINI_EMBEDDING_MODEL = "gemini-2.5-flash", "gemini-embedding-001"
#: Asked for as a model: an error 500, and a stream that stops after three chunks without an end.
FAILS, WAITS = "fails", "waits"

#: Content type and body, by what was asked.
Answers = Mapping[str, tuple[str, str]]


class Events(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The events of a stream one by one; with ``last`` it stays open after so many, until it is cancelled."""

    def __init__(self, body: bytes, last: int | None = None) -> None:
        self._events = [event + b"\n\n" for event in body.split(b"\n\n") if event]
        self._last = last

    def __iter__(self) -> Iterator[bytes]:
        yield from self._events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for event in self._events[: self._last]:
            yield event
        if self._last is not None:
            await asyncio.Event().wait()


def transport(answers: Answers, *, by_event: bool = False) -> httpx2.MockTransport:
    """Answers both SDKs; streams whole, or event by event."""
    bodies = {
        key: ({"content-type": kind, "x-request-id": "req_1"}, body.encode()) for key, (kind, body) in answers.items()
    }

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        key = path.rpartition(":")[2] if ":" in path else path.rpartition("/")[2]
        if key == "completions" and b'"stream":true' in request.content.replace(b" ", b""):
            key = "completions stream"
        headers, body = bodies[key]
        if not by_event:
            return httpx2.Response(200, headers=headers, content=body)
        asked = path.encode() + request.content
        if FAILS.encode() in asked:
            error = {"error": {"code": 500, "message": "It fails.", "status": "INTERNAL"}}
            return httpx2.Response(500, json=error)
        if headers["content-type"] != "text/event-stream":
            return httpx2.Response(200, headers=headers, content=body)
        return httpx2.Response(200, headers=headers, stream=Events(body, 3 if WAITS.encode() in asked else None))

    return httpx2.MockTransport(answer)


class Clients(NamedTuple):
    """Clients of both SDKs."""

    openai: openai.OpenAI
    async_openai: openai.AsyncOpenAI
    google: genai.Client


def clients(through: httpx2.MockTransport) -> Clients:
    """Clients that talk to a transport, without retries."""
    return Clients(
        openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=through), max_retries=0),
        openai.AsyncOpenAI(api_key="x", http_client=httpx2.AsyncClient(transport=through), max_retries=0),
        genai.Client(
            api_key="x",
            http_options={"client_args": {"transport": through}, "async_client_args": {"transport": through}},
        ),
    )


def messages(text: str) -> list[Any]:
    """A system message and the user's."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
