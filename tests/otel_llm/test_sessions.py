"""A turn of each kind of session, whole: the same span sync and async, from the real SDKs over a socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from google.genai import types
from inline_snapshot import external_file

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.sessions import (
    NO_DETECTION,
    SILENCE,
    Step,
    answered,
    asked,
    audio,
    live,
    realtime,
    realtime_async,
    said,
    whole,
)

USAGE = Usage(input=100, output=50, cached=40, input_modalities={"audio": 30}, output_modalities={"audio": 45})
GEMINI_USAGE = Usage(
    input=100, output=50, cached=40, reasoning=20, tool_use=10,
    input_modalities={"text": 60, "audio": 30}, output_modalities={"audio": 30},
)  # fmt: skip
REPLY = Reply("A hot gas.", usage=USAGE, chunks=4)
BURN: dict[str, Any] = {"type": "function", "name": "burn", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(autouse=True)
def no_complaint(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The library says nothing."""
    caplog.set_level(logging.WARNING)
    yield
    assert [r.getMessage() for r in caplog.records if r.name.startswith(("opentelemetry", "otel_"))] == []


@dataclass(frozen=True)
class Talk:
    """A conversation; ``spans/`` holds the spans that must come of it."""

    name: str
    steps: list[Step]
    reply: Reply = field(default_factory=lambda: REPLY)
    connect: dict[str, Any] = field(default_factory=dict)


REALTIME = [
    Talk(
        "realtime text",
        [
            (
                "session.update",
                {
                    "session": {
                        "type": "realtime",
                        "output_modalities": ["text"],
                        "instructions": "Be brief.",
                        "tools": [BURN],
                        "reasoning": {"effort": "low"},
                    }
                },
            ),
            said("What is a flame?"),
            asked(max_output_tokens=64),
            "response.done",
        ],
    ),
    Talk(
        "realtime audio",
        [
            ("session.update", {"session": NO_DETECTION}),
            ("input_audio_buffer.append", {"audio": audio("What is ")}),
            ("input_audio_buffer.append", {"audio": audio("a flame?")}),
            ("input_audio_buffer.commit", {}),
            asked(),
            "response.done",
        ],
    ),
    Talk(
        "realtime detected speech",
        [
            ("input_audio_buffer.append", {"audio": audio("What is a flame?")}),
            ("input_audio_buffer.append", {"audio": SILENCE}),
            "response.done",
        ],
    ),
    Talk(
        "realtime tool call",
        [said("Burn it."), asked(tools=[BURN]), "response.done"],
        Reply(tool_calls=[ToolCall("burn", {"what": "candle"}, "call_1")], usage=USAGE),
    ),
    Talk(
        "realtime incomplete",
        [said("What is a flame?"), asked(output_modalities=["text"]), "response.done"],
        Reply("A hot", usage=USAGE, finish="length"),
    ),
    Talk(
        "realtime transcription",
        [
            (
                "session.update",
                {
                    "session": {
                        "type": "transcription",
                        "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe"}}},
                    }
                },
            ),
            "session.updated",
            ("input_audio_buffer.append", {"audio": audio("What is a flame?")}),
            ("input_audio_buffer.append", {"audio": SILENCE}),
            "conversation.item.input_audio_transcription.completed",
        ],
        connect={"extra_query": {"intent": "transcription"}, "model": "gpt-4o-transcribe"},
    ),
]


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("case", REALTIME, ids=lambda case: case.name)
def test_a_realtime_turn(case: Talk, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A turn gives the same span whether the session is sync or async; its last event is known to be of it."""
    provider.script(lambda request: case.reply)
    if mode == "sync":
        last = realtime(provider, case.steps, **case.connect)[-1]
    else:
        last = asyncio.run(realtime_async(provider, case.steps, **case.connect))[-1]
    identity = instrumented.one().get_span_context()
    assert identity is not None
    assert str(otel_llm.call_of(last)).startswith(f"00-{identity.trace_id:032x}-{identity.span_id:016x}-")
    assert whole(instrumented.one()) == external_file(f"spans/{case.name.replace(' ', '-')}.json")


@pytest.mark.parametrize("backend", ["gemini", "vertex"])
def test_a_live_turn_in_writing(
    backend: Literal["gemini", "vertex"], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Text in, text out, with thoughts."""
    provider.script(lambda request: Reply("A hot gas.", thinking="Hm.", usage=GEMINI_USAGE, chunks=4))

    async def read() -> None:
        async with live(provider, backend, system_instruction="Be brief.", temperature=0.2, max_output_tokens=64) as s:
            await s.send_client_content(turns=types.Content(role="user", parts=[types.Part(text="What is a flame?")]))
            last = (await answered(s))[-1]
            assert otel_llm.call_of(last) == otel_llm.last_call() is not None

    asyncio.run(read())
    assert whole(instrumented.one()) == external_file(f"spans/live-text-{backend}.json")


def test_a_live_turn_that_is_spoken(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Speech that the server detects, answered in speech: transcripts as text, audio as a digest."""
    provider.script(lambda request: Reply("A hot gas.", usage=GEMINI_USAGE, chunks=4))

    async def read() -> None:
        transcripts: Any = {"input_audio_transcription": {}, "output_audio_transcription": {}}
        async with live(provider, response_modalities=["AUDIO"], **transcripts) as session:
            for piece in (b"What is ", b"a flame?", bytes(8)):
                await session.send_realtime_input(audio=types.Blob(data=piece, mime_type="audio/pcm;rate=16000"))
            await answered(session)

    asyncio.run(read())
    assert whole(instrumented.one()) == external_file("spans/live-audio.json")


def test_a_live_turn_with_a_function(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A call and its answer are within the turn, whose usage is that of both generations."""
    call = Reply(tool_calls=[ToolCall("burn", {"what": "candle"}, "call-1")], usage=Usage(30, 5))
    provider.script([call, Reply("It burns.", usage=Usage(50, 7, cached=20), chunks=2)])
    tool = {"function_declarations": [{"name": "burn", "description": "Burns."}]}

    async def read() -> None:
        async with live(provider, tools=[tool]) as session:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "Burn it."}]})
            async for message in session.receive():
                for wanted in message.tool_call.function_calls if message.tool_call else ():
                    answer = types.FunctionResponse(id=wanted.id, name=wanted.name, response={"result": "burnt"})
                    await session.send_tool_response(function_responses=[answer])

    asyncio.run(read())
    assert whole(instrumented.one()) == external_file("spans/live-function.json")
