"""What happens on a Live session: interruptions, activities, functions, usage in no order, errors, odd callers."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from google.genai import errors, types
from google.genai.live import AsyncSession
from opentelemetry.trace import StatusCode
from websockets.exceptions import ConnectionClosed

from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.sessions import answered, live


def _needs(field: str) -> pytest.MarkDecorator:
    """For what not every supported SDK reads of a message."""
    lacks = field not in types.LiveServerContent.model_fields
    return pytest.mark.skipif(lacks, reason=f"The installed SDK reads no {field}.")


#: An answer that is interrupted before it is complete.
COUNT = Reply("one two three four", chunks=4, chunk_delay=0.5, usage=Usage(10, 4))


def _turns(spans: Spans) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans.all()]


def _texts(spans: Spans, name: str = "gen_ai.output.messages") -> list[str]:
    """The texts of each turn, joined."""
    found = []
    for turn in _turns(spans):
        messages = json.loads(str(turn.get(name, "[]")))
        found.append("".join(part.get("content", "") for item in messages for part in item["parts"]))
    return found


def _outcomes(spans: Spans) -> list[Any]:
    return [turn["otel_llm.stream.outcome"] for turn in _turns(spans)]


def _talk(provider: ScriptedProvider, talk: Callable[[Any], Coroutine[Any, Any, Any]], **config: Any) -> None:
    """A whole session."""

    async def run() -> None:
        async with live(provider, **config) as session:
            await talk(session)

    asyncio.run(run())


def _said(*messages: dict[str, Any]) -> Reply:
    """What the server says, word for word."""
    return Reply(body=json.dumps(list(messages)).encode())


def _text(text: str) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [{"text": text}]}}}


def _over(**more: Any) -> dict[str, Any]:
    return {"serverContent": {"turnComplete": True, **more}}


def _used(tokens: int) -> dict[str, Any]:
    return {"usageMetadata": {"promptTokenCount": tokens, "responseTokenCount": 1, "totalTokenCount": tokens + 1}}


def test_the_objects_are_the_sdks_own(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The session, the iterator and the messages are what they were; the session's id is the conversation's."""
    ids = []

    async def talk(session: Any) -> None:
        assert type(session) is AsyncSession
        ids.append(getattr(session, "session_id", None))
        await session.send_client_content(turns=types.Content(role="user", parts=[types.Part(text="Hi")]))
        messages = session.receive()
        assert inspect.isasyncgen(messages)
        assert all([type(message) is types.LiveServerMessage async for message in messages])

    _talk(provider, talk)
    assert _outcomes(instrumented) == ["completed"]
    assert [turn.get("gen_ai.conversation.id") for turn in _turns(instrumented)] == ids


def test_turns_follow_one_another(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Each has what was said since the last one as its input, prefilled contents included."""
    provider.script([Reply("One."), Reply("Two.")])

    async def talk(session: Any) -> None:
        earlier = [{"role": "user", "parts": [{"text": "Before. "}]}]
        await session.send_client_content(turns=earlier, turn_complete=False)
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "First?"}]})
        await answered(session)
        await session.send_realtime_input(text="Second?")
        await answered(session)

    _talk(provider, talk)
    assert _texts(instrumented) == ["One.", "Two."]
    assert _texts(instrumented, "gen_ai.input.messages") == ["Before. First?", "Second?"]


def test_a_request_supersedes_a_turn(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What is asked while the model answers interrupts it, and has a span of its own from then on."""
    provider.script([COUNT, Reply("Stopped.", usage=Usage(20, 2))])

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Count!"}]})
        async for message in session.receive():
            if message.text == "one t":
                await session.send_client_content(turns={"role": "user", "parts": [{"text": "Stop!"}]})
        await answered(session)

    _talk(provider, talk)
    assert _outcomes(instrumented) == ["cancelled", "completed"]
    assert _texts(instrumented)[1] == "Stopped."
    assert _texts(instrumented)[0].startswith("one t")
    assert _texts(instrumented, "gen_ai.input.messages") == ["Count!", "Stop!"]
    first, second = _turns(instrumented)
    assert first["gen_ai.response.finish_reasons"] == ("interrupted",)
    assert second["gen_ai.usage.input_tokens"] == 20
    assert second["gen_ai.response.time_to_first_chunk"] > 0
    assert "error.type" not in first


def test_what_is_asked_before_any_answer_is_one_turn(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Nothing was interrupted: both are what the answer is to."""
    provider.script([_said({"sessionResumptionUpdate": {"resumable": True}}), _said(_text("Both."), _over())])

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "One?"}]})
        async for _ in session.receive():
            break
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Two?"}]})
        await answered(session)

    _talk(provider, talk)
    assert _texts(instrumented, "gen_ai.input.messages") == ["One?Two?"]
    assert _texts(instrumented) == ["Both."]


def test_an_interruption_that_was_never_completed(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The next answer is the next turn's, though the server did not say that the last one is over."""
    interrupted = {"serverContent": {"interrupted": True}}
    late = {"serverContent": {"outputTranscription": {"text": " late"}}}
    provider.script([_said(_text("one"), interrupted, late, _text("two"), _over())])

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Count!"}]})
        await answered(session)

    _talk(provider, talk)
    assert _outcomes(instrumented) == ["cancelled", "completed"]
    assert _texts(instrumented) == ["one late", "two"]


def test_speech_interrupts(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Barge-in: speech that the server detects begins turns with its answers, of which no waiting is measured."""
    provider.script([COUNT, Reply("Stopped.")])

    async def talk(session: Any) -> None:
        for data in (b"Count!", bytes(8)):
            await session.send_realtime_input(audio=types.Blob(data=data, mime_type="audio/pcm"))
        async for message in session.receive():
            if message.text == "one t":
                for data in (b"Stop!", bytes(8)):
                    await session.send_realtime_input(audio=types.Blob(data=data, mime_type="audio/pcm"))
        await answered(session)

    _talk(provider, talk, input_audio_transcription={})
    assert _outcomes(instrumented) == ["cancelled", "completed"]
    assert _texts(instrumented, "gen_ai.input.messages") == ["Count!", "Stop!"]
    assert all("gen_ai.response.time_to_first_chunk" not in turn for turn in _turns(instrumented))


def test_an_activity_asks_when_it_ends(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Where the client says who speaks, the turn begins with the end of that."""

    async def talk(session: Any) -> None:
        await session.send_realtime_input(activity_start=types.ActivityStart())
        await session.send_realtime_input(audio=types.Blob(data=b"Hi", mime_type="audio/pcm"))
        assert instrumented.all() == []
        await session.send_realtime_input(activity_end=types.ActivityEnd())
        await answered(session)

    _talk(provider, talk, realtime_input_config={"automatic_activity_detection": {"disabled": True}})
    (turn,) = _turns(instrumented)
    assert turn["gen_ai.response.time_to_first_chunk"] > 0
    assert json.loads(turn["gen_ai.input.messages"])[0]["parts"][0]["size"] == 2


def test_audio_that_is_not_answered_is_no_turn(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A microphone that is merely on is not asking."""

    async def talk(session: Any) -> None:
        for _ in range(20):
            await session.send_realtime_input(audio=types.Blob(data=bytes(8), mime_type="audio/pcm"))
        await session.send_realtime_input(audio_stream_end=True)

    _talk(provider, talk)
    assert instrumented.all() == []


def test_a_session_that_only_transcribes(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The model says nothing, but what it heard was used and counts."""
    heard = {"serverContent": {"inputTranscription": {"text": "A flame?"}}}
    provider.script([_said(heard, {**_over(), **_used(40)})])

    async def talk(session: Any) -> None:
        for data in (b"A flame?", bytes(8)):
            await session.send_realtime_input(audio=types.Blob(data=data, mime_type="audio/pcm"))
        await answered(session)

    _talk(provider, talk)
    assert _texts(instrumented, "gen_ai.input.messages") == ["A flame?"]
    assert _turns(instrumented)[0]["gen_ai.usage.input_tokens"] == 40


def test_transcripts_come_in_no_order(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What is heard while the model answers is what it answers to; what is heard once it is interrupted interrupted."""

    def heard(text: str) -> dict[str, Any]:
        return {"serverContent": {"inputTranscription": {"text": text}}}

    interrupted = {"serverContent": {"interrupted": True}}
    first = [_text("one"), heard("Co"), heard("unt!"), interrupted, heard("St"), _over()]
    provider.script([_said(*first, heard("op!"), _text("Stopped."), _over())])

    async def talk(session: Any) -> None:
        for data in (b"Count!", bytes(8)):
            await session.send_realtime_input(audio=types.Blob(data=data, mime_type="audio/pcm"))
        await answered(session)
        await answered(session)

    _talk(provider, talk)
    assert _texts(instrumented, "gen_ai.input.messages") == ["Count!", "Stop!"]
    assert _texts(instrumented) == ["one", "Stopped."]


def test_usage_comes_in_no_order(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Reports are of one generation each: those of a turn are added up, those between turns are the next one's."""
    provider.script(
        [
            _said({**_text("one"), **_used(10)}, {**_over(), **_used(20)}, _used(5)),
            _said(_text("two"), {"sessionResumptionUpdate": {"resumable": True}, **_used(30)}, _over()),
        ]
    )

    async def talk(session: Any) -> None:
        for text in ("One?", "Two?"):
            await session.send_client_content(turns={"role": "user", "parts": [{"text": text}]})
            await answered(session)

    _talk(provider, talk)
    assert [turn["gen_ai.usage.input_tokens"] for turn in _turns(instrumented)] == [30, 35]


@_needs("interaction_status")
def test_a_turn_lasts_as_long_as_the_interaction(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Where the server says how the interaction stands, a turn of the model is not yet the end."""
    provider.script(
        [_said(_text("Let me see. "), _over(interactionStatus="IN_PROGRESS"), _text("Done."),
               _over(interactionStatus="IDLE"))]
    )  # fmt: skip

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Think!"}]})
        await answered(session)

    _talk(provider, talk)
    assert _texts(instrumented) == ["Let me see. Done."]


def test_a_function_that_is_answered_after_its_turn(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Its answer asks for a turn of its own, unless it is to be silent."""
    called = {"toolCall": {"functionCalls": [{"id": "f1", "name": "burn", "args": {}}]}}
    provider.script([_said(called, _over()), _said(_text("Burnt."), _over())])

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Burn!"}]})
        await answered(session)
        await session.send_tool_response(function_responses={"id": "f1", "name": "burn", "response": {"ash": 1}})
        await answered(session)

    _talk(provider, talk)
    first, second = _turns(instrumented)
    assert first["gen_ai.response.finish_reasons"] == ("tool_call",)
    assert json.loads(second["gen_ai.input.messages"])[0]["role"] == "tool"
    assert _texts(instrumented)[1] == "Burnt."


@_needs("turn_complete_reason")
@pytest.mark.parametrize("reason", ["blocked", "prompt_blocked"])
def test_why_a_turn_is_complete(reason: Any, instrumented: Spans, provider: ScriptedProvider) -> None:
    """What was filtered is said so."""
    provider.script(lambda request: Reply("", finish=reason))

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hm"}]})
        await answered(session)

    _talk(provider, talk)
    assert _turns(instrumented)[0]["gen_ai.response.finish_reasons"] == ("content_filter",)


@pytest.mark.skipif(not hasattr(AsyncSession, "send_context_update"), reason="The installed SDK cannot do so.")
def test_what_the_context_is_updated_to(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Later turns have the instructions and tools that were sent last."""

    async def talk(session: Any) -> None:
        tool = {"function_declarations": [{"name": "burn"}]}
        await session.send_context_update(system_instruction="Be long.", tools=[tool])
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hi"}]})
        await answered(session)

    _talk(provider, talk, system_instruction="Be brief.")
    (turn,) = _turns(instrumented)
    assert turn["gen_ai.system_instructions"] == '[{"type":"text","content":"Be long."}]'
    assert '"burn"' in turn["gen_ai.tool.definitions"]


@pytest.mark.filterwarnings(
    "ignore:The `session.send` method is deprecated", "ignore:Setting `AsyncSession.start_stream`"
)
def test_the_methods_of_old(instrumented: Spans, provider: ScriptedProvider) -> None:
    """``send`` takes anything, ``start_stream`` sends audio and receives."""
    call = Reply(tool_calls=[ToolCall("burn", {}, "f1")])
    provider.script([Reply("One."), call, Reply("Two."), Reply("Three.")])

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"Three?", bytes(8)):
            yield piece
        while len(instrumented.exporter.get_finished_spans()) < 3:
            await asyncio.sleep(0.01)

    async def talk(session: Any) -> None:
        await session.send(input="One?", end_of_turn=True)
        await answered(session)
        await session.send(input=types.LiveClientContent(turns=[types.Content(parts=[types.Part(text="Two?")])]))
        await session.send()
        async for message in session.receive():
            if message.tool_call:
                await session.send(input={"id": "f1", "name": "burn", "response": {"ash": 1}})
        async for _ in session.start_stream(stream=pieces(), mime_type="audio/pcm"):
            pass

    _talk(provider, talk)
    assert [text for text in _texts(instrumented) if text] == ["One.", "Two.", "Three."]
    assert _texts(instrumented, "gen_ai.input.messages")[:2] == ["One?", "Two?"]
    assert "tool_call_response" in _turns(instrumented)[1]["gen_ai.input.messages"]
    assert '"size":14' in _turns(instrumented)[2]["gen_ai.input.messages"]


def test_a_session_closed_after_the_answer(instrumented: Spans, provider: ScriptedProvider) -> None:
    """All of the answer has come, though the server still waits for it to be played: that is complete."""
    provider.script([_said(_text("Whole."), {"serverContent": {"generationComplete": True}})])

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hi"}]})
        async for message in session.receive():
            if message.server_content.generation_complete:
                break

    _talk(provider, talk)
    assert _outcomes(instrumented) == ["completed"]
    assert _turns(instrumented)[0]["gen_ai.response.finish_reasons"] == ("stop",)


@pytest.mark.parametrize("failure", ["cut", "error"])
def test_a_connection_that_is_lost(failure: Any, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK's error is the caller's and the turn's; what had come is kept."""
    provider.script([Reply("one two three", chunks=3, fail_after=1, failure=failure, error="Out of quota.")])

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Count!"}]})
        await answered(session)

    with pytest.raises((errors.APIError, ConnectionClosed)):  # of newer and of older SDKs
        _talk(provider, talk)
    (turn,) = _turns(instrumented)
    assert turn["otel_llm.stream.outcome"] == "error"
    assert turn["error.type"]
    assert _texts(instrumented)[0].startswith("one")
    assert instrumented.one().status.status_code is StatusCode.ERROR


def test_a_message_that_cannot_be_sent(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK's error is the caller's; the turn was never asked for, and the next one is whole."""

    async def talk(session: Any) -> None:
        with pytest.raises(ValueError, match="Could not convert"):
            await session.send_client_content(turns=object())
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hi"}]})
        await answered(session)

    _talk(provider, talk)
    assert _outcomes(instrumented) == ["error", "completed"]


def test_a_session_that_cannot_be_connected(instrumented: Spans, provider: ScriptedProvider) -> None:
    """It is a call that failed."""

    async def connect() -> None:
        async with live(provider):
            raise AssertionError("There is nobody to talk to.")

    assert provider.gemini_live_options
    provider.stop()
    with pytest.raises(ConnectionRefusedError):
        asyncio.run(connect())
    (turn,) = _turns(instrumented)
    assert turn["gen_ai.request.model"] == "gemini-live-2.5-flash"
    assert turn["otel_llm.stream.outcome"] == "error"


def test_the_callers_error_is_the_callers(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What is raised within the session passes through, and is not the model's."""

    async def talk(session: Any) -> None:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": "Hi"}]})
        async for _ in session.receive():
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        _talk(provider, talk)
    assert _outcomes(instrumented) == ["closed_early"]
    assert "error.type" not in _turns(instrumented)[0]
