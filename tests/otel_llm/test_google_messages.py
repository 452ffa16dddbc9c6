"""Gemini's contents, parts, tools and interactions, in every form that the SDK takes, in the conventions' schema."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest
from google.genai import types

from otel_llm.flow import Patch
from otel_llm.messages import messages_json
from otel_llm.patches import STATE
from otel_llm.provider import Endpoint
from otel_llm.providers import google_messages as m
from otel_llm.providers import google_steps as s
from otel_llm.providers.google_content import ENDPOINTS as CONTENT
from otel_llm.providers.google_genai import GOOGLE_GENAI
from otel_llm.providers.google_interaction_streams import InteractionFold
from otel_llm.providers.google_interactions import ENDPOINTS as INTERACTIONS
from otel_llm.providers.google_tools import tool_definitions
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.google_sdk import has, needs, opened
from tests.support.google_tools import weather

PNG = b"\x89PNG\r\n\x1a\n"
BLOB = {
    "type": "blob", "modality": "image", "mime_type": "image/png", "sha256": hashlib.sha256(PNG).hexdigest(), "size": 8,
}  # fmt: skip
FILE = {"type": "uri", "modality": "document", "uri": "gs://bucket/a.pdf", "mime_type": "application/pdf"}


def _said(messages: Any) -> list[Any]:
    found: list[Any] = json.loads(messages_json(messages))
    return found


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}


def _user(*parts: Any) -> list[Any]:
    return [{"role": "user", "parts": list(parts)}]


class _Hostile:
    """An object whose every attribute is trouble."""

    def __repr__(self) -> str:  # every worker of pytest-xdist names the same tests
        return "hostile"

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class _Picture:
    """A picture as PIL makes it, with texts of its own."""

    format = "PNG"
    size = (1, 1)
    text = MappingProxyType({"Title": "a flame"})

    def tobytes(self) -> bytes:
        raise AssertionError("pictures are not encoded twice")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ("Hi", _user(_text("Hi"))),
        (["Hi", "there"], _user(_text("Hi"), _text("there"))),
        (types.Part(text="Hi"), _user(_text("Hi"))),
        ([types.Part(text="Hi"), {"text": "there"}], _user(_text("Hi"), _text("there"))),
        (types.Content(role="user", parts=[types.Part(text="Hi")]), _user(_text("Hi"))),
        ({"role": "user", "parts": [{"text": "Hi"}]}, _user(_text("Hi"))),
        ({"parts": {"text": "Hi"}}, _user(_text("Hi"))),
        ({"role": "user", "parts": ["Hi"]}, _user(_text("Hi"))),
        (
            [types.UserContent("Hi"), types.ModelContent("Yes?"), "So:", {"text": "burn"}],
            [*_user(_text("Hi")), {"role": "assistant", "parts": [_text("Yes?")]}, *_user(_text("So:"), _text("burn"))],
        ),
        ([["Hi", "there"], "you"], [*_user(_text("Hi"), _text("there")), *_user(_text("you"))]),
        (types.Part.from_bytes(data=PNG, mime_type="image/png"), _user(BLOB)),
        ({"inline_data": {"data": PNG, "mime_type": "image/png"}}, _user(BLOB)),
        ({"inlineData": {"data": base64.b64encode(PNG).decode(), "mimeType": "image/png"}}, _user(BLOB)),
        (types.Blob(data=PNG, mime_type="image/png"), _user(BLOB)),
        (types.Part.from_uri(file_uri="gs://bucket/a.pdf", mime_type="application/pdf"), _user(FILE)),
        ({"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}}, _user(FILE)),
        (types.File(uri="gs://bucket/a.pdf", mime_type="application/pdf", name="files/1"), _user(FILE)),
        (_Picture(), _user({"type": "blob", "modality": "image", "mime_type": "image/png"})),
        (
            types.Part.from_function_call(name="burn", args={"what": "wax"}),
            _user({"type": "tool_call", "name": "burn", "arguments": {"what": "wax"}}),
        ),
        (
            {"role": "model", "parts": [{"functionCall": {"name": "burn", "args": {}, "id": "c1"}}]},
            [{"role": "assistant", "parts": [{"type": "tool_call", "name": "burn", "arguments": {}, "id": "c1"}]}],
        ),
        (
            {"role": "user", "parts": [{"function_response": {"name": "burn", "response": {"result": "ash"}, "id": "c1",
             "parts": [{"inlineData": {"data": PNG, "mimeType": "image/png"}}]}}]},
            [{"role": "user", "parts": [
                {"type": "tool_call_response", "response": {"result": "ash"}, "id": "c1"}, BLOB]}],
        ),
        (
            types.Content(role="user", parts=[types.Part.from_function_response(name="burn", response={"result": 1})]),
            [{"role": "tool", "parts": [{"type": "tool_call_response", "response": {"result": 1}}]}],
        ),
        (
            [types.Part(executable_code=types.ExecutableCode(code="1+1", language="PYTHON"))],
            _user({"type": "server_tool_call", "name": "code_execution",
                   "server_tool_call": {"type": "code_execution", "code": "1+1", "language": "PYTHON"}}),
        ),
        (
            [types.Part(code_execution_result=types.CodeExecutionResult(outcome="OUTCOME_OK", output="2"))],
            _user({"type": "server_tool_call_response",
                   "server_tool_call_response": {"type": "code_execution", "outcome": "OUTCOME_OK", "output": "2"}}),
        ),
        (
            {"toolCall": {"toolType": "GOOGLE_SEARCH", "id": "t1", "args": {"q": "wax"}}},
            _user({"type": "server_tool_call", "name": "google_search", "id": "t1",
                   "server_tool_call": {"type": "google_search", "args": {"q": "wax"}}}),
        ),
        ({"text": "Hm.", "thought": True}, _user({"type": "reasoning", "content": "Hm."})),
        ({"thoughtSignature": b"x"}, _user({"type": "thought_signature"})),
        ({"audioTranscription": {"text": "Hi"}}, _user({"type": "transcription", "content": "Hi"})),
        ({"something": "new"}, _user({"type": "unknown"})),
        (7, _user({"type": "unknown"})),
        (["Hi", _Hostile(), "there"], _user(_text("Hi"), {"type": "unknown"}, _text("there"))),
        ([{"parts": [{"text": "Hi"}, _Hostile()]}], _user(_text("Hi"), {"type": "unknown"})),
    ],
)  # fmt: skip
def test_contents(given: Any, expected: list[Any]) -> None:
    assert _said(m.messages(given)) == expected


@pytest.mark.parametrize(
    "given",
    [
        "Be brief.",
        ["Be", "brief."],
        types.Part(text="Be brief."),
        types.Content(parts=[types.Part(text="Be brief.")]),
        {"parts": [{"text": "Be brief."}]},
        [types.Part(text="Be brief.")],
    ],
)
def test_system_instructions(given: Any) -> None:
    """In all their forms, by their name in Python or on the wire."""
    endpoint = CONTENT[0]
    for name in ("system_instruction", "systemInstruction"):
        instructions, _ = endpoint.messages(endpoint.params({"contents": "Hi", "config": {name: given}}))
        assert " ".join(part["content"] for item in instructions for part in item["parts"]) == "Be brief."
    typed = types.GenerateContentConfig(system_instruction=given)
    assert endpoint.messages(endpoint.params({"contents": "Hi", "config": typed})).instructions


def test_several_candidates_and_why_they_ended() -> None:
    answer = types.GenerateContentResponse(
        candidates=[
            types.Candidate(content=types.ModelContent("A"), finish_reason="STOP"),
            types.Candidate(content=types.ModelContent(types.Part.from_function_call(name="burn", args={})),
                            finish_reason="STOP"),
            types.Candidate(finish_reason="SAFETY"),
            types.Candidate(content=types.ModelContent("B"), finish_reason="MAX_TOKENS"),
            types.Candidate(content=types.ModelContent("C"), finish_reason="OTHER"),
            types.Candidate(content=types.ModelContent("D")),
        ]
    )  # fmt: skip
    reasons = ["stop", "tool_call", "content_filter", "length", "other", ""]
    assert [item["finish_reason"] for item in m.output(answer)] == reasons
    assert CONTENT[0].read(answer)["gen_ai.response.finish_reasons"] == reasons


def test_tools_in_every_form() -> None:
    """Python functions, typed tools, dicts by either name, MCP's tools and sessions; what is none of these is left."""
    schema = {"type": "object", "properties": {}}
    session = SimpleNamespace(call_tool=None)
    offered = [
        weather,
        types.Tool(function_declarations=[types.FunctionDeclaration(name="melt", description="Melt it.")]),
        {"functionDeclarations": [{"name": "burn", "parametersJsonSchema": schema}]},
        {"function_declarations": [{"name": "cool"}], "code_execution": {}},
        types.Tool(google_search=types.GoogleSearch()),
        {"googleSearch": {}},
        SimpleNamespace(name="mine", description="Mine it.", inputSchema=schema),
        session,
        {"mcpServers": [{"name": "forge"}]},
        _Hostile(),
        None,
    ]
    assert tool_definitions({"tools": offered}) == [
        {"type": "function", "name": "weather", "description": "The weather of a city."},
        {"type": "function", "name": "melt", "description": "Melt it."},
        {"type": "function", "name": "burn", "parameters": schema},
        {"type": "function", "name": "cool"},
        {"type": "code_execution", "name": "code_execution"},
        {"type": "google_search", "name": "google_search"},
        {"type": "googleSearch", "name": "googleSearch"},
        {"type": "function", "name": "mine", "description": "Mine it.", "parameters": schema},
        {"type": "mcp", "name": "mcp"},
        {"type": "mcp", "name": "forge"},
    ]
    assert tool_definitions({"tools": "odd"}) is None


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"response_mime_type": "application/json"}, "json"),
        ({"responseSchema": {"type": "STRING"}}, "json"),
        ({"response_json_schema": {"type": "string"}}, "json"),
        ({"response_modalities": ["TEXT", "IMAGE"]}, "image"),
        ({"response_modalities": ["AUDIO"]}, "speech"),
        ({"response_modalities": ["TEXT"]}, "text"),
        ({"response_mime_type": "text/plain"}, "text"),
        ({"temperature": 0}, None),
    ],
)
def test_the_form_asked_for(config: dict[str, Any], kind: str | None) -> None:
    endpoint = CONTENT[0]
    found = endpoint.details_of_request(endpoint.params({"config": config}))
    assert {attribute.name: value for attribute, value in found.items()}.get("gen_ai.output.type") == kind


# Interactions ----------------------------------------------------------------------------------------------------

CALL = {"type": "function_call", "id": "c1", "name": "burn", "arguments": {"what": "wax"}}
CALLED = {"type": "tool_call", "name": "burn", "arguments": {"what": "wax"}, "id": "c1"}
RESULT = {"type": "function_result", "call_id": "c1", "name": "burn", "result": "ash"}
PICTURE = {"type": "image", "data": base64.b64encode(PNG).decode(), "mime_type": "image/png"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, []),
        ("Hi", _user(_text("Hi"))),
        ({"type": "text", "text": "Hi"}, _user(_text("Hi"))),
        ([{"type": "text", "text": "Hi"}, PICTURE], _user(_text("Hi"), BLOB)),
        ([{"type": "document", "uri": "gs://bucket/a.pdf", "mime_type": "application/pdf"}], _user(FILE)),
        ([{"type": "user_input", "content": [{"type": "text", "text": "Hi"}]}], _user(_text("Hi"))),
        ([{"type": "user_input", "content": "Hi"}], _user(_text("Hi"))),
        ([{"role": "user", "content": "Hi"}, {"role": "model", "content": [{"type": "text", "text": "Yes?"}]}],
         [*_user(_text("Hi")), {"role": "assistant", "parts": [_text("Yes?")]}]),
        ([{"type": "model_output", "content": [{"type": "text", "text": "Yes?"}]}],
         [{"role": "assistant", "parts": [_text("Yes?")]}]),
        ([CALL, RESULT], [{"role": "assistant", "parts": [CALLED]},
         {"role": "tool", "parts": [{"type": "tool_call_response", "response": "ash", "id": "c1"}]}]),
        ([RESULT | {"result": [{"type": "text", "text": "ash"}, PICTURE]}], [{"role": "tool", "parts": [
            {"type": "tool_call_response", "response": "ash", "id": "c1"}, BLOB]}]),
        ([{"type": "thought", "summary": [{"type": "text", "text": "Hm."}]}],
         [{"role": "assistant", "parts": [{"type": "reasoning", "content": "Hm."}]}]),
        ([{"type": "mcp_server_tool_call", "id": "m1", "name": "burn", "server_name": "forge", "arguments": {}}],
         [{"role": "assistant", "parts": [{"type": "server_tool_call", "name": "burn", "id": "m1",
           "server_tool_call": {"type": "mcp_server_tool", "arguments": {}, "server_name": "forge"}}]}]),
        ([{"type": "code_execution_result", "call_id": "x1", "result": "2", "is_error": False}],
         [{"role": "assistant", "parts": [{"type": "server_tool_call_response", "id": "x1",
           "server_tool_call_response": {"type": "code_execution", "result": "2", "is_error": False}}]}]),
        ([{"type": "something_new"}], [{"role": "assistant", "parts": [{"type": "something_new"}]}]),
    ],
)  # fmt: skip
def test_input_of_interactions(given: Any, expected: list[Any]) -> None:
    assert _said(s.messages(given)) == expected


def test_a_step_that_cannot_be_read_costs_no_other() -> None:
    assert s.parts(_Hostile()) == [{"type": "unknown"}]


@needs("interactions.create")
@pytest.mark.filterwarnings("ignore:.*experimental.*")
def test_a_request_as_one_object(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Newer SDKs take the whole request as ``request=``."""
    if not has("interactions.with_raw_response") or not has("decisions.create"):
        pytest.skip("the installed google-genai takes no request=")
    body = {"model": "gemini-2.5-flash", "input": "A flame?", "system_instruction": "Be brief."}
    with opened(provider) as client:
        client.interactions.create(request={"body": body})
    attributes = instrumented.attributes()
    assert attributes["gen_ai.request.model"] == "gemini-2.5-flash"
    assert "A flame?" in attributes["gen_ai.input.messages"]
    assert "Be brief." in attributes["gen_ai.system_instructions"]


def _fold(*events: dict[str, Any]) -> Any:
    fold = InteractionFold()
    for event in events:
        fold.add(event)
    return fold.response()


def _delta(index: int, **delta: Any) -> dict[str, Any]:
    return {"event_type": "step.delta", "index": index, "delta": delta}


def test_steps_of_a_stream_are_made_of_their_pieces() -> None:
    """Texts, thoughts, arguments, pictures and sounds in pieces; and tools of the provider's, whole."""
    half = base64.b64encode(PNG[:6]).decode(), base64.b64encode(PNG[6:]).decode()
    answer = _fold(
        {"event_type": "interaction.created", "interaction": {"id": "i1", "model": "m", "status": "in_progress"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "thought"}},
        _delta(0, type="thought_summary", content={"type": "text", "text": "H"}),
        _delta(0, type="thought_summary", content={"type": "text", "text": "m."}),
        {"event_type": "step.start", "index": 1, "step": {"type": "google_search_call", "id": "s1", "arguments": {}}},
        _delta(1, type="google_search_call", arguments={"queries": ["wax"]}),
        {"event_type": "step.start", "index": 2, "step": {"type": "model_output"}},
        _delta(2, type="text", text="A "),
        _delta(2, type="text", text="flame"),
        _delta(2, type="image", data=half[0], mime_type="image/png"),
        _delta(2, type="image", data=half[1]),
        {"event_type": "step.start", "index": 3, "step": CALL | {"arguments": {}}},
        _delta(3, type="arguments_delta", arguments='{"what":'),
        _delta(3, type="arguments_delta", arguments='"wax"}'),
        {"event_type": "interaction.completed", "interaction": {"id": "i1", "model": "m", "status": "requires_action",
         "usage": {"total_input_tokens": 5}}},
    )  # fmt: skip
    assert _said(s.output(answer)) == [{"role": "assistant", "finish_reason": "tool_call", "parts": [
        {"type": "reasoning", "content": "Hm."},
        {"type": "server_tool_call", "name": "google_search", "id": "s1",
         "server_tool_call": {"type": "google_search", "arguments": {"queries": ["wax"]}}},
        _text("A flame"), BLOB, CALLED,
    ]}]  # fmt: skip
    assert INTERACTIONS[0].read(answer)["gen_ai.usage.input_tokens"] == 5


def test_an_interaction_that_is_continued_is_counted_whole() -> None:
    """Each further request says its own usage; they add up, and the texts follow one another."""

    def part(id: str, text: str, status: str) -> list[dict[str, Any]]:
        usage = {"total_input_tokens": 100, "total_output_tokens": 10, "input_tokens_by_modality": [
            {"modality": "text", "tokens": 100}]}  # fmt: skip
        about = {"id": id, "model": "m"}
        return [
            {"event_type": "interaction.created", "interaction": about | {"status": "in_progress"}},
            {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
            _delta(0, type="text", text=text),
            {"event_type": "interaction.completed", "interaction": about | {"status": status, "usage": usage}},
        ]

    answer = _fold(*part("i1", "A hot", "requires_continuation"), *part("i2", " gas.", "completed"))
    read = INTERACTIONS[0].read(answer)
    assert (read["gen_ai.usage.input_tokens"], read["gen_ai.usage.output_tokens"]) == (200, 20)
    assert (read["gen_ai.usage.text.input_tokens"], read["gen_ai.response.id"]) == (200, "i2")
    assert read["gen_ai.response.finish_reasons"] == ["stop"]
    assert [part["content"] for part in s.output(answer)[0]["parts"]] == ["A hot", " gas."]


def test_events_that_the_sdk_does_not_know_are_read_raw() -> None:
    told = {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": "Hi"}}
    answer = _fold({"event_type": "UNKNOWN", "raw": told}, {"event_type": "error", "error": {"code": "internal"}})
    assert [step["content"][0]["text"] for step in answer.steps] == ["Hi"]
    assert INTERACTIONS[0].read(answer)["error.type"] == "internal"


# Whatever comes --------------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    7,
    "odd",
    b"odd",
    [],
    {},
    [None],
    [7],
    {"parts": 7},
    {"role": 7, "content": 7},
    _Hostile(),
    object,
]
NAMES = (
    "contents", "config", "input", "tools", "prompt", "source", "image", "reference_images", "src", "operation", "name",
    "system_instruction", "questions", "request", "generation_config", "response_format", "service_tier",
    "http_options", "response_modalities", "candidate_count", "thinking_config",
)  # fmt: skip
FIELDS = (
    "candidates", "usage_metadata", "prompt_feedback", "embeddings", "generated_images", "generated_masks", "response",
    "dest", "completion_stats", "state", "error", "steps", "outputs", "usage", "answers", "tokens_info", "done", "name",
)  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_requests_and_answers_never_reach_the_caller(odd: Any, instrumented: Spans) -> None:
    """Nothing that is read of a request or of an answer raises out of the library."""
    scope = STATE.scope
    assert scope is not None
    resource = SimpleNamespace(_api_client=SimpleNamespace(_http_options={"base_url": "http://x"}, vertexai=False))
    answer = SimpleNamespace(**dict.fromkeys(FIELDS, odd))
    for endpoint in GOOGLE_GENAI.endpoints:
        for name in NAMES:
            patch = Patch(GOOGLE_GENAI, endpoint, lambda *args, **kwargs: answer, False)
            patch.scope = scope
            assert patch.method()(resource, **{"model": "m", name: odd}) is answer
        fold = endpoint.fold() if endpoint.fold is not None else None
        if fold is not None:
            with contextlib.suppress(Exception):  # as the stream does
                fold.add(answer)
            fold.response()


@pytest.mark.parametrize("odd", [None, 7, "odd", [None], {"a": 1}], ids=repr)
def test_odd_answers_are_read_as_far_as_they_go(odd: Any) -> None:
    """An answer with odd fields is no reason to lose the rest of it."""
    endpoint: Endpoint = CONTENT[0]
    read = endpoint.read(SimpleNamespace(response_id="r1", model_version="m", candidates=[], automatic=odd))
    assert (read["gen_ai.response.id"], read["gen_ai.response.model"]) == ("r1", "m")


def test_streamed_arguments_of_a_function(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A call whose arguments come in pieces is one call, with each argument in one piece."""
    if not has("FunctionCall.partial_args"):
        pytest.skip("the installed google-genai has no FunctionCall.partial_args")
    pieces = [
        {"name": "burn", "id": "c1", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.what", "stringValue": "w"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.what", "stringValue": "ax"}, {"jsonPath": "$.heat", "numberValue": 7}]},
    ]
    provider.script([Reply(items=[{"functionCall": piece} for piece in pieces], usage=Usage(1))])
    with opened(provider, "vertex") as client:
        list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="Burn it."))
    (said,) = json.loads(instrumented.attributes()["gen_ai.output.messages"])
    assert said["parts"] == [{"type": "tool_call", "name": "burn", "arguments": {"what": "wax", "heat": 7}, "id": "c1"}]
