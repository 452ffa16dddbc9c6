"""Both SDKs answered in this process, and what a call gives written down, so that two runs of it can be compared."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

import httpx2
import openai
from google import genai

from otel_llm.testing import Reply, ScriptedProvider

#: Where an object lies, which no two runs share.
_ADDRESS = re.compile(r"0x[0-9a-f]+")
#: How deep a value is looked into.
_DEEP = 40


class Ask(NamedTuple):
    """A way to call an SDK: the client, the method by its path, parameters, and whether the answer is streamed."""

    client: str
    method: str
    kwargs: dict[str, Any]
    streamed: bool = False


_SAID = [{"role": "user", "content": "What is a flame?"}]
_CONTENTS = [{"role": "user", "parts": [{"text": "What is a flame?"}]}]
_FUNCTION = {"name": "burn", "description": "Burns.", "parameters": {"type": "object", "properties": {}}}
_CHAT = {
    "model": "gpt-5-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is a flame?"}]},
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "burn", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "hot"},
    ],
    "tools": [{"type": "function", "function": _FUNCTION}],
    "stop": ["end"],
    "temperature": 0.5,
    "metadata": {"topic": "fire"},
}
_RESPONSE = {
    "model": "gpt-5-mini",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "What is a flame?"}]},
        {"type": "function_call", "call_id": "1", "name": "burn", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "hot"},
    ],
    "tools": [{"type": "function", **_FUNCTION}],
    "instructions": "Be brief.",
    "reasoning": {"effort": "low"},
}
_GENERATE = {
    "model": "gemini-2.5-flash",
    "contents": [*_CONTENTS, {"role": "model", "parts": [{"function_call": {"name": "burn", "args": {"much": 1}}}]}],
    "config": {
        "system_instruction": "Be brief.",
        "tools": [{"function_declarations": [{"name": "burn", "description": "Burns."}]}],
        "temperature": 0.5,
        "stop_sequences": ["end"],
        "safety_settings": [],
    },
}

#: The calls that are tried; the names are what a test is called after.
ASKED = {
    "chat": Ask("openai", "chat.completions.create", _CHAT),
    "chat stream": Ask("openai", "chat.completions.create", {**_CHAT, "stream": True}, True),
    "responses": Ask("openai", "responses.create", _RESPONSE),
    "responses stream": Ask("openai", "responses.create", {**_RESPONSE, "stream": True}, True),
    "embeddings": Ask(
        "openai", "embeddings.create", {"model": "text-embedding-3-small", "input": ["a flame"], "dimensions": 4}
    ),
    "generate_content": Ask("google", "models.generate_content", _GENERATE),
    "generate_content stream": Ask("google", "models.generate_content_stream", _GENERATE, True),
}


class Wire:
    """A transport for both SDKs that gives recorded answers and keeps what was asked.

    ``altered`` is given each answer's body and returns the one that is sent; an exception ``error`` is raised instead.
    """

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.altered: Callable[[bytes], bytes] | None = None
        self.error: BaseException | None = None
        self._answers: dict[str, tuple[str, bytes]] = {}
        with ScriptedProvider(lambda request: Reply("A hot gas.", chunks=3)) as provider:
            gemini = "/v1beta/models/gemini-2.5-flash"
            chat, said = {"model": "gpt-5-mini", "messages": _SAID}, {"model": "gpt-5-mini", "input": "hi"}
            usage = {"stream_options": {"include_usage": True}}
            for path, body in (
                ("/v1/chat/completions", chat),
                ("/v1/chat/completions", {**chat, **usage, "stream": True}),
                ("/v1/responses", said),
                ("/v1/responses", {**said, "stream": True}),
                ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "hi"}),
                (f"{gemini}:generateContent", {"contents": _CONTENTS}),
                (f"{gemini}:streamGenerateContent?alt=sse", {"contents": _CONTENTS}),
            ):
                answer = httpx2.post(provider.url + path, json=body).raise_for_status()
                self._answers[_key(answer.request)] = answer.headers["content-type"], answer.content

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request.url.raw_path + b" " + request.content)
        if self.error is not None:
            raise self.error
        found = self._answers.get(_key(request))
        if found is None:
            return httpx2.Response(404, json={"error": {"message": "There is no such thing.", "code": 404}})
        kind, body = found
        headers = {"content-type": kind, "x-request-id": "req_1"}
        return httpx2.Response(200, headers=headers, content=self.altered(body) if self.altered else body)


def _key(request: httpx2.Request) -> str:
    streamed = b'"stream":true' in request.content.replace(b" ", b"")
    return f"{re.split('[:/]', request.url.path)[-1]}{' stream' if streamed else ''}"


class Clients:
    """Clients of both SDKs on a wire, synchronous and asynchronous, without retries."""

    def __init__(self, wire: Wire) -> None:
        through = httpx2.MockTransport(wire)
        self.wire = wire
        self.openai = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=through), max_retries=0)
        self.google: Any = genai.Client(
            api_key="x",
            http_options={"client_args": {"transport": through}, "async_client_args": {"transport": through}},
        )
        self.async_openai = openai.AsyncOpenAI(
            api_key="x", http_client=httpx2.AsyncClient(transport=through), max_retries=0
        )
        self.async_google: Any = self.google.aio

    def try_all(self, cases: Iterable[tuple[Ask, Mapping[str, Any]]], asynchronous: bool) -> list[Any]:
        """What each call gives, what was asked of the provider for it, and what has become of its arguments."""
        if asynchronous:
            return asyncio.run(self._try_all_async(cases))
        return [self._written(ask, kwargs, *self._tried(ask, kwargs)) for ask, kwargs in cases]

    async def _try_all_async(self, cases: Iterable[tuple[Ask, Mapping[str, Any]]]) -> list[Any]:
        return [self._written(ask, kwargs, *await self._tried_async(ask, kwargs)) for ask, kwargs in cases]

    def _written(self, ask: Ask, kwargs: Mapping[str, Any], result: Any, chunks: list[Any], error: Any) -> Any:
        asked, self.wire.asked = self.wire.asked, []
        given = result.__class__ if ask.streamed else shape(result)
        return given, shape(chunks), _said(error), asked, shape(kwargs)

    def _tried(self, ask: Ask, kwargs: Mapping[str, Any]) -> tuple[Any, list[Any], BaseException | None]:
        result: Any = None
        chunks: list[Any] = []
        try:
            result = attrgetter(ask.method)(getattr(self, ask.client))(**kwargs)
            if isinstance(result, Iterator | openai.Stream):
                chunks.extend(result)
        except BaseException as error:
            return result, chunks, error
        return result, chunks, None

    async def _tried_async(self, ask: Ask, kwargs: Mapping[str, Any]) -> tuple[Any, list[Any], BaseException | None]:
        result: Any = None
        chunks: list[Any] = []
        try:
            result = await attrgetter(ask.method)(getattr(self, f"async_{ask.client}"))(**kwargs)
            if isinstance(result, AsyncIterator | openai.AsyncStream):
                async for chunk in result:
                    chunks += [chunk]
        except BaseException as error:
            return result, chunks, error
        return result, chunks, None


def _said(error: BaseException | None) -> Any:
    """The type and the text of an error; what is said of a recursion depends on where it ended."""
    if error is None or isinstance(error, RecursionError):
        return type(error)
    try:
        return type(error), _ADDRESS.sub("0x", str(error))
    except Exception as unspeakable:
        return type(error), type(unspeakable)


def shape(value: Any, depth: int = _DEEP) -> Any:
    """A value as plain data that can be compared, whatever it is; an iterator is what is left of it."""
    kind = type(value)
    if kind in (str, bytes, int, bool, type(None)):
        return value
    if depth == 0:
        return kind.__name__
    if kind is dict or issubclass(kind, dict):
        return kind.__name__, [(shape(key, depth - 1), shape(inner, depth - 1)) for key, inner in value.items()]
    if kind in (list, tuple, set, frozenset):
        return kind.__name__, [shape(inner, depth - 1) for inner in value]
    if kind.__name__ in ("generator", "list_iterator") and value is not None:
        return _left(value, depth)
    if hasattr(kind, "model_fields"):
        return kind.__name__, shape(vars(value), depth - 1), shape(value.__pydantic_extra__, depth - 1)
    return repr(value) if kind is float else kind.__name__


def _left(value: Any, depth: int) -> Any:
    """What an iterator still gives; of a stream that is generated, that it has ended."""
    try:
        return type(value).__name__, [shape(inner, depth - 1) for inner in value]
    except Exception as error:
        return type(value).__name__, type(error)


def events(body: bytes) -> tuple[list[Any], Callable[[list[Any]], bytes]]:
    """The JSON values of an answer, one or one for each event of a stream, and how they are written again."""
    if not body.lstrip().startswith((b"data:", b"event:")):
        return [json.loads(body)], lambda values: json.dumps(values[0]).encode()
    lines = body.decode().split("\n")
    places = [at for at, line in enumerate(lines) if line.startswith("data: {")]

    def written(values: list[Any]) -> bytes:
        for at, value in zip(places, values, strict=True):
            lines[at] = f"data: {json.dumps(value)}"
        return "\n".join(lines).encode()

    return [json.loads(lines[at].removeprefix("data: ")) for at in places], written
