"""Run in a framework's environment: asks by it, sync, async and streamed, and says who recorded what."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from importlib import import_module
from typing import Any

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.peers.recording import Recording, Said


class Asked:
    """The spans of each call."""

    def __init__(self, recording: Recording) -> None:
        self.calls: dict[str, list[dict[str, Any]]] = {}
        self._recording = recording

    def took(self, call: str) -> None:
        """A call has been made."""
        self.calls[call] = self._recording.take()


async def pydantic_ai(provider: ScriptedProvider, asked: Asked) -> None:
    """Agents on OpenAI's chat and responses, and on Gemini."""
    from google import genai
    from pydantic_ai import Agent
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.google import GoogleProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    Agent.instrument_all()
    openai = OpenAIProvider(base_url=provider.openai_base_url, api_key="x")
    client = genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url})
    for model in (
        OpenAIChatModel("gpt-5-mini", provider=openai),
        OpenAIResponsesModel("gpt-5-mini", provider=openai),
        GoogleModel("gemini-2.5-flash", provider=GoogleProvider(client=client)),
    ):
        agent = Agent(model)
        await agent.run("hi")
        asked.took(type(model).__name__)
        async with agent.run_stream("hi") as result:
            async for _ in result.stream_text():
                pass
        asked.took(f"{type(model).__name__} stream")


async def agents(provider: ScriptedProvider, asked: Asked) -> None:
    """An agent on OpenAI's responses, and on its chat."""
    import openai
    from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner
    from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

    OpenAIAgentsInstrumentor().instrument()
    client = openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url)
    for model in (OpenAIResponsesModel("gpt-5-mini", client), OpenAIChatCompletionsModel("gpt-5-mini", client)):
        agent = Agent(name="Agent", model=model)
        await Runner.run(agent, "hi")
        asked.took(type(model).__name__)
        async for _ in Runner.run_streamed(agent, "hi").stream_events():
            pass
        if isinstance(model, OpenAIResponsesModel):  # a chat stream has no usage, as nobody asked for it
            asked.took(f"{type(model).__name__} stream")


async def langchain(provider: ScriptedProvider, asked: Asked, module: str, name: str) -> None:
    """Models by themselves, several at once, and in a chain."""
    getattr(import_module(module), name)().instrument()
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI

    settings: dict[str, Any] = {"model": "gpt-5-mini", "base_url": provider.openai_base_url, "api_key": "x"}
    for label, model in (
        ("chat", ChatOpenAI(**settings, stream_usage=True)),
        ("responses", ChatOpenAI(**settings, use_responses_api=True)),
    ):
        model.invoke("hi")
        asked.took(label)
        list(model.stream("hi"))
        asked.took(f"{label} stream")
        await model.ainvoke("hi")
        asked.took(f"{label} async")
        async for _ in model.astream("hi"):
            pass
        asked.took(f"{label} async stream")
        (ChatPromptTemplate.from_template("say {word}") | model).invoke({"word": "hi"})
        asked.took(f"{label} chain")
    model.batch(["hi", "ho"])
    both: list[dict[str, Any]] = []
    asked.took("batch")
    both += asked.calls.pop("batch")
    asked.calls |= {f"batch {number}": [span] for number, span in enumerate(both)}


LANGCHAIN = {
    "langchain_openinference": ("openinference.instrumentation.langchain", "LangChainInstrumentor"),
    "langchain_traceloop": ("opentelemetry.instrumentation.langchain", "LangchainInstrumentor"),
    "langchain_official": ("opentelemetry.instrumentation.genai.langchain", "LangChainInstrumentor"),
}


def main() -> None:
    """The name of the framework's environment is the argument."""
    key = json.loads(sys.argv[1])
    recording, said = Recording(), Said()
    recording.provide()
    asked = Asked(recording)
    otel_llm.instrument()
    with ScriptedProvider(lambda request: Reply("Hello.", usage=Usage(10, 5))) as provider:
        if key in LANGCHAIN:
            asyncio.run(langchain(provider, asked, *LANGCHAIN[key]))
        else:
            asyncio.run({"pydantic_ai": pydantic_ai, "agents": agents}[key](provider, asked))
    print(json.dumps({"calls": asked.calls, "said": said.sentences}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
