"""Usage in OpenAI's streams whose caller did not ask for it: asked for by a setting, and kept from the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest

import otel_llm
from otel_llm import config
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why?"}], "stream": True}
REPLY = Reply("one two three", usage=Usage(input=9, output=5), chunks=3)


def _sync(client_url: str, kwargs: dict[str, Any], read: Callable[[Any], list[Any]]) -> list[Any]:
    with openai.OpenAI(api_key="x", base_url=client_url, max_retries=0) as client:
        return read(client.chat.completions.create(**kwargs))


def _by_next(stream: Any) -> list[Any]:
    chunks = []
    while (chunk := next(stream, None)) is not None:
        chunks.append(chunk)
    return chunks


def _async(client_url: str, kwargs: dict[str, Any], by_next: bool) -> list[Any]:
    async def read() -> list[Any]:
        async with openai.AsyncOpenAI(api_key="x", base_url=client_url, max_retries=0) as client:
            stream: Any = await client.chat.completions.create(**kwargs)
            if not by_next:
                return [chunk async for chunk in stream]
            chunks = []
            while (chunk := await anext(stream, None)) is not None:
                chunks.append(chunk)
            return chunks

    return asyncio.run(read())


WAYS: dict[str, Callable[[str, dict[str, Any]], list[Any]]] = {
    "for": lambda url, kwargs: _sync(url, kwargs, list),
    "next": lambda url, kwargs: _sync(url, kwargs, _by_next),
    "async for": lambda url, kwargs: _async(url, kwargs, False),
    "anext": lambda url, kwargs: _async(url, kwargs, True),
}


@pytest.mark.parametrize("way", WAYS)
def test_usage_is_asked_for_and_the_caller_sees_what_it_would_have(
    way: str, spans: Spans, provider: ScriptedProvider
) -> None:
    """The same chunks as without us; tokens and cost on the span."""
    provider.script(lambda request: REPLY)
    expected = [chunk.model_dump() for chunk in WAYS[way](provider.openai_base_url, CHAT)]
    otel_llm.instrument(tracer_provider=spans.provider, include_usage=True)
    kwargs = {**CHAT}
    found = [chunk.model_dump() for chunk in WAYS[way](provider.openai_base_url, kwargs)]
    for chunk in (*expected, *found):
        chunk.pop("created"), chunk.pop("id")
    assert found == expected
    assert kwargs == CHAT
    assert provider.requests[-1].body["stream_options"] == {"include_usage": True}
    values = spans.attributes()
    assert (values["gen_ai.usage.input_tokens"], values["gen_ai.usage.output_tokens"]) == (9, 5)
    assert values["otel_llm.cost.status"] == "priced"


@pytest.mark.parametrize("options", [{"include_usage": False}, {"include_usage": True}])
def test_what_the_caller_decided_stays(options: dict[str, Any], spans: Spans, provider: ScriptedProvider) -> None:
    """A caller that asked sees its chunk, one that declined has none."""
    provider.script(lambda request: REPLY)
    otel_llm.instrument(tracer_provider=spans.provider, include_usage=True)
    chunks = WAYS["for"](provider.openai_base_url, {**CHAT, "stream_options": options})
    assert provider.requests[-1].body["stream_options"] == options
    assert (chunks[-1].usage is not None) == options["include_usage"]


def test_other_options_are_kept(spans: Spans, provider: ScriptedProvider) -> None:
    """Only what is missing is added."""
    otel_llm.instrument(tracer_provider=spans.provider, include_usage=True)
    WAYS["for"](provider.openai_base_url, {**CHAT, "stream_options": {"include_obfuscation": False}})
    assert provider.requests[-1].body["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_it_is_off_unless_asked_for(spans: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """By default nothing is added, and no usage is guessed; the variable turns it on."""
    otel_llm.instrument(tracer_provider=spans.provider)
    WAYS["for"](provider.openai_base_url, CHAT)
    assert "stream_options" not in provider.requests[-1].body
    assert not {name for name in spans.attributes() if name.startswith("gen_ai.usage.")}
    assert spans.attributes()["otel_llm.cost.status"] == "unpriced"
    monkeypatch.setenv(config.INCLUDE_USAGE.variable, "true")
    otel_llm.instrument(tracer_provider=spans.provider)
    WAYS["for"](provider.openai_base_url, CHAT)
    assert provider.requests[-1].body["stream_options"] == {"include_usage": True}


def test_only_streams_of_chat_are_asked(spans: Spans, provider: ScriptedProvider, openai_client: Any) -> None:
    """A plain answer carries usage anyhow, and so does a stream of the Responses API."""
    otel_llm.instrument(tracer_provider=spans.provider, include_usage=True)
    openai_client.chat.completions.create(**{**CHAT, "stream": False})
    list(openai_client.responses.create(model="gpt-5-mini", input="Why?", stream=True))
    assert all("stream_options" not in request.body for request in provider.requests)
