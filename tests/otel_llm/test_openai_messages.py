"""Every form of input and output of OpenAI's SDK as the conventions' messages, and odd objects in their place."""

from __future__ import annotations

import io
import json
import types
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai import pydantic_function_tool
from openai._models import construct_type
from openai.types.chat import ChatCompletion, ChatCompletionMessage
from openai.types.responses import Response, ResponseOutputItem
from pydantic import BaseModel

from otel_llm.messages import messages_json, texts
from otel_llm.providers import openai_items as items
from otel_llm.providers import openai_media_messages as media
from otel_llm.providers import openai_messages as m

PNG = "iVBORw0KGgo="
SHA = "4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6"
BLOB = {"type": "blob", "modality": "image", "mime_type": "image/png", "sha256": SHA, "size": 8}
TEXT = {"type": "text", "content": "hi"}


def _said(messages: Any) -> Any:
    return json.loads(messages_json(messages))


PARTS: list[tuple[Any, Any]] = [
    ("hi", TEXT),
    ({"type": "text", "text": "hi"}, TEXT),
    ({"type": "input_text", "text": "hi"}, TEXT),
    ({"type": "output_text", "text": "hi", "annotations": []}, TEXT),
    ({"type": "refusal", "refusal": "hi"}, TEXT),
    ({"type": "image_url", "image_url": {"url": "https://e.org/a.png", "detail": "low"}},
     {"type": "uri", "modality": "image", "uri": "https://e.org/a.png"}),
    ({"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}, BLOB),
    ({"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}, BLOB),
    ({"type": "input_image", "file_id": "file-1", "detail": "auto"},
     {"type": "file", "modality": "image", "file_id": "file-1"}),
    ({"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"}, BLOB),
    ({"type": "video_url", "video_url": {"url": "https://e.org/a.mp4"}},
     {"type": "uri", "modality": "video", "uri": "https://e.org/a.mp4"}),
    ({"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}},
     BLOB | {"modality": "audio", "mime_type": "audio/mp3"}),
    ({"type": "file", "file": {"file_id": "file-1"}}, {"type": "file", "modality": "document", "file_id": "file-1"}),
    ({"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}", "filename": "a.png"}}, BLOB),
    ({"type": "input_file", "file_data": PNG},
     BLOB | {"modality": "document", "mime_type": "application/octet-stream"}),
    ({"type": "input_file", "file_url": "https://e.org/a.pdf"},
     {"type": "uri", "modality": "document", "uri": "https://e.org/a.pdf"}),
    ({"type": "something_new", "secret": 1}, {"type": "something_new"}),
    ({"no": "type"}, {"type": "unknown"}),
]  # fmt: skip


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_parts_of_content(part: Any, expected: Any) -> None:
    """In a chat message as in an item; as dicts and as objects."""
    given = [part, types.SimpleNamespace(**part)] if isinstance(part, dict) else [part]
    for one in given:
        message = {"role": "user", "content": [one]}
        assert _said(m.chat({"messages": [message]}).messages) == [{"role": "user", "parts": [expected]}]
        assert _said(items.request({"input": [message]}).messages) == [{"role": "user", "parts": [expected]}]


CHAT: list[tuple[Any, Any]] = [
    ({"role": "user", "content": "hi", "name": "ada"}, {"role": "user", "parts": [TEXT], "name": "ada"}),
    ({"role": "user", "content": ("hi",)}, {"role": "user", "parts": [TEXT]}),
    ({"role": "user", "content": None}, {"role": "user", "parts": []}),
    ({"role": "assistant", "refusal": "hi"}, {"role": "assistant", "parts": [TEXT]}),
    ({"role": "assistant", "content": "hi", "reasoning_content": "hm"},
     {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, TEXT]}),
    (ChatCompletionMessage.model_validate({"role": "assistant", "content": "hi", "reasoning": "hm"}),
     {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, TEXT]}),
    ({"role": "assistant", "audio": {"id": "audio_1"}},
     {"role": "assistant", "parts": [{"type": "file", "modality": "audio", "file_id": "audio_1"}]}),
    (ChatCompletionMessage.model_validate({"role": "assistant", "content": None, "audio": {
        "id": "audio_1", "data": PNG, "transcript": "hi", "expires_at": 1}}),
     {"role": "assistant", "parts": [BLOB | {"modality": "audio", "mime_type": "audio/*"}, TEXT]}),
    ({"role": "assistant", "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "burn", "arguments": '{"what":"wax"}'}},
        {"id": "c2", "type": "function", "function": {"name": "burn", "arguments": "not JSON"}},
        {"id": "c3", "type": "custom", "custom": {"name": "type", "input": '{"as": "it is"}'}}]},
     {"role": "assistant", "parts": [
         {"type": "tool_call", "name": "burn", "arguments": {"what": "wax"}, "id": "c1"},
         {"type": "tool_call", "name": "burn", "arguments": "not JSON", "id": "c2"},
         {"type": "tool_call", "name": "type", "arguments": '{"as": "it is"}', "id": "c3"}]}),
    ({"role": "assistant", "function_call": {"name": "burn", "arguments": "{}"}},
     {"role": "assistant", "parts": [{"type": "tool_call", "name": "burn", "arguments": {}}]}),
    ({"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "burnt"}]},
     {"role": "tool", "parts": [{"type": "tool_call_response", "response": "burnt", "id": "c1"}]}),
    ({"role": "tool", "tool_call_id": "c1", "content": [
        {"type": "text", "text": "a"}, {"type": "text", "text": "b"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}]},
     {"role": "tool", "parts": [{"type": "tool_call_response", "response": ["a", "b"], "id": "c1"}, BLOB]}),
    ({"role": "function", "name": "burn", "content": "burnt"},
     {"role": "tool", "parts": [{"type": "tool_call_response", "response": "burnt", "id": "burn"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("message", "expected"), CHAT)
def test_chat_messages(message: Any, expected: Any) -> None:
    """Dicts and the SDK's own objects, as they were sent and as they came back."""
    assert _said(m.chat({"messages": [message]}).messages) == [expected]


@pytest.mark.parametrize("many", [list, tuple, deque, lambda given: dict(enumerate(given)).values()])
def test_any_collection_of_messages(many: Callable[[Any], Any]) -> None:
    """Whatever can be gone through twice."""
    assert texts(m.chat({"messages": many([{"role": "user", "content": "hi"}])}).messages) == ["hi"]


def test_several_choices() -> None:
    """A message for each, with its own reason."""
    choices = [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}},
        {"index": 1, "finish_reason": "content_filter", "message": {"role": "assistant", "content": None}},
    ]
    answer = ChatCompletion.model_validate(
        {"id": "c", "created": 1, "model": "m", "object": "chat.completion", "choices": choices}
    )
    assert _said(m.chat_output(answer)) == [
        {"role": "assistant", "parts": [TEXT], "finish_reason": "stop"},
        {"role": "assistant", "parts": [], "finish_reason": "content_filter"},
    ]


ITEMS: list[tuple[dict[str, Any], str, list[Any]]] = [
    (
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "burn", "arguments": "{}"}, "assistant",
        [{"type": "tool_call", "name": "burn", "arguments": {}, "id": "c1"}],
    ),
    (
        {"type": "function_call_output", "id": "o", "call_id": "c1", "output": [
            {"type": "input_text", "text": "burnt"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}]}, "tool",
        [{"type": "tool_call_response", "response": "burnt", "id": "c1"}, BLOB],
    ),
    (
        {"type": "custom_tool_call", "id": "ct_1", "call_id": "c1", "name": "type", "input": "{x}"}, "assistant",
        [{"type": "tool_call", "name": "type", "arguments": "{x}", "id": "c1"}],
    ),
    (
        {"type": "custom_tool_call_output", "id": "o", "call_id": "c1", "output": "typed"}, "tool",
        [{"type": "tool_call_response", "response": "typed", "id": "c1"}],
    ),
    (
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
         "content": [{"type": "reasoning_text", "text": "oh"}], "encrypted_content": "gAAAA"}, "assistant",
        [{"type": "reasoning", "content": "hm"}, {"type": "reasoning", "content": "oh"}],
    ),
    (
        {"type": "web_search_call", "id": "ws_1", "status": "completed",
         "action": {"type": "open_page", "url": "https://e.org"}}, "assistant",
        [{"type": "server_tool_call", "name": "web_search", "id": "ws_1", "server_tool_call":
            {"type": "web_search", "action": {"type": "open_page", "url": "https://e.org"}}}],
    ),
    (
        {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["hot"],
         "results": [{"file_id": "file-1", "score": 0.5}]}, "assistant",
        [{"type": "server_tool_call", "name": "file_search", "id": "fs_1",
          "server_tool_call": {"type": "file_search", "queries": ["hot"]}},
         {"type": "server_tool_call_response", "id": "fs_1", "server_tool_call_response":
            {"type": "file_search", "results": [{"file_id": "file-1", "score": 0.5}]}}],
    ),
    (
        {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1+1", "container_id": "c",
         "outputs": [{"type": "logs", "logs": "2"}, {"type": "image", "url": "https://e.org/a.png"}]}, "assistant",
        [{"type": "server_tool_call", "name": "code_interpreter", "id": "ci_1",
          "server_tool_call": {"type": "code_interpreter", "code": "1+1", "container_id": "c"}},
         {"type": "server_tool_call_response", "id": "ci_1",
          "server_tool_call_response": {"type": "code_interpreter", "logs": ["2"]}},
         {"type": "uri", "modality": "image", "uri": "https://e.org/a.png"}],
    ),
    (
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}, "assistant",
        [{"type": "server_tool_call", "name": "image_generation", "id": "ig_1",
          "server_tool_call": {"type": "image_generation"}},
         {"type": "server_tool_call_response", "id": "ig_1",
          "server_tool_call_response": {"type": "image_generation", "status": "completed"}}, BLOB],
    ),
    (
        {"type": "mcp_call", "id": "mcp_1", "name": "burn", "server_label": "forge", "arguments": '{"what":"wax"}',
         "output": "burnt", "error": None}, "assistant",
        [{"type": "server_tool_call", "name": "burn", "id": "mcp_1", "server_tool_call":
            {"type": "mcp", "server_label": "forge", "arguments": {"what": "wax"}}},
         {"type": "server_tool_call_response", "id": "mcp_1",
          "server_tool_call_response": {"type": "mcp", "output": "burnt"}}],
    ),
    (
        {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "forge",
         "tools": [{"name": "burn", "input_schema": {}}]}, "assistant",
        [{"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "forge", "tools": ["burn"]}],
    ),
    (
        {"type": "mcp_approval_request", "id": "mcpr_1", "name": "burn", "server_label": "forge",
         "arguments": "{}"}, "assistant",
        [{"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "forge", "name": "burn",
          "arguments": "{}"}],
    ),
    (
        {"type": "mcp_approval_response", "id": "mcpa_1", "approval_request_id": "mcpr_1", "approve": True}, "user",
        [{"type": "mcp_approval_response", "id": "mcpa_1", "approval_request_id": "mcpr_1", "approve": True}],
    ),
    (
        {"type": "computer_call", "id": "cu_1", "call_id": "c1", "status": "completed", "pending_safety_checks": [],
         "action": {"type": "screenshot"}}, "assistant",
        [{"type": "tool_call", "name": "computer", "arguments": {"action": {"type": "screenshot"}}, "id": "c1"}],
    ),
    (
        {"type": "computer_call_output", "id": "o", "call_id": "c1", "status": "completed",
         "output": {"type": "computer_screenshot", "image_url": f"data:image/png;base64,{PNG}"}}, "tool",
        [{"type": "tool_call_response", "response": [], "id": "c1"}, BLOB],
    ),
    (
        {"type": "local_shell_call", "id": "ls_1", "call_id": "c1", "status": "completed",
         "action": {"type": "exec", "command": ["ls"], "env": {}}}, "assistant",
        [{"type": "tool_call", "name": "local_shell",
          "arguments": {"action": {"type": "exec", "command": ["ls"], "env": {}}}, "id": "c1"}],
    ),
    (
        {"type": "local_shell_call_output", "id": "c1", "output": "a.txt"}, "tool",
        [{"type": "tool_call_response", "response": "a.txt", "id": "c1"}],
    ),
    (
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}, "assistant",
        [{"type": "compaction", "id": "cmp_1"}],
    ),
    ({"type": "item_reference", "id": "msg_1"}, "assistant", [{"type": "item_reference", "id": "msg_1"}]),
    ({"type": "something_new", "id": "x_1", "secret": 1}, "assistant", [{"type": "something_new", "id": "x_1"}]),
]  # fmt: skip


@pytest.mark.parametrize(("item", "role", "parts"), ITEMS, ids=[item["type"] for item, _, _ in ITEMS])
def test_items(item: dict[str, Any], role: str, parts: list[Any]) -> None:
    """What is sent as a dict and what comes back as an object say the same."""
    assert _said(items.request({"input": [item]}).messages) == [{"role": role, "parts": parts}]
    stored = items.stored({"items": [item]})
    assert _said(stored.messages) == [{"role": role, "parts": parts}]
    typed = construct_type(type_=ResponseOutputItem, value=item)
    answer = Response.construct(status="completed", output=[typed])
    (output,) = _said(items.output(answer))
    assert output["parts"] == parts


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ([{"type": "message"}], "stop"),
        ([{"type": "function_call", "call_id": "c1"}], "tool_call"),
        ([{"type": "computer_call", "call_id": "c1"}], "tool_call"),
        ([{"type": "mcp_approval_request"}], "tool_call"),
        ([{"type": "shell_call", "call_id": "c1"}, {"type": "shell_call_output", "call_id": "c1"}], "stop"),
        ([{"type": "web_search_call"}], "stop"),
        (None, "stop"),
    ],
)
def test_why_a_response_ended(output: Any, reason: str) -> None:
    """It waits for the application where a tool of the application's has no answer yet."""
    assert items.finish_reason({"status": "completed", "output": output}) == reason


def test_instructions_are_apart() -> None:
    """The parameter, then system and developer messages."""
    found = items.request(
        {"instructions": "one", "input": [{"role": "developer", "content": "two"}, {"role": "user", "content": "hi"}]}
    )
    assert (texts(found.instructions), texts(found.messages)) == (["one", "two"], ["hi"])


class Burn(BaseModel):
    """Burns something."""

    what: str


def test_tools_on_offer() -> None:
    """Functions in either API's form, custom ones, the provider's own by their kind or their server."""
    schema = {"type": "object"}
    tools = [
        {"type": "function", "function": {"name": "a", "description": "A.", "parameters": schema}},
        {"type": "function", "name": "b", "parameters": schema},
        {"type": "custom", "custom": {"name": "c"}},
        {"type": "web_search"},
        {"type": "mcp", "server_label": "forge"},
        pydantic_function_tool(Burn),
    ]
    found = m.tool_definitions({"tools": tools, "functions": [{"name": "old"}]})
    assert found is not None
    assert [(tool["type"], tool["name"]) for tool in found] == [
        ("function", "a"), ("function", "b"), ("custom", "c"), ("web_search", "web_search"), ("mcp", "forge"),
        ("function", "Burn"), ("function", "old"),
    ]  # fmt: skip
    assert found[0] == {"type": "function", "name": "a", "description": "A.", "parameters": schema}
    assert m.tool_definitions({"tools": iter(tools)}) is None


def test_files_are_not_read(tmp_path: Path) -> None:
    """What is bytes is digested; of what is a file only the name is known."""
    path = tmp_path / "flame.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with path.open("rb") as file:
        given = [b"\x89PNG\r\n\x1a\n", ("a.png", b"\x89PNG\r\n\x1a\n"), io.BytesIO(b"\x89PNG\r\n\x1a\n"), path, file]
        (message,) = _said(media.asked(image="image")({"prompt": "hi", "image": given}).messages)
        assert file.tell() == 0
    found = message["parts"]
    upload = {"type": "upload", "modality": "image", "mime_type": "image/png", "name": "flame.png"}
    assert found[0] == TEXT
    assert found[1] == BLOB | {"mime_type": "image/*"}
    assert found[2] == BLOB
    assert found[3] == BLOB | {"mime_type": "image/*"}
    assert found[4:] == [upload, upload]


class Raising:
    """An object that has an error for an attribute."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def _odd() -> list[Any]:
    cyclic: list[Any] = []
    cyclic.append(cyclic)
    looped: dict[str, Any] = {"type": "text"}
    looped["text"] = looped
    return [
        None, 0, -1.5, True, "", "x" * 100_000, b"bytes", object(), Raising(), Raising, cyclic, looped, [None], [[]],
        {}, {"type": None}, {"type": []}, {"type": {"a": 1}}, {"role": None}, {"role": 7, "content": 7}, {1: 2},
        {"text": Raising()}, {"type": "function_call", "arguments": Raising(), "name": 3}, float("nan"), "\ud800",
        {"type": "image_url", "image_url": 7}, {"type": "input_file", "file_data": 7}, iter([1]),
        {"type": "code_interpreter_call", "outputs": [None, 7, Raising()]}, (value for value in "ab"),
        {"type": "image_generation_call", "result": 7}, {"type": "reasoning", "summary": [None]},
        {"tool_calls": [None, Raising(), {"function": 7}]},
    ]  # fmt: skip


READERS: list[Callable[[Any], Any]] = [
    lambda odd: m.chat({"messages": odd}),
    lambda odd: m.chat({"messages": [odd, {"role": "user", "content": "hi"}]}),
    lambda odd: m.chat({"messages": [{"role": "user", "content": odd}]}),
    lambda odd: m.chat({"messages": [{"role": "assistant", "content": [odd], "tool_calls": odd, "audio": odd}]}),
    lambda odd: m.chat({"messages": [{"role": "tool", "content": odd, "tool_call_id": odd}]}),
    lambda odd: m.completions({"prompt": odd}),
    lambda odd: m.embeddings({"input": odd}),
    lambda odd: m.tool_definitions({"tools": odd}),
    lambda odd: m.tool_definitions({"tools": [odd, {"type": "function", "function": odd}]}),
    lambda odd: items.request({"input": odd, "instructions": odd}),
    lambda odd: items.request({"input": [odd, {"type": "message", "content": odd}]}),
    lambda odd: items.request({"input": [{"type": "function_call_output", "output": odd}]}),
    lambda odd: items.stored({"items": odd}),
    lambda odd: m.chat_output({"choices": [odd, {"message": odd}]}),
    lambda odd: m.completions_output({"choices": odd}),
    lambda odd: items.output({"status": "completed", "output": [odd]}),
    lambda odd: media.asked(image="image")({"prompt": odd, "image": odd}),
    lambda odd: media.asked(image="image")({"image": [odd]}),
    lambda odd: media.speech({"input": odd, "instructions": odd}),
    lambda odd: media.moderated({"input": odd}),
    lambda odd: media.images({"data": [odd], "output_format": "png"}),
    lambda odd: media.transcript({"text": odd}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(_odd())))
def test_odd_objects_are_no_obstacle(number: int) -> None:
    """No reader raises, and what is good beside them is read."""
    for read in READERS:
        read(_odd()[number])
    found = m.chat({"messages": [_odd()[number], {"role": "user", "content": "hi"}]})
    assert texts(found.messages)[-1] == "hi"
