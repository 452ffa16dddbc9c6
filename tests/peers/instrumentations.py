"""Run in a peer's environment: turns the peer and otel_llm on and off in an order, and says who recorded what."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.peers.recording import Recording, Said

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hi"}

#: The instrumentors of each peer: module, class and what their switch is given.
SWITCHES: dict[str, tuple[tuple[str, str, dict[str, Any]], ...]] = {
    "genai": (
        ("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor", {}),
        ("opentelemetry.instrumentation.google_genai", "GoogleGenAiSdkInstrumentor", {"skip_dep_check": True}),
    ),
    "traceloop": (
        ("opentelemetry.instrumentation.openai", "OpenAIInstrumentor", {}),
        ("opentelemetry.instrumentation.google_generativeai", "GoogleGenerativeAiInstrumentor", {}),
    ),
    "openinference": (
        ("openinference.instrumentation.openai", "OpenAIInstrumentor", {}),
        ("openinference.instrumentation.google_genai", "GoogleGenAIInstrumentor", {}),
    ),
}


class Peer:
    """A peer, to be turned on and off."""

    def __init__(self, key: str, recording: Recording) -> None:
        self._key = key
        self._on: list[Any] = []
        if key == "logfire":  # sets the application's provider itself
            import_module("logfire").configure(
                send_to_logfire=False, console=False, metrics=False, inspect_arguments=False,
                additional_span_processors=[recording.processor],
            )  # fmt: skip
        else:
            recording.provide()

    def on(self) -> None:
        """As its own pages say."""
        for module, name, arguments in SWITCHES.get(self._key, ()):
            instrumentor = getattr(import_module(module), name)()
            instrumentor.instrument(**arguments)
            self._on.append(instrumentor)
        if self._key == "openlit":
            prices = Path(tempfile.mkdtemp()) / "prices.json"
            prices.write_text("{}")
            import_module("openlit").init(pricing_json=str(prices), disable_metrics=True, disable_events=True)
        elif self._key == "logfire":
            logfire = import_module("logfire")
            logfire.instrument_openai()
            logfire.instrument_google_genai(skip_dep_check=True)
        elif self._key == "langfuse":
            import_module("langfuse").Langfuse(
                public_key="pk-lf-x", secret_key="sk-lf-x", base_url="http://127.0.0.1:9"
            )
            import_module("langfuse.openai")

    def off(self) -> None:
        """As far as it can be."""
        for instrumentor in self._on:
            instrumentor.uninstrument()


def ask(provider: ScriptedProvider, recording: Recording) -> dict[str, list[dict[str, Any]]]:
    """The spans of each call."""
    import openai
    from google import genai

    found: dict[str, list[dict[str, Any]]] = {}
    usage = {"stream": True, "stream_options": {"include_usage": True}}

    def took(name: str) -> None:
        found[name] = recording.take()

    client = openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0)
    gemini = genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url})
    client.chat.completions.create(**CHAT)
    took("chat")
    list(client.chat.completions.create(**CHAT, **usage))
    took("chat stream")
    client.chat.completions.with_raw_response.create(**CHAT)
    took("chat raw")
    client.responses.create(model="gpt-5-mini", input="hi")
    took("responses")
    list(client.responses.create(model="gpt-5-mini", input="hi", stream=True))
    took("responses stream")
    with client.responses.stream(model="gpt-5-mini", input="hi") as stream:
        list(stream)
    took("responses helper")
    client.embeddings.create(model="text-embedding-3-small", input="hi")
    took("embeddings")
    gemini.models.generate_content(**GEMINI)
    took("gemini")
    list(gemini.models.generate_content_stream(**GEMINI))
    took("gemini stream")
    gemini.models.embed_content(model="gemini-embedding-001", contents="hi")
    took("gemini embeddings")

    async def ask_async() -> None:
        client = openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url)
        await client.chat.completions.create(**CHAT)
        took("async chat")
        async for _ in await client.chat.completions.create(**CHAT, **usage):
            pass
        took("async chat stream")
        await gemini.aio.models.generate_content(**GEMINI)
        took("async gemini")
        async for _ in await gemini.aio.models.generate_content_stream(**GEMINI):
            pass
        took("async gemini stream")

    asyncio.run(ask_async())
    return found


def main() -> None:
    """``{"peer": …, "turns": "ABab"}``: A and a are otel_llm on and off, B and b the peer."""
    task = json.loads(sys.argv[1])
    recording, said = Recording(), Said()
    peer = Peer(task["peer"], recording)
    does: dict[str, Callable[[], Any]] = {
        "A": otel_llm.instrument, "a": otel_llm.uninstrument, "B": peer.on, "b": peer.off
    }  # fmt: skip
    found = []
    with ScriptedProvider(lambda request: Reply("Hello.", usage=Usage(10, 5))) as provider:
        for turn in task["turns"]:
            does[turn]()
            found.append(ask(provider, recording))
    print(json.dumps({"turns": found, "said": said.sentences}), flush=True)
    os._exit(0)  # some peers would wait for their own servers


if __name__ == "__main__":
    main()
