"""The scripted provider, seen through the real SDKs."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from otel_llm.testing import Reply, Request, ScriptedProvider, ToolCall, Usage
from tests.support.openai_sdk import CUT

MESSAGES: Any = [{"role": "user", "content": "What is a flame?"}]
FULL = Usage(input=100, output=50, cached=40, reasoning=20)
WEATHER: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


class Answer(BaseModel):
    topic: str
    sure: bool


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        yield client


@pytest.fixture
def gemini(provider: ScriptedProvider) -> Iterator[genai.Client]:
    with genai.Client(api_key="x", http_options=_options(provider)) as client:
        yield client


def _options(provider: ScriptedProvider, attempts: int = 3) -> types.HttpOptions:
    retry = types.HttpRetryOptions(attempts=attempts, initial_delay=0, jitter=0, max_delay=0)
    return types.HttpOptions(base_url=provider.gemini_base_url, retry_options=retry)


# OpenAI: chat completions ------------------------------------------------------------------------------------------
def test_chat_reports_every_kind_of_token(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply("A hot gas.", usage=FULL, model="gpt-5-mini-2025-08-07")])
    completion = client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES)
    assert completion.choices[0].message.content == "A hot gas."
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "gpt-5-mini-2025-08-07"
    usage = completion.usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.completion_tokens_details is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 50, 150)
    assert (usage.prompt_tokens_details.cached_tokens, usage.completion_tokens_details.reasoning_tokens) == (40, 20)
    assert completion._request_id == "req_000000000000000000000001"


def test_what_was_sent_is_recorded(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    client.chat.completions.create(model="gpt-5-mini", messages=MESSAGES, temperature=0.2)
    (request,) = provider.requests
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.body == {"model": "gpt-5-mini", "messages": MESSAGES, "temperature": 0.2}
    assert request.headers["authorization"] == "Bearer x"
    assert (request.operation, request.model, request.stream) == ("chat.completions", "gpt-5-mini", False)
    assert request.text == "What is a flame?"


def test_the_default_answer_is_the_same_each_time(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    first, second = (client.chat.completions.create(model="m", messages=MESSAGES) for _ in range(2))
    assert first.choices == second.choices
    assert first.usage == second.usage
    assert first.usage is not None
    assert first.usage.prompt_tokens == 4
    assert first.id != second.id


def test_chat_stream_ends_with_usage_only_when_asked(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script(lambda request: Reply("one two three four", usage=FULL, chunks=4))
    silent = list(client.chat.completions.create(model="m", messages=MESSAGES, stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in silent)
    with_usage = client.chat.completions.create(
        model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(with_usage)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three four"
    assert len(chunks) == 6
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.total_tokens == 150


def test_tool_calls_arrive_whole_from_deltas(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    reply = Reply(tool_calls=[ToolCall("weather", {"city": "Down"}, id="call_a"), ToolCall("weather", {"city": "Kew"})])
    provider.script(lambda request: reply)
    plain = client.chat.completions.create(model="m", messages=MESSAGES, tools=[WEATHER])
    with client.chat.completions.stream(model="m", messages=MESSAGES, tools=[WEATHER]) as stream:
        streamed = stream.get_final_completion()
    for completion in (plain, streamed):
        assert completion.choices[0].finish_reason == "tool_calls"
        calls = completion.choices[0].message.tool_calls
        assert calls is not None
        assert [(c.id, c.function.name, json.loads(c.function.arguments)) for c in calls if c.type == "function"] == [
            ("call_a", "weather", {"city": "Down"}),
            ("call_1", "weather", {"city": "Kew"}),
        ]


def test_refusals_and_filtered_answers(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script(
        [
            Reply(refusal="I cannot."),
            Reply(refusal="I cannot."),
            Reply("Half an", finish="blocked"),
            Reply("x", finish="length"),
        ]
    )
    assert client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.refusal == "I cannot."
    with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.refusal == "I cannot."
    for reason in ("content_filter", "length"):
        assert client.chat.completions.create(model="m", messages=MESSAGES).choices[0].finish_reason == reason


def test_a_prompt_that_is_blocked_is_an_error_400(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply(finish="prompt_blocked")])
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert caught.value.code == "invalid_prompt"


def test_structured_output_is_the_text_of_the_script(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script(lambda request: Reply('{"topic": "fire", "sure": true}'))
    expected = Answer(topic="fire", sure=True)
    parsed = client.chat.completions.parse(model="m", messages=MESSAGES, response_format=Answer)
    assert parsed.choices[0].message.parsed == expected
    assert client.responses.parse(model="m", input="?", text_format=Answer).output_parsed == expected


def test_openai_retries_429_and_500(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply(status=429, retry_after=0.001), Reply(status=500, retry_after=0.001), Reply("At last.")])
    assert client.chat.completions.create(model="m", messages=MESSAGES).choices[0].message.content == "At last."
    assert [request.headers["x-stainless-retry-count"] for request in provider.requests] == ["0", "1", "2"]


def test_openai_errors_carry_their_body(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply(status=401), Reply(status=429, error="Slow down.", retry_after=3)])
    with pytest.raises(openai.AuthenticationError) as unauthorized:
        client.chat.completions.create(model="m", messages=MESSAGES)
    assert unauthorized.value.code == "invalid_api_key"
    with pytest.raises(openai.RateLimitError) as limited:
        client.with_options(max_retries=0).responses.create(model="m", input="?")
    assert limited.value.response.headers["retry-after"] == "3"
    assert limited.value.body == {
        "message": "Slow down.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert limited.value.request_id == "req_000000000000000000000002"


@pytest.mark.parametrize(("failure", "error"), [("error", openai.APIError), ("cut", CUT)])
def test_a_chat_stream_fails_in_the_middle(
    provider: ScriptedProvider, client: openai.OpenAI, failure: Any, error: Any
) -> None:
    provider.script([Reply("one two", chunks=2, fail_after=2, failure=failure, error="Overloaded.")])
    stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    seen: list[str] = []

    def consume() -> None:
        seen.extend(chunk.choices[0].delta.content or "" for chunk in stream)

    with pytest.raises(error):
        consume()
    assert provider.requests[0].stream


def test_async_chat_plain_and_streamed(provider: ScriptedProvider) -> None:
    provider.script(lambda request: Reply("one two three", chunks=3, usage=FULL, chunk_delay=0.001))

    async def run() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            plain = await client.chat.completions.create(model="m", messages=MESSAGES)
            streamed = ""
            async for chunk in await client.chat.completions.create(model="m", messages=MESSAGES, stream=True):
                streamed += chunk.choices[0].delta.content or ""
            return plain.choices[0].message.content, streamed

    assert asyncio.run(run()) == ("one two three", "one two three")


# OpenAI: responses and embeddings ----------------------------------------------------------------------------------
def test_responses_plain(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply("Hot gas.", thinking="Candles.", tool_calls=[ToolCall("look", {"at": "wick"})], usage=FULL)])
    response = client.responses.create(model="gpt-5-mini", input="?", instructions="Be brief.")
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
    assert (response.output_text, response.status, response.instructions) == ("Hot gas.", "completed", "Be brief.")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (100, 50)
    assert response.usage.input_tokens_details.cached_tokens == 40
    assert response.usage.output_tokens_details.reasoning_tokens == 20


def test_responses_stream_is_the_full_sequence(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply("Hot gas.", thinking="Candles.", tool_calls=[ToolCall("look")], chunks=1, usage=FULL)])
    with client.responses.stream(model="m", input="?") as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert [event.type for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.output_text == "Hot gas."
    assert final.usage is not None
    assert final.usage.total_tokens == 150


def test_responses_that_are_incomplete_or_refused(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply("Half", finish="length"), Reply("Half", finish="blocked"), Reply(refusal="No.")])
    for reason in ("max_output_tokens", "content_filter"):
        *_, last = client.responses.create(model="m", input="?", stream=True)
        assert last.type == "response.incomplete"
        assert last.response.incomplete_details is not None
        assert last.response.incomplete_details.reason == reason
    types_seen = [event.type for event in client.responses.create(model="m", input="?", stream=True)]
    assert "response.refusal.done" in types_seen


def test_responses_that_fail_in_the_middle(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script(lambda request: Reply("Hot gas.", fail_after=3, failure="failed", error="Boom."))
    *_, last = client.responses.create(model="m", input="?", stream=True)
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert (last.response.error.message, last.response.status) == ("Boom.", "failed")
    provider.script(lambda request: Reply("Hot gas.", fail_after=3, error="Boom."))
    stream = client.responses.create(model="m", input="?", stream=True)
    with pytest.raises(openai.APIError, match="Boom"):
        list(stream)


def test_embeddings_in_both_encodings(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    texts = ["the candle burns in the flame", "a flame burns the candle", "four score and seven years"]
    packed = client.embeddings.create(model="text-embedding-3-small", input=texts)
    assert provider.requests[0].body["encoding_format"] == "base64"
    plain = client.embeddings.create(model="text-embedding-3-small", input=texts[0], encoding_format="float")
    assert len(plain.data[0].embedding) == 1536
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding)
    one, two, three = (item.embedding for item in packed.data)
    assert _dot(one, two) > 0.5 > _dot(one, three)
    assert packed.usage.prompt_tokens == packed.usage.total_tokens == 21
    short = client.embeddings.create(model="text-embedding-3-small", input="flame", dimensions=8)
    assert len(short.data[0].embedding) == 8


# Gemini ------------------------------------------------------------------------------------------------------------
def test_gemini_reports_every_kind_of_token(provider: ScriptedProvider, gemini: genai.Client) -> None:
    usage = Usage(
        input=110,
        output=50,
        cached=40,
        tool_use=10,
        reasoning=20,
        input_modalities={"text": 70, "audio": 30},
        output_modalities={"text": 30},
    )
    provider.script([Reply("Hot gas.", thinking="Candles.", usage=usage)])
    response = gemini.models.generate_content(model="gemini-2.5-flash", contents="?")
    assert (response.text, response.model_version, response.response_id) == (
        "Hot gas.",
        "gemini-2.5-flash",
        "gemini-00000001",
    )
    found = response.usage_metadata
    assert found is not None
    assert (found.prompt_token_count, found.candidates_token_count, found.total_token_count) == (100, 30, 160)
    assert (found.cached_content_token_count, found.thoughts_token_count, found.tool_use_prompt_token_count) == (
        40,
        20,
        10,
    )
    details = {d.modality: d.token_count for d in found.prompt_tokens_details or []}
    assert details == {types.MediaModality.TEXT: 70, types.MediaModality.AUDIO: 30}


def test_gemini_stream_counts_up_to_the_last_chunk(provider: ScriptedProvider, gemini: genai.Client) -> None:
    provider.script([Reply("one two three four", thinking="Hm.", chunks=4, usage=FULL)])
    chunks = list(gemini.models.generate_content_stream(model="gemini-2.5-flash", contents="?"))
    assert "".join(chunk.text or "" for chunk in chunks) == "one two three four"
    written = [chunk.usage_metadata.candidates_token_count for chunk in chunks if chunk.usage_metadata]
    assert written == [6, 12, 18, 24, 30]
    reasons = [chunk.candidates[0].finish_reason for chunk in chunks if chunk.candidates]
    assert reasons == [None] * 4 + [types.FinishReason.STOP]
    assert provider.requests[0].path.endswith(":streamGenerateContent?alt=sse")


def test_gemini_blocked_prompts_and_answers(provider: ScriptedProvider, gemini: genai.Client) -> None:
    blocked = Reply(finish="prompt_blocked", block_reason="PROHIBITED_CONTENT", usage=Usage(9))
    provider.script([blocked, blocked, Reply("Half", finish="blocked"), Reply("Half", finish="length")])
    plain = gemini.models.generate_content(model="m", contents="?")
    (streamed,) = gemini.models.generate_content_stream(model="m", contents="?")
    for response in (plain, streamed):
        assert response.candidates is None
        assert response.prompt_feedback is not None
        assert response.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT
        assert response.usage_metadata is not None
        assert (response.usage_metadata.prompt_token_count, response.usage_metadata.candidates_token_count) == (9, None)
    for reason in (types.FinishReason.SAFETY, types.FinishReason.MAX_TOKENS):
        response = gemini.models.generate_content(model="m", contents="?")
        assert response.candidates is not None
        assert response.candidates[0].finish_reason == reason


def test_gemini_calls_a_function_by_itself(provider: ScriptedProvider, gemini: genai.Client) -> None:
    def answer(request: Request) -> Reply:
        if "functionResponse" in str(request.body["contents"]):
            return Reply("It rains.")
        return Reply(tool_calls=[ToolCall("weather", {"city": "Down"})])

    asked: list[str] = []

    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "rain"

    provider.script(answer)
    config = types.GenerateContentConfig(tools=[weather])
    assert gemini.models.generate_content(model="m", contents="Weather?", config=config).text == "It rains."
    assert asked == ["Down"]
    assert len(provider.requests) == 2


def test_gemini_retries_and_errors(provider: ScriptedProvider, gemini: genai.Client) -> None:
    provider.script([Reply(status=429, retry_after=0.5), Reply(status=503), Reply("At last.")])
    assert gemini.models.generate_content(model="m", contents="?").text == "At last."
    provider.script([Reply(status=400, error="Bad field.")])
    with pytest.raises(errors.ClientError) as caught:
        gemini.models.generate_content(model="m", contents="?")
    assert (caught.value.code, caught.value.status, caught.value.message) == (400, "INVALID_ARGUMENT", "Bad field.")
    provider.script(lambda request: Reply(status=500))
    with pytest.raises(errors.ServerError):
        gemini.models.generate_content(model="m", contents="?")
    assert len(provider.requests) == 3 + 1 + 3


def test_a_gemini_stream_fails_in_the_middle(provider: ScriptedProvider, gemini: genai.Client) -> None:
    provider.script([Reply("one two", chunks=2, fail_after=1, error="Overloaded.")])
    stream = gemini.models.generate_content_stream(model="m", contents="?")
    first = next(stream)
    assert first.usage_metadata is not None
    with pytest.raises(errors.ServerError, match="Overloaded"):
        next(stream)


def test_gemini_chats_and_embeddings(provider: ScriptedProvider, gemini: genai.Client) -> None:
    chat = gemini.chats.create(model="gemini-2.5-flash")
    chat.send_message("First?")
    list(chat.send_message_stream("Second?"))
    assert [content["role"] for content in provider.requests[1].body["contents"]] == ["user", "model", "user"]
    config = types.EmbedContentConfig(output_dimensionality=16)
    response = gemini.models.embed_content(model="gemini-embedding-001", contents=["a flame", "a wick"], config=config)
    assert response.embeddings is not None
    assert [len(one.values or []) for one in response.embeddings] == [16, 16]
    assert response.usage_metadata is not None
    assert response.usage_metadata.prompt_token_count == 4
    provider.script([Reply(report_usage=False)])
    assert gemini.models.embed_content(model="gemini-embedding-001", contents="x").usage_metadata is None


def test_async_gemini(provider: ScriptedProvider) -> None:
    async def run() -> tuple[str | None, str]:
        async with genai.Client(api_key="x", http_options=_options(provider)).aio as client:
            plain = await client.models.generate_content(model="m", contents="?")
            streamed = ""
            async for chunk in await client.models.generate_content_stream(model="m", contents="?"):
                streamed += chunk.text or ""
            return plain.text, streamed

    plain, streamed = asyncio.run(run())
    assert plain == streamed == "This is a scripted answer of m to: ?"


# The server --------------------------------------------------------------------------------------------------------
def test_one_connection_serves_many_requests_and_many_threads(provider: ScriptedProvider) -> None:
    provider.script(lambda request: Reply(request.text, delay=0.001))
    wrong: list[str] = []

    def work(number: int) -> None:
        with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            for turn in range(5):
                question = f"{number}:{turn}"
                response = client.responses.create(model="m", input=question)
                if response.output_text != question:
                    wrong.append(question)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert sorted(request.number for request in provider.requests) == list(range(1, 41))


def test_what_is_not_served_is_said(provider: ScriptedProvider) -> None:
    assert _post(provider.openai_base_url + "/responses", b"{not json") == (400, "The body is not a JSON object.")
    assert _post(provider.url + "/v1/nothing", b"{}") == (404, "Unknown request: POST /v1/nothing")

    def broken(request: Request) -> Reply:
        raise KeyError("missing")

    provider.script(broken)
    assert _post(provider.openai_base_url + "/responses", b"{}") == (500, "The script raised KeyError: 'missing'")


def test_a_body_may_be_anything(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply(body=b"<html>bad gateway</html>", status=403)])
    with pytest.raises(openai.PermissionDeniedError):
        client.responses.create(model="m", input="?")


def test_reset_starts_again(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    client.responses.create(model="m", input="?")
    provider.reset([Reply("Second.")])
    assert client.responses.create(model="m", input="?").output_text == "Second."
    assert [request.number for request in provider.requests] == [1]


def test_it_must_run_and_can_be_stopped_twice() -> None:
    provider = ScriptedProvider()
    with pytest.raises(RuntimeError, match="not running"):
        _ = provider.url
    provider.start()
    provider.stop()
    provider.stop()


def test_stopping_cuts_the_connections_that_are_open(provider: ScriptedProvider, client: openai.OpenAI) -> None:
    provider.script([Reply("one two", chunks=2, chunk_delay=60)])
    stream = client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
    provider.stop()
    with pytest.raises(CUT):
        list(stream)


def _dot(one: list[float], two: list[float]) -> float:
    return sum(a * b for a, b in zip(one, two, strict=True))


def _post(url: str, body: bytes) -> tuple[int, str]:
    request = urllib.request.Request(url, data=body, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]["message"]
