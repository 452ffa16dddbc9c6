"""Requests, responses and errors that nobody wrote a reader for: the caller sees what it would have seen, one span."""

from __future__ import annotations

import asyncio
import logging
import pickle
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.trace import StatusCode
from pydantic import BaseModel, ValidationError

import otel_llm
from otel_llm.guardrails import PII
from otel_llm.testing import Reply, ScriptedProvider
from tests.conftest import Spans

SAID = [{"role": "user", "content": "What is a flame?"}]
CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": SAID}
SECRET = "Write to ada@example.org"


class Topic(BaseModel):
    """A structured answer."""

    topic: str


class Shy:
    """An object whose attributes cannot be asked for, and which cannot be printed."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


class Unspeakable(BaseException):
    """An error that has neither a status nor a text."""

    @property
    def status_code(self) -> int:
        """Fails."""
        raise RuntimeError("status_code")

    def __str__(self) -> str:
        raise RuntimeError("str")


def _circle() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    return circle


def _client(error: BaseException) -> openai.OpenAI:
    """A client below which the transport raises."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        raise error

    http_client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="x", http_client=http_client, max_retries=0)


async def _call_async(error: BaseException) -> None:
    async def answer(request: httpx2.Request) -> httpx2.Response:
        raise error

    http_client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    async with openai.AsyncOpenAI(api_key="x", http_client=http_client, max_retries=0) as client:
        with pytest.raises(type(error)) as caught:
            await client.chat.completions.create(**CHAT)
        assert caught.value is error
        assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.fixture
def guarded(spans: Spans) -> Spans:
    """Personal data is refused, content is not captured."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=False, guardrails=[PII(action="block")])
    return spans


@pytest.fixture(autouse=True)
def nothing_current() -> Any:
    """No call leaves its span current."""
    yield
    assert trace.get_current_span() is trace.INVALID_SPAN


# Errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyboardInterrupt("stop"), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit"),
        (GeneratorExit("closed"), "GeneratorExit"),
        (StopIteration("mine"), "StopIteration"),
        (StopAsyncIteration("mine"), "StopAsyncIteration"),
        (Unspeakable(), "tests.Unspeakable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_exception_is_the_callers_own(error: BaseException, kind: str, instrumented: Spans) -> None:
    """Whatever comes out of the SDK is raised as it is, with one span that names it."""
    with _client(error) as client, pytest.raises(type(error)) as caught:
        client.chat.completions.create(**CHAT)
    assert caught.value is error
    assert instrumented.attributes()["error.type"] == kind
    assert instrumented.one().status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("error", [asyncio.CancelledError("stop"), GeneratorExit("closed"), KeyboardInterrupt("stop")])
def test_every_exception_of_a_coroutine_is_the_callers_own(error: BaseException, instrumented: Spans) -> None:
    """The same, async, in one context from beginning to end."""
    asyncio.run(_call_async(error))
    assert instrumented.one().status.status_code is StatusCode.ERROR


@pytest.mark.parametrize("capture", [True, False])
def test_the_text_of_an_error_may_be_content(capture: bool, spans: Spans, openai_client: Any) -> None:
    """pydantic's errors quote the answer, providers the request: without content there is a code at most."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=capture)
    with ScriptedProvider([Reply(SECRET), Reply(status=429, error="slow down")]) as provider:
        client = openai_client.with_options(base_url=provider.openai_base_url)
        with pytest.raises(ValidationError, match=SECRET):
            client.chat.completions.parse(**CHAT, response_format=Topic)
        with pytest.raises(openai.RateLimitError):
            client.chat.completions.create(**CHAT)
    invalid, limited = spans.all()
    assert (SECRET in str(invalid.status.description)) is capture
    assert (SECRET in str(invalid.attributes)) is False
    assert str(invalid.status.description).startswith("ValidationError")
    said = "Error code: 429 - slow down" if capture else "rate_limit_exceeded"
    assert limited.status.description == f"RateLimitError: {said}"


def test_a_refusal_travels_between_processes(guarded: Spans, openai_client: Any) -> None:
    """A pool of processes pickles what its workers raise."""
    with pytest.raises(otel_llm.GuardrailBlocked) as caught:
        openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": SECRET}])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.stage, copy.rules, copy.call) == (
        "The request was refused by guardrail pii.", "input", ("pii",), caught.value.call,
    )  # fmt: skip


def test_lone_surrogates_do_not_reach_the_exporter(spans: Spans, openai_client: Any) -> None:
    """Half a character in a model's name or in a provider's error would cost the exporter the whole batch."""
    otel_llm.instrument(tracer_provider=spans.provider)
    with pytest.raises(UnicodeEncodeError):
        openai_client.chat.completions.create(model="gpt\udc80", messages=SAID)
    with _client(openai.OpenAIError("half \udc80")) as client, pytest.raises(openai.OpenAIError):
        client.chat.completions.create(**CHAT)
    assert len(encode_spans(spans.all()).SerializeToString()) > 100
    assert [span.name for span in spans.all()] == ["chat gpt?", "chat gpt-5-mini"]


# Requests -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "odd",
    [
        {"messages": [Shy()]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": _circle()}]},
        {"messages": [{"role": "tool", "tool_call_id": "1", "content": {(1, 2): 3}}]},
        {"messages": SAID, "response_format": Shy()},
        {"messages": SAID, "metadata": _circle()},
        {"messages": SAID, "service_tier": Shy(), "seed": Shy(), "temperature": Shy()},
    ],
    ids=["message", "circle", "keys", "format", "metadata", "parameters"],
)
def test_a_request_that_cannot_be_read_is_one_call(
    odd: dict[str, Any], instrumented: Spans, openai_client: Any
) -> None:
    """The SDK says what is wrong with it; the span has what could be read."""
    with pytest.raises((TypeError, ValueError)):
        openai_client.chat.completions.create(model="gpt-5-mini", top_p=0.5, **odd)
    assert instrumented.attributes()["gen_ai.request.top_p"] == 0.5
    assert instrumented.one().status.status_code is StatusCode.ERROR


def test_a_parameter_that_cannot_be_read_turns_no_policy_off(
    guarded: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """What cannot be read does not keep a guardrail from what can."""
    with pytest.raises(otel_llm.GuardrailBlocked):
        openai_client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": SECRET}], response_format=Shy()
        )
    assert provider.requests == []


def test_iterators_are_the_sdks(guarded: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
    """The SDK takes any iterable of parts or tool calls; it can be run through once, and not by us."""
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    calls = [{"id": "1", "type": "function", "function": {"name": "burn", "arguments": "{}"}}]
    openai_client.chat.completions.create(
        model="m",
        messages=(
            message
            for message in [
                {"role": "user", "content": iter(parts)},
                {"role": "assistant", "tool_calls": iter(calls)},
            ]
        ),
    )
    openai_client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": iter(parts)}, {"role": "assistant", "tool_calls": iter(calls)}]
    )
    whole = [{"role": "user", "content": parts}, {"role": "assistant", "tool_calls": calls}]
    assert [request.body["messages"] for request in provider.requests] == [whole, whole]


def test_what_was_sent_is_what_is_recorded(instrumented: Spans, openai_client: Any) -> None:
    """A chat's page appends the answer to its own list of messages while it streams in."""
    messages = [{"role": "user", "content": "What is a flame?"}]
    stream = openai_client.chat.completions.create(model="gpt-5-mini", messages=messages, stream=True)
    messages.append({"role": "assistant", "content": "A"})
    for chunk in stream:
        messages[-1]["content"] += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert instrumented.attributes()["gen_ai.input.messages"] == (
        '[{"role":"user","parts":[{"type":"text","content":"What is a flame?"}]}]'
    )


def test_a_config_may_be_written_as_on_the_wire(guarded: Spans, gemini_client: Any, provider: ScriptedProvider) -> None:
    """The SDK takes both spellings in a dict, and so do guardrails."""
    gemini_client.models.generate_content(
        model="gemini-2.5-flash", contents="hi", config={"maxOutputTokens": 5, "topP": 0.5}
    )
    found = guarded.attributes()
    assert (found["gen_ai.request.max_tokens"], found["gen_ai.request.top_p"]) == (5, 0.5)
    with pytest.raises(otel_llm.GuardrailBlocked, match="The request was refused"):
        gemini_client.models.generate_content(
            model="gemini-2.5-flash", contents="hi", config={"systemInstruction": SECRET}
        )
    assert len(provider.requests) == 1


def test_what_tools_gave_back_is_checked(guarded: Spans, openai_client: Any, gemini_client: Any) -> None:
    """All texts that are sent: a page that a tool has fetched is where an attack comes in."""
    answer = {"name": "fetch", "response": {"pages": [{"text": SECRET}]}}
    with pytest.raises(otel_llm.GuardrailBlocked, match="The request was refused"):
        gemini_client.models.generate_content(
            model="gemini-2.5-flash", contents=[{"role": "user", "parts": [{"function_response": answer}]}]
        )
    with pytest.raises(otel_llm.GuardrailBlocked, match="The request was refused"):
        openai_client.chat.completions.create(
            model="m", messages=[{"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": SECRET}]}]
        )
    with pytest.raises(otel_llm.GuardrailBlocked, match="The request was refused"):
        openai_client.responses.create(
            model="m", input=[{"type": "function_call_output", "call_id": "1", "output": SECRET}]
        )


# Responses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"null", b"[]", b'"<html>"', b"{}", b'{"choices":[{"message":null}]}', b'{"choices":[{"finish_reason":["x"]}]}'],
)
def test_a_response_that_cannot_be_read_is_one_call(
    body: bytes, instrumented: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """What a proxy answers, or another server: the SDK hands it on, and the call is recorded."""
    provider.script([Reply(body=body)] * 2)
    openai_client.chat.completions.create(**CHAT)
    openai_client.responses.create(model="gpt-5-mini", input="What is a flame?")
    said = ["What is a flame?" in str((span.attributes or {})["gen_ai.input.messages"]) for span in instrumented.all()]
    assert said == [True, True]


def test_a_raw_response_is_parsed_when_the_caller_parses(
    instrumented: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """``with_raw_response`` is for looking at what cannot be parsed."""
    provider.script([Reply(body=b"not JSON")])
    raw = openai_client.chat.completions.with_raw_response.create(**CHAT)
    with pytest.raises(ValueError, match="Expecting value"):
        raw.parse()
    assert instrumented.one().status.status_code is StatusCode.UNSET


def test_raw_streams_pass_through(instrumented: Spans, openai_client: Any, caplog: pytest.LogCaptureFixture) -> None:
    """What is received after the call returns is the caller's; the call is recorded without it, without complaint."""
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        assert list(openai_client.chat.completions.with_raw_response.create(**CHAT, stream=True).parse())
        with openai_client.chat.completions.with_streaming_response.create(**CHAT) as response:
            assert response.parse().choices
        with openai_client.chat.completions.with_streaming_response.create(**CHAT, stream=True) as response:
            assert list(response.parse())
    assert [span.name for span in instrumented.all()] == ["chat gpt-5-mini"] * 3
    assert caplog.records == []


def test_a_failed_response_is_an_error(instrumented: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
    """The Responses API answers 200 and says in the answer that it failed."""
    provider.script([Reply("one two three four", chunks=4, fail_after=5, failure="failed")])
    assert list(openai_client.responses.create(model="gpt-5-mini", input="hi", stream=True))
    assert instrumented.one().status.status_code is StatusCode.ERROR
    assert instrumented.attributes()["error.type"] == "server_error"


def test_chunks_may_lack_what_they_promise(instrumented: Spans, caplog: pytest.LogCaptureFixture) -> None:
    """Servers that speak OpenAI's protocol send chunks without choices, and choices without a delta."""
    events = [
        '{"choices":[{"index":0,"delta":{"content":"A gas."}}]}',
        '{"choices":[{"index":0,"delta":null,"finish_reason":"stop"}]}',
        '{"choices":null,"usage":{"prompt_tokens":3,"completion_tokens":2}}',
        "[DONE]",
    ]
    body = "".join(f"data: {event}\n\n" for event in events)
    answer = httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    http_client = httpx2.Client(transport=httpx2.MockTransport(lambda request: answer))
    with openai.OpenAI(api_key="x", http_client=http_client) as client:
        assert len(list(client.chat.completions.create(**CHAT, stream=True))) == 3
    found = instrumented.attributes()
    assert (found["gen_ai.response.finish_reasons"], found["gen_ai.usage.output_tokens"]) == (("stop",), 2)
    assert caplog.records == []
