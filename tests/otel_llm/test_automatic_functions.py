"""Python functions as Gemini's tools, which its SDK calls by itself: they work, and each request is counted or said."""

from __future__ import annotations

from typing import Any

import pytest

from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans


def _weather(city: str) -> str:
    """The weather of a city."""
    return f"Sunny in {city}."


CALLING = [
    Reply(tool_calls=[ToolCall("_weather", {"city": "Rome"})], usage=Usage(input=100, output=10)),
    Reply("Sunny.", usage=Usage(input=150, output=20)),
]


def test_functions_called_in_a_chat_are_calls_of_their_own(
    instrumented: Spans, gemini_client: Any, provider: ScriptedProvider
) -> None:
    """Each request of the chat is a span with its own usage."""
    provider.script(CALLING)
    chat = gemini_client.chats.create(model="gemini-2.5-flash", config={"tools": [_weather]})
    assert chat.send_message("How is Rome?").text == "Sunny."
    first, second = (span.attributes or {} for span in instrumented.all())
    assert (first["gen_ai.usage.input_tokens"], second["gen_ai.usage.input_tokens"]) == (100, 150)
    assert "Sunny in Rome." in str(second["gen_ai.input.messages"])
    assert {first["otel_llm.cost.status"], second["otel_llm.cost.status"]} == {"priced"}


@pytest.mark.parametrize("streamed", [False, True])
def test_functions_called_below_one_call_leave_its_cost_partial(
    streamed: bool, instrumented: Spans, gemini_client: Any, provider: ScriptedProvider
) -> None:
    """The SDK gives the usage of the last request only: the cost is not the whole of it, and says so."""
    provider.script(CALLING)
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "How is Rome?", "config": {"tools": [_weather]}}
    if streamed:
        answer = list(gemini_client.models.generate_content_stream(**asked))[-1]
    else:
        answer = gemini_client.models.generate_content(**asked)
    assert answer.text == "Sunny."
    assert len(provider.requests) == 2
    assert instrumented.attributes()["otel_llm.cost.status"] == "partial"
