"""What applications hand us of calls that no patch sees: every shape is read, and nothing odd harms anybody."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from google.genai import types
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

import otel_llm
from otel_llm import kinds
from tests.conftest import Spans

ANTHROPIC: dict[str, Any] = {
    "type": "message", "role": "assistant", "id": "msg_1", "model": "claude-sonnet-4-5-20250929",
    "content": [
        {"type": "thinking", "thinking": "Hm."},
        {"type": "text", "text": "A hot gas."},
        {"type": "tool_use", "id": "t1", "name": "burn", "input": {"what": "wood"}},
    ],
    "stop_reason": "tool_use",
    "usage": {
        "input_tokens": 60, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 10, "output_tokens": 50,
        "service_tier": "standard",
    },
}  # fmt: skip
OPENAI: dict[str, Any] = {
    "id": "chat_1", "object": "chat.completion", "created": 1, "model": "gpt-5-mini-2025-08-07",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "A hot gas."}}],
    "usage": {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40}, "completion_tokens_details": {"reasoning_tokens": 20},
    },
}  # fmt: skip
RESPONSES: dict[str, Any] = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5-mini", "status": "completed",
    "output": [
        {"type": "message", "id": "m", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "A hot gas.", "annotations": []}]},
    ],
    "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "usage": {
        "input_tokens": 100, "output_tokens": 50, "total_tokens": 150,
        "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 20},
    },
}  # fmt: skip
GEMINI: dict[str, Any] = {
    "candidates": [
        {"content": {"role": "model", "parts": [{"functionCall": {"name": "burn", "args": {"someThing": 1}}}]},
         "finishReason": "STOP"},
    ],
    "usageMetadata": {
        "promptTokenCount": 100, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "cachedContentTokenCount": 40,
        "totalTokenCount": 150,
    },
    "modelVersion": "gemini-2.5-flash", "responseId": "g_1",
}  # fmt: skip

TEXT = [{"type": "text", "content": "A hot gas."}]
READ = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 50, "gen_ai.usage.cache_read.input_tokens": 40}

ANSWERS: dict[str, tuple[Any, list[dict[str, Any]], str, dict[str, Any]]] = {
    "anthropic": (
        ANTHROPIC,
        [
            {"type": "reasoning", "content": "Hm."}, *TEXT,
            {"type": "tool_call", "name": "burn", "arguments": {"what": "wood"}, "id": "t1"},
        ],
        "tool_call",
        READ | {
            "gen_ai.usage.input_tokens": 110, "gen_ai.usage.cache_write.input_tokens": 10,
            "gen_ai.response.id": "msg_1", "gen_ai.response.model": "claude-sonnet-4-5-20250929",
        },
    ),
    "openai": (
        OPENAI, TEXT, "stop", READ | {"gen_ai.usage.reasoning.output_tokens": 20, "gen_ai.response.id": "chat_1"},
    ),
    "responses": (RESPONSES, TEXT, "stop", READ | {"gen_ai.response.status": "completed"}),
    "gemini": (
        GEMINI, [{"type": "tool_call", "name": "burn", "arguments": {"someThing": 1}}], "tool_call",
        READ | {"gen_ai.usage.reasoning.output_tokens": 20, "gen_ai.response.id": "g_1"},
    ),
}  # fmt: skip

OBJECTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "anthropic": lambda said: json.loads(json.dumps(said), object_hook=lambda fields: SimpleNamespace(**fields)),
    "openai": ChatCompletion.model_validate,
    "responses": Response.model_validate,
    "gemini": types.GenerateContentResponse.model_validate,
}


@pytest.mark.parametrize("form", ["json", "object"])
@pytest.mark.parametrize("shape", ANSWERS)
def test_answers_are_read(shape: str, form: str, instrumented: Spans) -> None:
    """The JSON of the three APIs and the objects of their SDKs: texts, usage, model, id, reasons."""
    answer, parts, reason, values = ANSWERS[shape]
    if form == "object":
        if shape == "anthropic":
            answer = {**answer, "content": answer["content"][:2]}  # its blocks' input stays a dictionary in its SDK
            parts = parts[:2]
        answer = OBJECTS[shape](answer)
    otel_llm.call(model="m", provider="p").start().complete(answer)
    said = instrumented.attributes()
    assert json.loads(said["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": parts, "finish_reason": reason}
    ]  # fmt: skip
    assert said["gen_ai.response.finish_reasons"] == (reason,)
    assert {name: said.get(name) for name in values} == values


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        (otel_llm.Usage(input=7), {"input_tokens": 7, "output_tokens": 0}),
        ({"input": 7, "cache_write": 2}, {"input_tokens": 7, "cache_write.input_tokens": 2}),
        (OPENAI["usage"], {"input_tokens": 100, "output_tokens": 50, "reasoning.output_tokens": 20}),
        (RESPONSES["usage"], {"input_tokens": 100, "output_tokens": 50, "cache_read.input_tokens": 40}),
        (ANTHROPIC["usage"], {"input_tokens": 110, "output_tokens": 50, "cache_write.input_tokens": 10}),
        (GEMINI["usageMetadata"], {"input_tokens": 100, "output_tokens": 50, "reasoning.output_tokens": 20}),
        ({"input_tokens": 7, "output_tokens": 1}, {"input_tokens": 7, "output_tokens": 1}),
        (SimpleNamespace(input_tokens=7, output_tokens=1), {"input_tokens": 7, "output_tokens": 1}),
    ],
    ids=str,
)
def test_usages_are_read(usage: Any, counted: dict[str, int], instrumented: Spans) -> None:
    """Ours, parts of ours, and every provider's."""
    otel_llm.call(model="m").start().complete(usage=usage)
    said = instrumented.attributes()
    assert {name: said.get(f"gen_ai.usage.{name}") for name in counted} == counted


def test_a_usage_that_is_given_wins_over_the_answers(instrumented: Spans) -> None:
    """Whole: no count of the other is left."""
    otel_llm.call(model="m").start().complete(OPENAI, usage={"input": 1, "output": 2}, response_id="mine")
    said = instrumented.attributes()
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.response.id"]) == (1, "mine")
    assert "gen_ai.usage.cache_read.input_tokens" not in said


INPUTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "text": ("Hi", [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}]),
    "texts": (["a", "b"], [{"role": "user", "parts": [{"type": "text", "content": text}]} for text in "ab"]),
    "openai": (
        [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "burn", "arguments": '{"a": 1}'}}]},
            {"role": "tool", "tool_call_id": "t1", "content": "done"},
        ],
        [
            {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "burn", "arguments": {"a": 1}, "id": "t1"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "done", "id": "t1"}]},
        ],
    ),
    "anthropic": (
        [
            {"role": "user", "content": [
                {"type": "text", "text": "Hi"},
                {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}},
                {"type": "document", "source": {"type": "text", "data": "Words.", "media_type": "text/plain"}},
                {"type": "document", "source": {"type": "file", "file_id": "f1"}},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "burn", "input": {"a": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "done"}]}]},
        ],
        [
            {"role": "user", "parts": [
                {"type": "text", "content": "Hi"},
                {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
                {"type": "text", "content": "Words."},
                {"type": "file", "modality": "document", "file_id": "f1"},
            ]},
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "burn", "arguments": {"a": 1}, "id": "t1"}]},
            {"role": "tool", "parts": [{"type": "tool_call_response", "response": "done", "id": "t1"}]},
        ],
    ),
    "gemini": (
        [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "burn", "args": {"someThing": 1}}}]},
        ],
        [
            {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "burn", "arguments": {"someThing": 1}}]},
        ],
    ),
    "conventions": (
        {"role": "user", "name": "ada", "parts": [{"type": "text", "content": "Hi"}, {"type": "generic", "x": 1}, 7]},
        [{"role": "user", "name": "ada", "parts": [
            {"type": "text", "content": "Hi"}, {"type": "generic", "x": 1}, {"type": "unreadable"}]}],
    ),
    "part": (
        {"type": "text", "text": "Hi"}, [{"role": "user", "parts": [{"type": "text", "content": "Hi"}]}],
    ),
    "anything": (
        {"question": 1}, [{"role": "user", "parts": [{"type": "text", "content": '{"question":1}'}]}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", INPUTS)
def test_inputs_are_read(shape: str, instrumented: Spans) -> None:
    """In every shape, and in what has none."""
    given, expected = INPUTS[shape]
    otel_llm.call(model="m", input=given).start().complete()
    assert json.loads(instrumented.attributes()["gen_ai.input.messages"]) == expected


def test_pictures_are_digests(instrumented: Spans) -> None:
    """In Anthropic's shape and in the conventions' own."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    blob = {"type": "blob", "mime_type": "image/png", "content": "AAAA"}
    otel_llm.call(model="m", input=[{"role": "user", "content": [image]}, {"role": "user", "parts": [blob]}]).start()
    first, second = json.loads(instrumented.attributes()["gen_ai.input.messages"])
    assert first == second
    assert (first["parts"][0]["size"], first["parts"][0]["modality"]) == (3, "image")


def test_instructions_are_apart(instrumented: Spans) -> None:
    """Those that are given apart come first, then those among the messages."""
    messages = [{"role": "system", "content": "Second."}, {"role": "user", "content": "Hi"}]
    otel_llm.call(model="m", system=["First.", {"type": "text", "text": "Really."}], input=messages).start().complete()
    said = instrumented.attributes()
    instructions = [part["content"] for part in json.loads(said["gen_ai.system_instructions"])]
    assert instructions == ["First.", "Really.", "Second."]
    assert len(json.loads(said["gen_ai.input.messages"])) == 1


def test_tools_are_defined(instrumented: Spans) -> None:
    """OpenAI's, Anthropic's, and Python's functions."""

    def weather(city: str) -> None:
        """The weather."""

    schema = {"type": "object"}
    tools = [
        {"type": "function", "function": {"name": "a", "parameters": schema}},
        {"name": "b", "description": "B.", "input_schema": schema},
        weather,
    ]
    otel_llm.call(model="m", tools=tools).start().complete()
    assert json.loads(instrumented.attributes()["gen_ai.tool.definitions"]) == [
        {"type": "function", "name": "a", "parameters": schema},
        {"type": "function", "name": "b", "description": "B.", "parameters": schema},
        {"type": "function", "name": "weather", "description": "The weather."},
    ]


@pytest.mark.parametrize("vectors", [[0.5, 0.5], [[0.5, 0.5]], {"data": [{"embedding": [0.5, 0.5]}]}], ids=str)
def test_vectors_are_counted_and_not_kept(vectors: Any, instrumented: Spans) -> None:
    """One, several, or a provider's answer."""
    kinds.embedding(model="e", input=["x"]).start().complete(vectors, usage={"input": 1, "output": 0})
    said = instrumented.attributes()
    assert said["gen_ai.embeddings.dimension.count"] == 2
    assert "gen_ai.output.messages" not in said


class Shy:
    """An object whose attributes cannot be asked for, and which cannot be printed."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


class Endless(list[Any]):
    """A list that is never gone through."""

    def __iter__(self) -> Any:
        raise RuntimeError("iter")


def _circle() -> dict[str, Any]:
    circle: dict[str, Any] = {"role": "user", "content": "x"}
    circle["self"] = circle
    circle["parts"] = [circle]
    return circle


ODD: list[Any] = [
    Shy(), _circle(), [_circle()], MagicMock(), [MagicMock()], Endless([1]), 7, -1, math.nan, math.inf, 1 << 70, True,
    "\ud800", "x" * 300_000, b"\xff", object(), lambda: 1, {7: 8}, {"role": Shy(), "content": Shy()}, [[[]]],
    {"parts": [None, {"type": None}]}, [{"role": "user", "content": [{"type": "tool_use"}, {"type": "image"}]}],
    {"candidates": 7, "usageMetadata": "x"}, {"choices": [None, 7]}, {"type": "message", "role": "assistant"},
    {"usage": {"input": Shy()}},
]  # fmt: skip
ASKED = ("model", "provider", "call_type", "input", "system", "tools", "parameters", "prompt", "parent")
SAID = (
    "usage", "cost", "currency", "response_model", "response_id", "finish_reasons", "intent", "confidence",
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_odd_objects_harm_nobody(odd: Any, instrumented: Spans, caplog: pytest.LogCaptureFixture) -> None:
    """In the place of every argument: the call is recorded, once, and its attributes can be exported."""
    recipe: dict[str, Any] = dict.fromkeys(ASKED, odd)
    answer: dict[str, Any] = dict.fromkeys(SAID, odd)
    made: list[Callable[[], Any]] = [
        *(lambda name=name: otel_llm.call(**{name: odd}).start().complete() for name in recipe),
        *(lambda name=name: otel_llm.call().start().complete(**{name: odd}) for name in answer),
        lambda: otel_llm.call(odd).start().complete(odd),
        lambda: otel_llm.call(links=odd, tags=odd, metadata=odd).start().complete(odd),
        lambda: otel_llm.call(**recipe).start().complete(odd, **answer),
        lambda: otel_llm.call(parameters={"temperature": odd, "stop": odd, "n": odd, "own": odd}).start().complete(),
        lambda: otel_llm.call().start().chunk(odd),
        lambda: kinds.tool(odd, odd, id=odd).start().complete(odd),
        lambda: kinds.rag_query(odd, top_k=odd, data_source=odd).start().complete(odd),
        lambda: kinds.agent(odd, input=odd).start().complete(odd),
        lambda: otel_llm.record_call(start=odd, end=odd, duration=odd, time_to_first_chunk=odd, output=odd),
        lambda: otel_llm.record_call(**recipe, **answer),
    ]
    with caplog.at_level(logging.ERROR):
        for make in made:
            make()
    spans = instrumented.all()
    assert len(spans) >= len(made) - 4
    for span in spans:
        for name, value in (span.attributes or {}).items():
            assert isinstance(name, str)
            assert isinstance(value, str | bool | int | float | tuple)
            if isinstance(value, str):
                assert value.encode("utf-8", "replace").decode() == value, name
        assert span.end_time is not None
        assert 0 <= (span.start_time or 0) <= span.end_time < 1 << 63
