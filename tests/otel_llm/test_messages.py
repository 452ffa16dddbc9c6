"""Every form of input that the SDKs take, as the conventions' messages."""

from __future__ import annotations

import hashlib
import json
from types import SimpleNamespace
from typing import Any

import pytest
from google.genai import types
from openai.types.chat import ChatCompletionMessage

from otel_llm.messages import messages_json, parts_json, texts, to_json
from otel_llm.providers import google_messages as google
from otel_llm.providers import openai_items
from otel_llm.providers import openai_messages as openai
from otel_llm.providers.google_tools import tool_definitions

PNG = b"\x89PNG\r\n\x1a\n"
SHA = "4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6"
BLOB = {"type": "blob", "modality": "image", "mime_type": "image/png", "sha256": SHA, "size": 8}

CHAT_FORMS: list[tuple[Any, Any]] = [
    ({"role": "user", "content": "hi"}, {"role": "user", "parts": [{"type": "text", "content": "hi"}]}),
    (
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://example.org/flame.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "file", "file": {"file_id": "file-1"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": "look"},
                {"type": "uri", "modality": "image", "uri": "https://example.org/flame.png"},
                BLOB,
                {"type": "file", "modality": "document", "file_id": "file-1"},
            ],
        },
    ),
    (
        ChatCompletionMessage.model_validate(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "burn", "arguments": '{"what": "wax"}'}}
                ],
            }
        ),
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "name": "burn", "arguments": {"what": "wax"}, "id": "c1"}],
        },
    ),
    (
        {"role": "tool", "tool_call_id": "c1", "content": "burnt"},
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": "burnt", "id": "c1"}]},
    ),
    ({"role": "assistant", "refusal": "no"}, {"role": "assistant", "parts": [{"type": "text", "content": "no"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), CHAT_FORMS)
def test_chat_messages(given: Any, expected: Any) -> None:
    """Dicts and the SDK's own objects, texts, pictures, files, tool calls and their results."""
    instructions, found = openai.chat({"messages": [given]})
    assert instructions == []
    assert json.loads(messages_json(found)) == [expected]


def test_chat_instructions_are_apart() -> None:
    """System and developer messages are instructions."""
    said = [{"role": role, "content": role} for role in ("system", "user", "developer")]
    instructions, messages = openai.chat({"messages": said})
    assert texts(instructions) == ["system", "developer"]
    assert texts(messages) == ["user"]


def test_an_iterator_of_messages_is_left_to_the_sdk() -> None:
    """What can be read only once is not read by us."""
    said = iter([{"role": "user", "content": "hi"}])
    assert openai.chat({"messages": said}) == ([], [])
    assert len(list(said)) == 1


RESPONSE_FORMS: list[tuple[Any, Any]] = [
    ("hi", {"role": "user", "parts": [{"type": "text", "content": "hi"}]}),
    (
        [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
    ),
    (
        [{"type": "function_call", "name": "burn", "arguments": "{}", "call_id": "c1"}],
        {"role": "assistant", "parts": [{"type": "tool_call", "name": "burn", "arguments": {}, "id": "c1"}]},
    ),
    (
        [{"type": "function_call_output", "output": "burnt", "call_id": "c1"}],
        {"role": "tool", "parts": [{"type": "tool_call_response", "response": "burnt", "id": "c1"}]},
    ),
    (
        [{"type": "reasoning", "summary": [{"text": "hot"}]}],
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "hot"}]},
    ),
    (
        [{"type": "item_reference", "id": "i1"}],
        {"role": "assistant", "parts": [{"type": "item_reference", "id": "i1"}]},
    ),
]


@pytest.mark.parametrize(("given", "expected"), RESPONSE_FORMS)
def test_responses_messages(given: Any, expected: Any) -> None:
    """A text or items of every kind."""
    assert openai_items.request({"input": given}) == ([], [expected])


TEXT = {"type": "text", "content": "hi"}
GEMINI_FORMS: list[tuple[Any, Any]] = [
    ("hi", [{"role": "user", "parts": [TEXT]}]),
    (["hi", "hi"], [{"role": "user", "parts": [TEXT, TEXT]}]),
    (types.Part(text="hi"), [{"role": "user", "parts": [TEXT]}]),
    ({"text": "hi"}, [{"role": "user", "parts": [TEXT]}]),
    (
        [types.Content(role="user", parts=[types.Part(text="hi")]), {"role": "model", "parts": [{"text": "hi"}]}],
        [{"role": "user", "parts": [TEXT]}, {"role": "assistant", "parts": [TEXT]}],
    ),
    (types.UserContent("hi"), [{"role": "user", "parts": [TEXT]}]),
    (
        ["hi", types.Part.from_bytes(data=PNG, mime_type="image/png")],
        [{"role": "user", "parts": [TEXT, BLOB]}],
    ),
    (
        {"parts": [{"inlineData": {"data": PNG, "mimeType": "image/png"}}]},
        [{"role": "user", "parts": [BLOB]}],
    ),
    (
        types.Part.from_uri(file_uri="gs://b/flame.png", mime_type="image/png"),
        [{"role": "user", "parts": [
            {"type": "uri", "modality": "image", "uri": "gs://b/flame.png", "mime_type": "image/png"}]}],
    ),
    (
        types.File(uri="https://files/1", mime_type="application/pdf"),
        [{"role": "user", "parts": [
            {"type": "uri", "modality": "document", "uri": "https://files/1", "mime_type": "application/pdf"}]}],
    ),
    (
        types.Part.from_function_call(name="burn", args={"what": "wax"}),
        [{"role": "user", "parts": [{"type": "tool_call", "name": "burn", "arguments": {"what": "wax"}}]}],
    ),
    (
        types.Part.from_function_response(name="burn", response={"result": "burnt"}),
        [{"role": "user", "parts": [{"type": "tool_call_response", "response": {"result": "burnt"}}]}],
    ),
    (types.Part(text="hm", thought=True), [{"role": "user", "parts": [{"type": "reasoning", "content": "hm"}]}]),
    ([["hi"], "hi"], [{"role": "user", "parts": [TEXT]}, {"role": "user", "parts": [TEXT]}]),
    (None, []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), GEMINI_FORMS)
def test_gemini_contents(given: Any, expected: Any) -> None:
    """Texts, parts, contents, files and bytes, typed or as dicts, alone or in lists."""
    assert json.loads(messages_json(google.messages(given))) == expected


def test_pictures_are_not_digested_unless_they_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at the texts of a message with a large picture costs nothing for the picture."""
    monkeypatch.setattr(hashlib, "sha256", None)
    found = google.messages(["look", types.Part.from_bytes(data=PNG, mime_type="image/png")])
    found += openai.chat({"messages": [CHAT_FORMS[1][0]]}).messages
    assert texts(found) == ["look", "look"]


def test_gemini_tools() -> None:
    """Declared functions, Python functions and built-in tools."""

    def burn(what: str) -> str:
        """Burn something."""
        return what

    declared = types.FunctionDeclaration(name="melt", description="Melt it.")
    tools = [burn, types.Tool(function_declarations=[declared]), types.Tool(google_search=types.GoogleSearch())]
    assert tool_definitions({"tools": tools}) == [
        {"type": "function", "name": "burn", "description": "Burn something."},
        {"type": "function", "name": "melt", "description": "Melt it."},
        {"type": "google_search", "name": "google_search"},
    ]


def test_json_is_valid_whatever_is_in_it() -> None:
    """Quotes, control characters, objects that are not JSON; bytes become their digest."""
    said = 'a "quote"\n\x00\u2028 ünïcode \\'
    found = json.loads(messages_json([{"role": "user", "parts": [{"type": "text", "content": said}]}]))
    assert found == [{"role": "user", "parts": [{"type": "text", "content": said}]}]
    odd = json.loads(to_json({"type": int, "bytes": PNG, "set": {1}, "model": types.Part(text="x")}))
    assert odd["type"] == "int"
    assert odd["bytes"]["sha256"] == SHA
    assert odd["set"] == [1]
    assert odd["model"] == {"text": "x"}
    assert json.loads(parts_json([{"type": "tool_call", "name": "x", "arguments": SimpleNamespace(a=1)}]))
