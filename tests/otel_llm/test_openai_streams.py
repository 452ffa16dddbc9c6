"""OpenAI's streams that do not come to their end, and those whose pieces are odd: what came is what is recorded."""

from __future__ import annotations

import asyncio
import base64
import json
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk

from otel_llm.messages import messages_json
from otel_llm.providers.openai_agents import RunFold, SessionFold
from otel_llm.providers.openai_media_streams import ImageFold, TranscriptFold
from otel_llm.providers.openai_messages import chat_output
from otel_llm.providers.openai_responses import ENDPOINTS
from otel_llm.providers.openai_streams import ChatFold, CompletionFold, ResponseFold
from otel_llm.providers.openai_text import ENDPOINTS as CHAT
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.openai_sdk import Clients

OUTCOME, OUTPUT, TOKENS = "otel_llm.stream.outcome", "gen_ai.output.messages", "gen_ai.usage.output_tokens"
RESPONSE: dict[str, Any] = {"model": "gpt-5-mini", "input": "Why?", "stream": True}

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def _until(provider: ScriptedProvider, asynchronous: bool, path: str, kwargs: dict[str, Any], last: str) -> None:
    """Reads a stream until an event of a kind has come, and leaves it."""

    async def run() -> None:
        clients = Clients(provider, asynchronous)
        stream = await clients.call(path, **kwargs)
        items = clients.items(stream)
        async for event in items:
            if event.type == last:
                break
        else:
            raise AssertionError(f"no {last}")
        await items.aclose()
        await clients.result(stream.close())
        await clients.close()

    asyncio.run(run())


def _output(spans: Spans) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(spans.attributes()[OUTPUT])[0]["parts"]
    return found


@both
@pytest.mark.parametrize(
    ("reply", "last", "parts"),
    [
        (Reply("A very hot gas.", chunks=3), "response.output_text.delta", [{"type": "text", "content": "A ver"}]),
        (Reply(refusal="I will not.", chunks=2), "response.refusal.delta", [{"type": "text", "content": "I will"}]),
        (
            Reply(tool_calls=[ToolCall("burn", {"what": "wax"}, "c1")], chunks=2),
            "response.function_call_arguments.delta",
            [{"type": "tool_call", "name": "burn", "arguments": '{"what":', "id": "c1"}],
        ),
        (
            Reply("Hot.", thinking="Candles are hot.", chunks=2),
            "response.reasoning_summary_text.delta",
            [{"type": "reasoning", "content": "Candles "}],
        ),
        (
            Reply("A very hot gas.", thinking="Hm.", chunks=3),
            "response.output_text.delta",
            [{"type": "reasoning", "content": "Hm."}, {"type": "text", "content": "A ver"}],
        ),
        (
            Reply("A very hot gas.", chunks=3, items=[
                {"id": "ws_1", "type": "web_search_call", "status": "completed",
                 "action": {"type": "search", "query": "flames"}}]),
            "response.output_text.delta",
            [
                {"type": "server_tool_call", "name": "web_search", "id": "ws_1",
                 "server_tool_call": {"type": "web_search", "action": {"type": "search", "query": "flames"}}},
                {"type": "text", "content": "A ver"},
            ],
        ),
    ],
    ids=["text", "refusal", "arguments", "reasoning", "reasoning and text", "a tool of the provider's and text"],
)  # fmt: skip
def test_a_response_that_is_left_early(
    reply: Reply, last: str, parts: list[Any], asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """What had come of text, of a tool's arguments, of thoughts."""
    provider.script([reply])
    _until(provider, asynchronous, "responses.create", RESPONSE, last)
    found = instrumented.attributes()
    assert (found[OUTCOME], found["gen_ai.response.status"]) == ("closed_early", "in_progress")
    assert found["gen_ai.response.id"] == "resp_00000001"
    assert TOKENS not in found
    assert _output(instrumented) == parts


@both
def test_a_response_that_fails(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The stream came to its end, and the response did not."""
    provider.script([Reply("A very hot gas.", chunks=3, fail_after=5, failure="failed", error_code="server_error")])
    _until(provider, asynchronous, "responses.create", RESPONSE, "response.failed")
    span = instrumented.one()
    attributes = span.attributes or {}
    assert attributes["gen_ai.response.status"] == "failed"
    assert attributes["gen_ai.response.finish_reasons"] == ("error",)
    assert attributes["error.type"] == "server_error"
    assert not span.status.is_unset


@both
def test_an_error_in_place_of_an_event(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK raises it; the text so far is kept."""
    provider.script([Reply("A very hot gas.", chunks=3, fail_after=6, failure="error", error="Overloaded.")])
    with pytest.raises(openai.APIError, match="Overloaded"):
        _until(provider, asynchronous, "responses.create", RESPONSE, "response.completed")
    found = instrumented.attributes()
    assert (found[OUTCOME], found["error.type"]) == ("error", "openai.APIError")
    assert _output(instrumented)[0]["content"].startswith("A ver")


def test_an_error_event_without_an_error() -> None:
    """As the API describes it, which the SDK hands on as an event like others."""
    fold = ResponseFold()
    begun = SimpleNamespace(id="resp_1", status="in_progress", model="m")
    fold.add(SimpleNamespace(type="response.created", response=begun))
    fold.add(SimpleNamespace(type="error", code="server_error", message="No.", param=None))
    endpoint = next(endpoint for endpoint in ENDPOINTS if endpoint.method == "Responses.create")
    found = endpoint.read(fold.response())
    assert (found["gen_ai.response.status"], found["error.type"]) == ("failed", "server_error")


@both
@pytest.mark.parametrize(("partial", "size"), [(1, 16), (2, 16)])
def test_a_picture_that_is_left_early(
    partial: int, size: int, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The last sketch is what there is; no picture was made."""
    ask = {"model": "gpt-image-1", "prompt": "A flame", "stream": True, "partial_images": partial}
    _until(provider, asynchronous, "images.generate", ask, "image_generation.partial_image")
    found = instrumented.attributes()
    assert found["otel_llm.usage.images"] == 0
    assert TOKENS not in found
    (sketch,) = _output(instrumented)
    assert (sketch["modality"], sketch["size"]) == ("image", size)


@both
def test_a_transcript_that_is_left_early(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The words so far."""
    provider.script([Reply("A very hot gas.", chunks=3)])
    ask = {"model": "gpt-4o-transcribe", "file": ("flame.wav", b"RIFF"), "stream": True}
    _until(provider, asynchronous, "audio.transcriptions.create", ask, "transcript.text.delta")
    assert _output(instrumented) == [{"type": "text", "content": "A ver"}]


def test_segments_of_speakers() -> None:
    """A transcript that comes by speakers, until it is whole."""
    fold = TranscriptFold()
    for text in ("Hot.", "Very."):
        fold.add(SimpleNamespace(type="transcript.text.segment", text=text, speaker="A"))
    assert fold.response().text == "Hot. Very."
    fold.add(SimpleNamespace(type="transcript.text.done", text="Hot. Very.", usage=None))
    assert fold.response().text == "Hot. Very."


def test_pictures_that_come_one_after_the_other() -> None:
    """Each whole one counts, and the last sketch is not another."""
    fold = ImageFold()
    for kind in ("partial_image", "completed", "partial_image"):
        event = {"type": f"image_edit.{kind}", "b64_json": "AA==", "output_format": "webp"}
        fold.add(SimpleNamespace(**event, usage=SimpleNamespace(input_tokens=1) if kind == "completed" else None))
    found = fold.response()
    assert (found.made, len(found.data), found.output_format, found.usage.input_tokens) == (1, 2, "webp", 1)


@both
def test_a_legacy_completion_that_is_left_early(
    asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The text so far, of each choice."""
    provider.script([Reply("A very hot gas.", chunks=3)])

    async def run() -> None:
        clients = Clients(provider, asynchronous)
        stream = await clients.call("completions.create", model="gpt-3.5-turbo-instruct", prompt="A flame", stream=True)
        items = clients.items(stream)
        assert isinstance(await anext(items), Completion)
        await items.aclose()
        await clients.result(stream.close())
        await clients.close()

    asyncio.run(run())
    assert instrumented.attributes()[OUTCOME] == "closed_early"
    assert _output(instrumented) == [{"type": "text", "content": "A ver"}]


def _chunk(delta: dict[str, Any], **more: Any) -> ChatCompletionChunk:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    return ChatCompletionChunk.construct(id="c", model="m", object="chat.completion.chunk", created=1, choices=[choice])


def _folded(*chunks: ChatCompletionChunk) -> list[dict[str, Any]]:
    fold = ChatFold()
    for chunk in chunks:
        fold.add(chunk)
    parts: list[dict[str, Any]] = json.loads(messages_json(chat_output(fold.response())))[0]["parts"]
    return parts


def test_speech_comes_in_pieces_of_its_own_base64() -> None:
    """Their bytes are added up, not their letters."""
    pieces = [b"RI", b"FF\x10", b"\x00"]
    chunks = [_chunk({"role": "assistant", "audio": {"id": "audio_1", "transcript": "Hot"}})]
    chunks += [_chunk({"audio": {"data": base64.b64encode(piece).decode()}}) for piece in pieces]
    chunks.append(_chunk({"audio": {"transcript": " gas.", "expires_at": 1}}))
    speech, text = _folded(*chunks)
    assert (speech["type"], speech["modality"], speech["size"]) == ("blob", "audio", 6)
    assert text == {"type": "text", "content": "Hot gas."}


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_of_other_models(field: str) -> None:
    """DeepSeek's, vLLM's, OpenRouter's, Groq's."""
    found = _folded(_chunk({"role": "assistant", field: "It "}), _chunk({field: "burns."}), _chunk({"content": "Hot."}))
    assert found == [{"type": "reasoning", "content": "It burns."}, {"type": "text", "content": "Hot."}]


def test_a_function_in_the_old_form() -> None:
    """Before tools there were functions, one at a time."""
    found = _folded(
        _chunk({"function_call": {"name": "burn", "arguments": '{"what":'}}),
        _chunk({"function_call": {"arguments": '"wax"}'}}),
    )
    assert found == [{"type": "tool_call", "name": "burn", "arguments": {"what": "wax"}}]


def test_moderation_comes_in_a_chunk_of_its_own() -> None:
    """Between the text and the usage."""
    verdict = {"type": "moderation_results", "results": [{"flagged": False, "categories": {"hate": False}}]}
    moderated = ChatCompletionChunk.construct(
        id="c", model="m", choices=[], moderation={"input": verdict, "output": verdict}
    )
    fold = ChatFold()
    for chunk in (_chunk({"content": "Hot."}), moderated, _chunk({}, finish_reason="stop")):
        fold.add(chunk)
    endpoint = next(endpoint for endpoint in CHAT if endpoint.method == "Completions.create")
    assert endpoint.read(fold.response())["otel_llm.moderation.flagged"] is False


def test_whole_tool_calls_without_a_number() -> None:
    """As some servers send them: two of them are two."""
    calls = [
        {"id": id, "type": "function", "function": {"name": "burn", "arguments": f'{{"what":"{id}"}}'}} for id in "ab"
    ]
    found = _folded(_chunk({"tool_calls": [calls[0]]}), _chunk({"tool_calls": [calls[1]]}))
    assert [part["arguments"] for part in found] == [{"what": "a"}, {"what": "b"}]


def test_a_run_that_is_left_early() -> None:
    """The run as it was last, and what was said."""
    fold = RunFold()
    fold.add(SimpleNamespace(event="thread.run.created", data=SimpleNamespace(id="run_1", status="queued", model="m")))
    block = SimpleNamespace(type="text", text=SimpleNamespace(value="Hot"))
    delta = SimpleNamespace(delta=SimpleNamespace(content=[block]))
    fold.add(SimpleNamespace(event="thread.message.delta", data=delta))
    fold.add(SimpleNamespace(event="thread.run.step.created", data=SimpleNamespace(id="step_1")))
    found = fold.response()
    assert (found.id, found.status, found.text, found.usage) == ("run_1", "queued", "Hot", None)


def test_the_turns_of_a_session_add_up() -> None:
    """The usage of each turn counts once, and text that no item holds yet is kept."""
    fold = SessionFold()
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    for turn in ("one", "two", "two"):
        done = SimpleNamespace(agent_id="agent_1", status="completed", usage=usage)
        fold.add(SimpleNamespace(type="agent.session.turn.completed", turn_id=turn, turn=done))
    fold.add(SimpleNamespace(type="agent.session.turn.output_text.delta", delta="Ho"))
    found = fold.response()
    assert (found.usage.input_tokens, found.usage.total_tokens) == (6, 10)
    assert found.output[0].content[0].text == "Ho"


def test_completions_without_chunks_have_nothing_to_say() -> None:
    """A stream of no chunks at all is never folded; one without choices has none."""
    fold = CompletionFold()
    fold.add(Completion.construct(id="c", model="m", choices=[], usage=None, system_fingerprint=None))
    assert fold.response().choices == []


@both
def test_usage_is_that_of_the_last_chunk_that_has_it(
    asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Never a sum."""
    provider.script([Reply("A gas.", usage=Usage(input=10, output=5), chunks=2)])

    async def run() -> None:
        clients = Clients(provider, asynchronous)
        ask = {"model": "gpt-3.5-turbo-instruct", "prompt": "A flame", "stream": True}
        stream = await clients.call("completions.create", **ask, stream_options={"include_usage": True})
        assert [chunk async for chunk in clients.items(stream)]
        await clients.close()

    asyncio.run(run())
    assert instrumented.attributes()[TOKENS] == 5
