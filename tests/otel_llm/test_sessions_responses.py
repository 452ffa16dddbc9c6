"""The Responses API over a WebSocket: each response a span as over HTTP, one after the other or in lanes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest
from inline_snapshot import external_file
from opentelemetry.trace import StatusCode

from otel_llm.testing import Reply, Request, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.sessions import Step, options, talk, talk_async, whole

try:
    from openai.resources.responses.responses import ResponsesConnection
except ImportError:
    pytest.skip("The installed SDK has no WebSocket for responses.", allow_module_level=True)

ASK: dict[str, Any] = {
    "model": "gpt-5-mini",
    "input": "What is a flame?",
    "instructions": "Be brief.",
    "reasoning": {"effort": "low"},
    "max_output_tokens": 64,
}


def _turns(spans: Spans) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans.all()]


def _asked(text: str, **more: Any) -> Step:
    return "send", {"event": {"type": "response.create", "model": "gpt-5-mini", "input": text} | more}


def _session(provider: ScriptedProvider, steps: list[Step]) -> list[Any]:
    with openai.OpenAI(**options(provider)) as client, client.responses.connect() as connection:
        assert type(connection) is ResponsesConnection
        return talk(connection, steps)


async def _session_async(provider: ScriptedProvider, steps: list[Step]) -> list[Any]:
    async with openai.AsyncOpenAI(**options(provider)) as client, client.responses.connect() as connection:
        return await talk_async(connection, steps)


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_the_whole_span(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """As of a response that is streamed over HTTP."""
    provider.script(lambda request: Reply("A hot gas.", usage=Usage(100, 50, cached=40, reasoning=20), chunks=4))
    steps: list[Step] = [("response.create", ASK), "response.completed"]
    _session(provider, steps) if mode == "sync" else asyncio.run(_session_async(provider, steps))
    assert whole(instrumented.one()) == external_file("spans/responses.connect.json")


def test_lanes(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Responses beside one another, and one after the other in a lane: each has its own answer."""

    def answer(request: Request) -> Reply:
        number = request.text
        return Reply(f"{number} " * 4, chunks=4, chunk_delay=0.002, delay=0.05 if number == "1" else 0,
                     usage=Usage(int(number), 1))  # fmt: skip

    provider.script(answer)
    lanes = [("1", "a"), ("2", "b"), ("3", "a"), ("4", None)]
    steps: list[Step] = [_asked(text, **({"stream_id": lane} if lane else {})) for text, lane in lanes]
    _session(provider, [*steps, *["response.completed"] * 4])
    assert sorted(turn["gen_ai.usage.input_tokens"] for turn in _turns(instrumented)) == [1, 2, 3, 4]
    for turn in _turns(instrumented):
        number = turn["gen_ai.usage.input_tokens"]
        assert f'"content":"{number}"' in turn["gen_ai.input.messages"]
        assert f'"content":"{f"{number} " * 4}"' in turn["gen_ai.output.messages"]
        assert turn["otel_llm.stream.outcome"] == "completed"


def test_a_request_that_is_refused(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The provider's word is the type of the error; the next request of the lane is another turn."""
    refusal = Reply(status=429, error_code="rate_limit_exceeded", error="Too much.")
    provider.script([Reply("Yes."), refusal, Reply("Yes.")])
    steps = [_asked("One?"), "response.completed", _asked("Two?"), "error", _asked("Three?"), "response.completed"]
    _session(provider, steps)
    outcomes = [(turn["otel_llm.stream.outcome"], turn.get("error.type")) for turn in _turns(instrumented)]
    assert outcomes == [("completed", None), ("error", "rate_limit_exceeded"), ("completed", None)]
    asked = [json.loads(turn["gen_ai.input.messages"])[0]["parts"][0]["content"] for turn in _turns(instrumented)]
    assert asked == ["One?", "Two?", "Three?"]
    assert instrumented.all()[1].status.status_code is StatusCode.ERROR


def test_a_response_that_is_steered(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What goes on by itself is a turn, whose input is what steered it."""

    def event(kind: str, id: str, **more: Any) -> dict[str, Any]:
        response = {"id": id, "object": "response", "model": "gpt-5-mini", "output": [], **more}
        return {"type": f"response.{kind}", "sequence_number": 0, "response": response}

    steered = {"incomplete_details": {"reason": "steered"}, "status": "incomplete"}
    after = {"previous_response_id": "resp_1", "status": "completed"}
    said = [event("created", "resp_1", status="in_progress"), event("incomplete", "resp_1", **steered)]
    said += [event("created", "resp_2", **after), event("completed", "resp_2", **after)]
    provider.script([Reply(body=json.dumps(said).encode(), delay=0.05)])
    steer: Step = ("send", {"event": {"type": "response.steer", "previous_response_id": "resp_1", "input": "Quick!"}})
    _session(provider, [_asked("Think."), steer, "response.completed"])
    first, second = _turns(instrumented)
    assert first["gen_ai.response.finish_reasons"] == ("steered",)
    assert second["gen_ai.request.previous_response.id"] == "resp_1"
    assert "Quick!" in second["gen_ai.input.messages"]


def test_what_the_caller_adds_later_was_not_sent(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The conversation goes on in the caller's own list while the answer comes."""
    provider.script([Reply("Yes.")])
    conversation: list[Any] = [{"role": "user", "content": "First."}]
    with openai.OpenAI(**options(provider)) as client, client.responses.connect() as connection:
        connection.response.create(model="gpt-5-mini", input=conversation)
        conversation.append({"role": "user", "content": "Later."})
        talk(connection, ["response.completed"])
    assert "Later." not in _turns(instrumented)[0]["gen_ai.input.messages"]


def test_lanes_of_the_sdk(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK's own helper receives JSON, which is read as well; it sends past every public method, unseen."""
    helper = pytest.importorskip("openai.lib.responses_websocket")
    provider.script([Reply("Yes.", usage=Usage(5, 2))])
    limits = helper.ResponsesWebSocketLimits(
        max_lanes=2, max_events_per_lane=99, max_events=99, max_bytes_per_lane=1 << 20, max_bytes=1 << 20
    )
    client = openai.OpenAI(**options(provider))
    with (
        client,
        client.responses.connect() as connection,
        helper.ResponsesWebSocketSession(connection, limits=limits) as s,
    ):
        lane = s.lane("talk")
        lane.send({"type": "response.create", "model": "gpt-5-mini", "input": "Yes?"})
        assert lane.get_final_response().output_text == "Yes."
    (turn,) = _turns(instrumented)
    assert turn["gen_ai.request.model"] == "gpt-5-mini"
    assert turn["gen_ai.usage.output_tokens"] == 2
    assert '"content":"Yes."' in turn["gen_ai.output.messages"]
    assert "gen_ai.input.messages" not in turn
