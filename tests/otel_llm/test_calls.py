"""Every covered method, sync and async, plain and streamed: the same whole span, on the real SDKs over a socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import openai
import pytest
from inline_snapshot import external_file
from pydantic import BaseModel

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.google_sdk import has, opened, opened_async

USAGE = Usage(input=100, output=50, cached=40, reasoning=20, tool_use=10, input_modalities={"text": 70, "audio": 30})
REPLY = Reply("A hot gas.", usage=USAGE, chunks=4, model="")
CHAT: dict[str, Any] = {
    "model": "gpt-5-mini",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "What is a flame?"}]},
    ],
    "temperature": 0.2,
    "max_completion_tokens": 64,
    "n": 1,
    "stop": "END",
    "service_tier": "default",
    "store": False,
}
RESPONSE: dict[str, Any] = {
    "model": "gpt-5-mini",
    "input": "What is a flame?",
    "instructions": "Be brief.",
    "reasoning": {"effort": "low"},
    "max_output_tokens": 64,
}
GEMINI: dict[str, Any] = {
    "model": "gemini-2.5-flash",
    "contents": "What is a flame?",
    "config": {"temperature": 0.2, "max_output_tokens": 64, "system_instruction": "Be brief.", "top_k": 5},
}
JSON_REPLY = Reply('{"topic": "flame"}', usage=USAGE)


class Topic(BaseModel):
    """A structured answer."""

    topic: str


@dataclass(frozen=True)
class Case:
    """A method, what it is called with, and how its result is read; ``spans/`` holds the span that must come of it."""

    name: str
    sdk: Literal["openai", "google"]
    method: Callable[[Any], Callable[..., Any]]
    kwargs: dict[str, Any]
    read: Literal["plain", "iterate", "manage"]
    reply: Reply = field(default_factory=lambda: REPLY)


def _chat(name: str) -> Callable[[Any], Callable[..., Any]]:
    return lambda client: attrgetter(name)(client.chats.create(model="gemini-2.5-flash"))


CASES = [
    Case("chat.completions.create", "openai", attrgetter("chat.completions.create"), CHAT, "plain"),
    Case(
        "chat.completions.create stream", "openai", attrgetter("chat.completions.create"),
        CHAT | {"stream": True, "stream_options": {"include_usage": True}}, "iterate",
    ),
    Case(
        "chat.completions.create tools", "openai", attrgetter("chat.completions.create"),
        CHAT | {"stream": True, "tools": [{"type": "function", "function": {"name": "burn", "parameters": {}}}]},
        "iterate", Reply(tool_calls=[ToolCall("burn", {"what": "candle"}, "call_1")], usage=USAGE),
    ),
    Case(
        "chat.completions.parse", "openai", attrgetter("chat.completions.parse"),
        {"model": "gpt-5-mini", "messages": CHAT["messages"], "response_format": Topic}, "plain", JSON_REPLY,
    ),
    Case(
        "chat.completions.stream", "openai", attrgetter("chat.completions.stream"),
        {"model": "gpt-5-mini", "messages": CHAT["messages"], "response_format": Topic,
         "stream_options": {"include_usage": True}},
        "manage", JSON_REPLY,
    ),
    Case("responses.create", "openai", attrgetter("responses.create"), RESPONSE, "plain"),
    Case(
        "responses.create stream", "openai", attrgetter("responses.create"), RESPONSE | {"stream": True}, "iterate",
    ),
    Case(
        "responses.parse", "openai", attrgetter("responses.parse"), RESPONSE | {"text_format": Topic}, "plain",
        JSON_REPLY,
    ),
    Case(
        "responses.stream", "openai", attrgetter("responses.stream"), RESPONSE | {"text_format": Topic}, "manage",
        JSON_REPLY,
    ),
    Case(
        "embeddings.create", "openai", attrgetter("embeddings.create"),
        {"model": "text-embedding-3-small", "input": ["flame", "candle"], "dimensions": 8}, "plain",
        Reply(usage=Usage(input=7), embeddings=[[0.5] * 8] * 2),
    ),
    Case("generate_content", "google", attrgetter("models.generate_content"), GEMINI, "plain"),
    Case(
        "generate_content_stream", "google", attrgetter("models.generate_content_stream"), GEMINI, "iterate",),
    Case(
        "generate_content blocked", "google", attrgetter("models.generate_content"), GEMINI, "plain",
        Reply(finish="prompt_blocked", usage=Usage(input=100)),
    ),
    Case("send_message", "google", _chat("send_message"), {"message": "What is a flame?"}, "plain"),
    Case(
        "send_message_stream", "google", _chat("send_message_stream"), {"message": "What is a flame?"}, "iterate",
    ),
    Case(
        "embed_content", "google", attrgetter("models.embed_content"),
        {"model": "gemini-embedding-001", "contents": ["flame", "candle"], "config": {"output_dimensionality": 8}},
        "plain", Reply(usage=Usage(input=7), embeddings=[[0.5] * 8] * 2),
    ),
]  # fmt: skip


def _call(case: Case, provider: ScriptedProvider) -> None:
    with contextlib.ExitStack() as stack:
        client: Any
        if case.sdk == "openai":
            client = stack.enter_context(openai.OpenAI(api_key="x", base_url=provider.openai_base_url))
        else:
            client = stack.enter_context(opened(provider))
        result = case.method(client)(**case.kwargs)
        if case.read == "iterate":
            for _ in result:
                pass
        elif case.read == "manage":
            with result as stream:
                for _ in stream:
                    pass


async def _call_async(case: Case, provider: ScriptedProvider) -> None:
    async with contextlib.AsyncExitStack() as stack:
        client: Any
        if case.sdk == "openai":
            client = await stack.enter_async_context(openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url))
        else:
            client = await stack.enter_async_context(opened_async(provider))
        result = case.method(client)(**case.kwargs)
        if hasattr(result, "__await__"):
            result = await result
        if case.read == "iterate":
            async for _ in result:
                pass
        elif case.read == "manage":
            async with result as stream:
                async for _ in stream:
                    pass


def _whole(spans: Spans) -> dict[str, Any]:
    """The span without what differs from run to run, after a look that it is there and right."""
    span = spans.one()
    attributes = {
        name: list(value) if isinstance(value, tuple) else value for name, value in (span.attributes or {}).items()
    }
    assert attributes.pop("server.address") == "127.0.0.1"
    assert attributes.pop("server.port") > 0
    assert attributes.pop("otel_llm.cost.price_version", "genai-prices ").startswith("genai-prices ")
    for seconds in ("gen_ai.response.time_to_first_chunk", "otel_llm.stream.time_per_output_chunk"):
        assert 0 < attributes.pop(seconds, 1) < 60
    return {"name": span.name, "kind": span.kind.name, "status": span.status.status_code.name, **attributes}


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_whole_span(case: Case, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A method gives the same span whether it is called sync or async."""
    if case.name == "embed_content" and not has("EmbedContentResponse.usage_metadata"):
        pytest.skip("this SDK drops the usage of embeddings")
    provider.script(lambda request: case.reply)
    if mode == "sync":
        _call(case, provider)
        identity = instrumented.one().get_span_context()
        assert identity is not None
        assert str(otel_llm.last_call()).startswith(f"00-{identity.trace_id:032x}-{identity.span_id:016x}-")
    else:
        asyncio.run(_call_async(case, provider))
    assert _whole(instrumented) == external_file(f"spans/{case.name.replace(' ', '-')}.json")
