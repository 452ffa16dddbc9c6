"""What happens on a Realtime session: responses beside one another, interruptions, tools, errors, odd callers."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.resources.beta.realtime.realtime import RealtimeConnection as BetaConnection
from openai.resources.realtime.realtime import RealtimeConnection, RealtimeConnectionManager
from opentelemetry.trace import SpanKind, StatusCode

from otel_llm.testing import Reply, Request, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.sessions import (
    NO_DETECTION,
    SILENCE,
    TEXT_ONLY,
    Step,
    asked,
    audio,
    connected,
    options,
    realtime,
    realtime_async,
    said,
    talk,
)

WRITTEN: Step = ("session.update", {"session": TEXT_ONLY})
OUTSIDE: dict[str, Any] = {"conversation": "none", "output_modalities": ["text"]}


def _turns(spans: Spans) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans.all()]


def _outputs(spans: Spans) -> list[Any]:
    return [json.loads(str(turn.get("gen_ai.output.messages", "[]"))) for turn in _turns(spans)]


def _texts(spans: Spans, name: str = "gen_ai.output.messages") -> list[str]:
    """The texts of each turn, joined."""
    found = []
    for turn in _turns(spans):
        messages = json.loads(str(turn.get(name, "[]")))
        found.append("".join(part.get("content", "") for item in messages for part in item["parts"]))
    return found


def _speech(text: str) -> list[Step]:
    return [
        ("input_audio_buffer.append", {"audio": audio(text)}),
        ("input_audio_buffer.append", {"audio": SILENCE}),
    ]


def test_the_objects_are_the_sdks_own(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The manager, the connection and the events are what they were; iterating goes on as ever."""
    with openai.OpenAI(**options(provider)) as client:
        manager = client.realtime.connect(model="gpt-realtime")
        assert type(manager) is RealtimeConnectionManager
        connection = manager.enter()
        assert type(connection) is RealtimeConnection
        talk(connection, [WRITTEN, said("Hi"), asked()])
        seen = []
        for event in connection:
            seen.append(event.type)
            if event.type == "response.done":
                connection.close()
    assert seen[0] == "session.created"
    assert seen[-1] == "response.done"
    assert instrumented.one().kind is SpanKind.CLIENT


def test_turns_follow_one_another(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Each has its own span, with what was said since the last one as its input."""
    provider.script([Reply("One."), Reply("Two.")])
    steps: list[Step] = [WRITTEN]
    for question in ("First?", "Second?"):
        steps += [said(question), asked(), "response.done"]
    realtime(provider, steps)
    assert _texts(instrumented) == ["One.", "Two."]
    assert _texts(instrumented, "gen_ai.input.messages") == ["First?", "Second?"]


def test_a_tool_is_called_and_answered(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What the tool gave back is the input of the next turn."""
    provider.script([Reply(tool_calls=[ToolCall("burn", {"what": "wax"}, "call_1")]), Reply("Burnt.")])
    output = {"type": "function_call_output", "call_id": "call_1", "output": '{"ash": 1}'}
    steps = [WRITTEN, said("Burn."), asked(), "response.done", ("conversation.item.create", {"item": output})]
    realtime(provider, [*steps, asked(), "response.done"])
    called, burnt = _turns(instrumented)
    assert called["gen_ai.response.finish_reasons"] == ("tool_call",)
    (answer,) = json.loads(burnt["gen_ai.input.messages"])
    assert answer["role"] == "tool"
    assert answer["parts"] == [{"type": "tool_call_response", "response": '{"ash": 1}', "id": "call_1"}]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_responses_beside_one_another(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Out-of-band responses that are created in another order than asked, and whose events come mixed."""

    def answer(request: Request) -> Reply:
        topic = (request.body.get("metadata") or {}).get("topic", "conversation")
        return Reply(f"{topic} " * 6, chunks=6, delay=0.1 if topic == "slow" else 0, chunk_delay=0.001,
                     usage=Usage(len(topic), 1))  # fmt: skip

    provider.script(answer)
    steps: list[Step] = [WRITTEN, said("In the conversation")]
    for topic in ("slow", "quick"):
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"about {topic}"}]}
        steps.append(asked(**OUTSIDE, metadata={"topic": topic}, input=[item]))
    steps += [asked(output_modalities=["text"]), "response.done", "response.done", "response.done"]
    realtime(provider, steps) if mode == "sync" else asyncio.run(realtime_async(provider, steps))
    found = dict(zip(_texts(instrumented, "gen_ai.input.messages"), _turns(instrumented), strict=True))
    outputs = dict(zip(_texts(instrumented, "gen_ai.input.messages"), _texts(instrumented), strict=True))
    assert outputs["about slow"] == "slow " * 6
    assert outputs["about quick"] == "quick " * 6
    assert outputs["In the conversation"] == "conversation " * 6
    assert found["about slow"]["gen_ai.usage.input_tokens"] == 4
    assert "gen_ai.conversation.id" not in found["about slow"]
    assert found["In the conversation"]["gen_ai.conversation.id"] == "conv_00000001"


def test_a_response_that_is_refused(instrumented: Spans, provider: ScriptedProvider) -> None:
    """One that is asked for while another is active is an error, and the other goes on."""
    provider.script(lambda request: Reply("one two three", chunks=2, chunk_delay=0.3))
    steps = [WRITTEN, said("Count"), asked(), "response.created", asked(), "error", "response.done"]
    realtime(provider, steps)
    refused, answered = instrumented.all()
    assert dict(refused.attributes or {})["error.type"] == "conversation_already_has_active_response"
    assert refused.status.status_code is StatusCode.ERROR
    assert answered.status.status_code is StatusCode.UNSET
    assert [turn["otel_llm.stream.outcome"] for turn in _turns(instrumented)] == ["error", "completed"]


def test_a_refusal_is_told_by_the_id_of_the_event(instrumented: Spans, provider: ScriptedProvider) -> None:
    """An error about another event than the response ends nothing."""
    provider.script([Reply("one two", delay=0.3), Reply(status=429, error_code="rate_limit_exceeded")])
    odd: Step = ("send", {"event": {"type": "nonsense", "event_id": "e1"}})
    odder: Step = ("send", {"event": {"type": "nonsense"}})
    create: Step = ("response.create", {"response": OUTSIDE, "event_id": "e2"})
    realtime(
        provider, [WRITTEN, said("Count"), asked(), odd, "error", odder, "error", create, "error", "response.done"]
    )
    refused, answered = _turns(instrumented)
    assert (refused["otel_llm.stream.outcome"], answered["otel_llm.stream.outcome"]) == ("error", "completed")
    assert refused["error.type"] == "rate_limit_exceeded"


def test_a_response_that_fails(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The server's word for it is the type of the error; no price is made up for what was not used."""
    provider.script([Reply("one two", chunks=2, fail_after=4, failure="failed", error_code="server_overloaded")])
    realtime(provider, [WRITTEN, said("Count"), asked(), "response.done"])
    (turn,) = _turns(instrumented)
    assert turn["error.type"] == "server_overloaded"
    assert turn["otel_llm.stream.outcome"] == "error"
    assert turn["gen_ai.response.status"] == "failed"
    assert instrumented.one().status.status_code is StatusCode.ERROR


def test_a_response_that_the_client_cancels(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What came until then is kept, with the provider's reason."""
    provider.script(lambda request: Reply("one two three", chunks=3, chunk_delay=0.2))
    steps = [WRITTEN, said("Count"), asked(), "response.output_text.delta", ("response.cancel", {}), "response.done"]
    realtime(provider, steps)
    (turn,) = _turns(instrumented)
    assert turn["otel_llm.stream.outcome"] == "cancelled"
    assert turn["gen_ai.response.finish_reasons"] == ("client_cancelled",)
    assert "error.type" not in turn
    assert _texts(instrumented)[0].startswith("one ")


def test_speech_interrupts(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Barge-in: the first turn is cut off where the second begins."""
    provider.script([Reply("one two three", chunks=3, chunk_delay=0.2), Reply("Stopped.")])
    steps = [*_speech("Count!"), "response.output_audio_transcript.delta", *_speech("Stop!")]
    realtime(provider, [*steps, "response.done", "response.done"])
    first, second = _turns(instrumented)
    assert (first["otel_llm.stream.outcome"], second["otel_llm.stream.outcome"]) == ("cancelled", "completed")
    assert first["gen_ai.response.finish_reasons"] == ("turn_detected",)
    heard = [json.loads(turn["gen_ai.input.messages"])[0]["parts"][0]["size"] for turn in (first, second)]
    assert heard == [len("Count!") + 8, len("Stop!") + 8]


def test_what_was_spoken_is_transcribed_beside_the_conversation(
    instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The transcript is a call of its own, with its own model and usage, and part of what was said."""
    provider.script(lambda request: Reply("A hot gas.", delay=0.1))
    update = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}}}}
    realtime(
        provider, [("session.update", {"session": update}), "session.updated", *_speech("A flame?"), "response.done"]
    )
    transcript, answer = _turns(instrumented)
    assert transcript["gen_ai.operation.name"] == "transcribe_audio"
    assert transcript["gen_ai.request.model"] == "whisper-1"
    assert transcript["otel_llm.usage.audio_seconds"] == 2.5
    (heard,) = json.loads(answer["gen_ai.input.messages"])
    assert [part["type"] for part in heard["parts"]] == ["blob", "text"]
    assert heard["parts"][1]["content"] == "A flame?"


def test_a_transcript_that_fails(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What cannot be understood is an error of the transcript and of nothing else."""
    update = {"type": "realtime", "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}}}
    failed = "conversation.item.input_audio_transcription.failed"
    steps = [("session.update", {"session": update}), "session.updated", ("input_audio_buffer.commit", {}), failed]
    realtime(provider, steps)
    assert _turns(instrumented)[0]["error.type"] == "audio_unintelligible"


def test_a_transcription_that_is_turned_off(instrumented: Spans, provider: ScriptedProvider) -> None:
    """From then on what is spoken is no transcript's to wait for."""
    provider.script(lambda request: Reply("Yes."))
    steps: list[Step] = []
    for transcription in ({"model": "whisper-1"}, None):
        session = {"type": "realtime", "audio": {"input": {"transcription": transcription}}}
        steps += [("session.update", {"session": session}), "session.updated", *_speech("Hm?"), "response.done"]
    realtime(provider, steps)
    operations = [turn["gen_ai.operation.name"] for turn in _turns(instrumented)]
    assert sorted(operations) == ["chat", "chat", "transcribe_audio"]


@pytest.mark.skipif(not hasattr(RealtimeConnection, "on"), reason="The installed SDK dispatches no events.")
def test_events_that_are_dispatched(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK's loop receives for the handlers."""
    with connected(provider) as connection:
        seen: list[str] = []
        connection.on("event", lambda event: seen.append(event.type))
        connection.once("response.done", lambda event: connection.close())
        talk(connection, [WRITTEN, said("Hi"), asked()])
        connection.dispatch_events()
    assert seen[-1] == "response.done"
    assert _turns(instrumented)[0]["otel_llm.stream.outcome"] == "completed"


@pytest.mark.skipif(not hasattr(RealtimeConnection, "send_raw"), reason="The installed SDK sends no JSON as it is.")
def test_raw_events(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Events sent and received as JSON are read as well, once."""
    provider.script(lambda request: Reply("A hot gas.", usage=Usage(10, 5)))
    with connected(provider) as connection:
        talk(connection, [WRITTEN, said("A flame?")])
        connection.send_raw('{"type": "response.create"}')
        while (event := json.loads(connection.recv_bytes()))["type"] != "response.done":
            pass
    assert event["response"]["usage"]["total_tokens"] == 15
    assert _texts(instrumented) == ["A hot gas."]
    assert _turns(instrumented)[0]["gen_ai.usage.output_tokens"] == 5


def test_an_event_that_cannot_be_sent(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK's error is the caller's; what asked for the turn was never sent, and the next turn is whole."""
    with connected(provider) as connection:
        talk(connection, [WRITTEN])
        with pytest.raises(TypeError, match="not JSON serializable"):
            connection.response.create(response={"instructions": object()})
        talk(connection, [said("Hi"), asked(), "response.done"])
    refused, answered = _turns(instrumented)
    assert refused["error.type"] == "TypeError"
    assert answered["otel_llm.stream.outcome"] == "completed"


def test_a_response_that_began_before_we_looked(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Its end is recorded, with its usage."""
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    done = {"type": "response.done", "response": {"id": "resp_x", "status": "completed", "output": [], "usage": usage}}
    noise = {"type": "response.output_text.delta", "response_id": "resp_y", "delta": "?"}
    provider.script([Reply(body=json.dumps([noise, done, {"type": "response.done"}]).encode())])
    realtime(provider, [WRITTEN, asked(**OUTSIDE), "response.done", "response.done"])
    known = [turn for turn in _turns(instrumented) if turn.get("gen_ai.response.id") == "resp_x"]
    assert [turn["gen_ai.usage.output_tokens"] for turn in known] == [4]


def test_the_beta(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The older client, where the SDK has it."""
    provider.script(lambda request: Reply("A hot gas."))
    with (
        openai.OpenAI(**options(provider)) as client,
        client.beta.realtime.connect(model="gpt-4o-realtime-preview") as connection,
    ):
        assert type(connection) is BetaConnection
        talk(connection, [said("A flame?"), asked(modalities=["text"], max_response_output_tokens=7), "response.done"])
    (turn,) = _turns(instrumented)
    assert turn["gen_ai.request.max_tokens"] == 7
    assert "A hot gas." in turn["gen_ai.output.messages"]


def test_settings_are_those_in_force(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A request overrides the session for itself alone; the model that the server names is the one that answers."""
    update = ("session.update", {"session": {**TEXT_ONLY, "instructions": "Be brief."}})
    steps = [update, "session.updated", said("A?"), asked(instructions="Be long."), "response.done"]
    realtime(provider, [*steps, said("B?"), asked(), "response.done"])
    first, second = _turns(instrumented)
    assert "Be long." in first["gen_ai.system_instructions"]
    assert "Be brief." in second["gen_ai.system_instructions"]
    assert second["gen_ai.response.model"] == "gpt-realtime"
    assert first["gen_ai.output.type"] == second["gen_ai.output.type"] == "text"


def test_audio_that_is_cleared_was_not_said(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What the client takes back is no input."""
    steps: list[Step] = [("session.update", {"session": NO_DETECTION})]
    for piece in ("Never mind", "Yes"):
        steps += [("input_audio_buffer.clear", {}), ("input_audio_buffer.append", {"audio": audio(piece)})]
    realtime(provider, [*steps, ("input_audio_buffer.commit", {}), asked(), "response.done"])
    assert '"size":3}' in _turns(instrumented)[0]["gen_ai.input.messages"]
