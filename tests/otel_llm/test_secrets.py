"""A secret in every place that content can enter: with a redaction, or without content, nothing of it comes out.

Each place has a word of its own, so that a run without redaction shows that each is reached.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from google import genai
from google.genai import types
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pydantic import BaseModel

import otel_llm
from otel_llm import attributes as a
from otel_llm import config
from otel_llm.prompts import Prompt
from otel_llm.testing import Reply, ScriptedProvider, ToolCall
from tests.conftest import Spans
from tests.otel_llm.test_events import Logs

WORD = re.compile(r"zq7([a-z_]+)7qz")

REDACTED: dict[str, Any] = {"capture_content": "SPAN_AND_EVENT", "redact": lambda text: WORD.sub("***", text)}
NO_CONTENT: dict[str, Any] = {"capture_content": "NO_CONTENT"}
SHOWN: dict[str, Any] = {"capture_content": "SPAN_AND_EVENT"}


def word(place: str) -> str:
    """The secret of a place."""
    return f"zq7{place}7qz"


class Hook:
    """Keeps what it is called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def on_completion(self, **given: Any) -> None:
        """Called at the end of a call."""
        self.calls.append(given)


class Out:
    """Everything that leaves the process: spans, events, metrics, what the hook is called with, our own log lines."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.spans, self.logs, self.hook, self.reader = Spans(), Logs(), Hook(), InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self.caplog = caplog

    def instrument(self, *, hook: bool = True, **how: Any) -> None:
        """Everything on."""
        otel_llm.instrument(
            tracer_provider=self.spans.provider,
            logger_provider=self.logs.provider,
            meter_provider=self.meters,
            completion_hook=self.hook if hook else None,
            start_events=True,
            **how,
        )

    def places(self, *more: Any) -> set[str]:
        """The places whose secret came out."""
        said: list[Any] = [*more, self.caplog.text]
        for span in self.spans.all():
            said += [span.name, dict(span.attributes or {}), span.status.description, span.events]
        for data in self.logs.all():
            said += [data.log_record.body, dict(data.log_record.attributes or {})]
        metrics = self.reader.get_metrics_data()
        said.append(metrics.to_json() if metrics else "")
        for given in self.hook.calls:
            said.append({name: value for name, value in given.items() if name not in ("span", "log_record")})
        return set(WORD.findall(repr(said)))


@pytest.fixture
def out(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Out]:
    """Nothing has left yet; every fault is logged anew."""
    monkeypatch.setattr(config, "_said", set())
    with caplog.at_level(logging.DEBUG, logger="otel_llm"):
        yield Out(caplog)
    otel_llm.uninstrument()


def of(prefix: str, *places: str) -> dict[str, str]:
    """Secrets by place."""
    return {place: word(f"{prefix}_{place}") for place in places}


CHAT = of(
    "chat", "system", "user", "name", "part", "url", "file", "arguments", "broken", "key", "result", "described",
    "schema", "parameter", "stop", "metadata", "text", "called", "thinking",
)  # fmt: skip
RESPONSES = of(
    "responses", "instructions", "user", "arguments", "result", "described", "schema", "parameter", "text", "called",
    "thinking",
)  # fmt: skip
GEMINI = of(
    "gemini", "system", "user", "history", "file", "arguments", "result", "described", "schema", "stop", "text",
    "called", "thinking",
)  # fmt: skip


def chat_request() -> dict[str, Any]:
    """A chat with a secret wherever there may be one."""
    said = CHAT
    arguments = json.dumps({said["key"]: [said["arguments"]]})
    call = {"type": "function", "function": {"name": "f", "arguments": arguments}}
    broken = {"type": "function", "function": {"name": "f", "arguments": '{"half": "' + said["broken"]}}
    text = base64.b64encode(said["file"].encode()).decode()
    return {
        "model": "m",
        "messages": [
            {"role": "system", "content": said["system"]},
            {"role": "user", "content": said["user"], "name": said["name"]},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": said["part"]},
                    {"type": "image_url", "image_url": {"url": f"https://example.org/?key={said['url']}"}},
                    {"type": "file", "file": {"file_data": f"data:text/plain;base64,{text}"}},
                ],
            },
            {"role": "assistant", "tool_calls": [{"id": "c1", **call}, {"id": "c2", **broken}]},
            {"role": "tool", "tool_call_id": "c1", "content": said["result"]},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": said["described"],
                    "parameters": {"type": "object", "properties": {said["schema"]: {"type": "string"}}},
                },
            }
        ],
        "prompt_cache_key": said["parameter"],
        "stop": [said["stop"]],
        "metadata": {"k": said["metadata"]},
    }


def responses_request() -> dict[str, Any]:
    """The same of the Responses API."""
    said = RESPONSES
    return {
        "model": "m",
        "instructions": said["instructions"],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": said["user"]}]},
            {
                "type": "function_call",
                "call_id": "c1",
                "name": "f",
                "arguments": json.dumps({"a": said["arguments"]}),
            },
            {"type": "function_call_output", "call_id": "c1", "output": said["result"]},
        ],
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": said["described"],
                "parameters": {"type": "object", "properties": {"a": {"enum": [said["schema"]]}}},
            }
        ],
        "prompt_cache_key": said["parameter"],
    }


def gemini_request() -> dict[str, Any]:
    """The same of Gemini."""
    said = GEMINI
    return {
        "model": "m",
        "contents": [
            said["user"],
            types.Content(role="model", parts=[types.Part(text=said["history"])]),
            types.Part.from_bytes(data=said["file"].encode(), mime_type="text/plain"),
            types.Content(
                role="model", parts=[types.Part.from_function_call(name="f", args={"a": {"b": said["arguments"]}})]
            ),
            types.Content(
                role="user", parts=[types.Part.from_function_response(name="f", response={"r": said["result"]})]
            ),
        ],
        "config": {
            "system_instruction": said["system"],
            "tools": [
                {
                    "function_declarations": [
                        {
                            "name": "f",
                            "description": said["described"],
                            "parameters": {"type": "OBJECT", "properties": {said["schema"]: {"type": "STRING"}}},
                        }
                    ]
                }
            ],
            "automatic_function_calling": {"disable": True},
            "stop_sequences": [said["stop"]],
        },
    }


def replies() -> list[Reply]:
    """Answers that have it too, in pieces where they are streamed."""
    return [
        Reply(
            said["text"],
            tool_calls=[ToolCall("f", {"a": said["called"]}, "c9")],
            thinking=said["thinking"],
            chunks=9,
        )
        for said in (CHAT, RESPONSES, GEMINI)
    ]


def everything(provider: ScriptedProvider, stream: bool) -> None:
    """A call of each API, sync."""
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client:
        for create, request in (
            (client.chat.completions.create, chat_request()),
            (client.responses.create, responses_request()),
        ):
            found: Any = create(**request, stream=stream)
            if stream:
                list(found)
    with genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}) as google:
        if stream:
            list(google.models.generate_content_stream(**gemini_request()))
        else:
            google.models.generate_content(**gemini_request())


async def everything_async(provider: ScriptedProvider, stream: bool) -> None:
    """The same, async."""
    async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client:
        for create, request in (
            (client.chat.completions.create, chat_request()),
            (client.responses.create, responses_request()),
        ):
            found: Any = await create(**request, stream=stream)
            if stream:
                async for _ in found:
                    pass
    google = genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url})
    if stream:
        async for _ in await google.aio.models.generate_content_stream(**gemini_request()):
            pass
    else:
        await google.aio.models.generate_content(**gemini_request())
    await google.aio.aclose()


ALL = {match for said in (CHAT, RESPONSES, GEMINI) for text in said.values() for match in WORD.findall(text)}


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(("how", "expected"), [(SHOWN, ALL), (REDACTED, set()), (NO_CONTENT, set())],
                         ids=["shown", "redacted", "no content"])  # fmt: skip
def test_requests_and_answers(
    how: dict[str, Any], expected: set[str], asynchronous: bool, stream: bool, out: Out, provider: ScriptedProvider
) -> None:
    """Messages of all roles, arguments and results, definitions, instructions, parameters, answers, thoughts."""
    out.instrument(hook=how is not NO_CONTENT, **how)
    provider.script(replies())
    if asynchronous:
        asyncio.run(everything_async(provider, stream))
    else:
        everything(provider, stream)
    found = out.places()
    if how is NO_CONTENT:  # of which stop sequences are no part: the conventions have them for every call
        found -= {"chat_stop", "gemini_stop"}
    assert found == expected


def _quoting(prefix: str) -> list[Reply]:
    """Errors that quote what was sent: refused, failed, and in the middle of a stream."""
    return [
        Reply(status=400, error=f"invalid value: {word(f'{prefix}_refused')}"),
        Reply(status=500, error=f"cannot process {word(f'{prefix}_failed')}"),
        Reply(word(f"{prefix}_begun"), error=word(f"{prefix}_broken_off"), chunks=1, fail_after=3),
    ]


@pytest.mark.parametrize("how", [SHOWN, REDACTED, NO_CONTENT], ids=["shown", "redacted", "no content"])
def test_errors(
    how: dict[str, Any], out: Out, provider: ScriptedProvider, openai_client: Any, gemini_client: Any
) -> None:
    """What providers quote, and what pydantic does; the application's own log lines are its own."""

    class Topic(BaseModel):
        topic: int

    out.instrument(hook=how is not NO_CONTENT, **how)
    chat: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    gemini: dict[str, Any] = {"model": "m", "contents": "hi"}
    calls: list[tuple[list[Reply], list[Callable[[], Any]]]] = [
        (
            _quoting("chat"),
            [lambda: openai_client.chat.completions.create(**chat)] * 2
            + [lambda: list(openai_client.chat.completions.create(**chat, stream=True))],
        ),
        (
            _quoting("responses"),
            [lambda: openai_client.responses.create(model="m", input="hi")] * 2
            + [lambda: list(openai_client.responses.create(model="m", input="hi", stream=True))],
        ),
        (
            _quoting("gemini"),
            [lambda: gemini_client.models.generate_content(**gemini)] * 2
            + [lambda: list(gemini_client.models.generate_content_stream(**gemini))],
        ),
        (
            [Reply(json.dumps({"topic": word("parsed")}))],
            [lambda: openai_client.chat.completions.parse(**chat, response_format=Topic)],
        ),
    ]
    for answers, asked in calls:
        provider.script(answers)
        for ask in asked:
            with pytest.raises(Exception, match=r"zq7|cut|Error|error"):
                ask()
    found = out.places()
    if how is SHOWN:
        assert {"parsed"} | {
            f"{sdk}_{what}" for sdk in ("chat", "responses", "gemini") for what in ("refused", "failed")
        } <= found
    else:
        assert found == set()


@pytest.mark.parametrize("how", [SHOWN, REDACTED, NO_CONTENT], ids=["shown", "redacted", "no content"])
def test_other_operations_and_tools(
    how: dict[str, Any], out: Out, provider: ScriptedProvider, openai_client: Any, gemini_client: Any
) -> None:
    """Embeddings, legacy completions, speech, functions that the SDK runs, and what they raise."""

    def look(what: str) -> str:
        """zq7docstring7qz"""
        return word("returned")

    def fail(what: str) -> str:
        """Fails."""
        raise ValueError(word("raised"))

    out.instrument(hook=how is not NO_CONTENT, **how)
    openai_client.embeddings.create(model="m", input=[word("embedded")])
    gemini_client.models.embed_content(model="m", contents=word("embedded_too"))
    openai_client.completions.create(model="m", prompt=word("prompt"), suffix=word("suffix"))
    openai_client.audio.speech.create(model="m", voice="alloy", input=word("spoken"), instructions=word("manner"))
    openai_client.images.generate(model="m", prompt=word("drawn"))
    openai_client.moderations.create(model="m", input=word("judged"))
    provider.script(
        [
            Reply(tool_calls=[ToolCall("look", {"what": word("looked")}), ToolCall("fail", {"what": word("failing")})]),
            Reply("done"),
        ]
    )
    gemini_client.models.generate_content(model="m", contents="hi", config={"tools": [look, fail]})
    found = out.places()
    if how is SHOWN:
        assert found >= {
            "embedded", "embedded_too", "prompt", "suffix", "spoken", "manner", "drawn", "judged", "docstring",
            "returned", "raised", "looked", "failing",
        }  # fmt: skip
    else:  # the conventions describe a tool that is run, whatever is captured
        assert found == ({"docstring"} if how is NO_CONTENT else set())


@pytest.mark.parametrize("how", [SHOWN, REDACTED, NO_CONTENT], ids=["shown", "redacted", "no content"])
def test_what_the_application_says(how: dict[str, Any], out: Out, openai_client: Any) -> None:
    """Prompts and their variables, metadata and tags, calls that it records itself."""
    out.instrument(hook=how is not NO_CONTENT, **how)
    text = Prompt("p", "Tell me of {{ who }}, at length and with all that there is to know.").render(
        who=word("variable")
    )
    with otel_llm.context(metadata={"note": word("note")}, tags=[word("tag")]):
        openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
    with otel_llm.call(
        model="m",
        provider="local",
        input=word("manual_input"),
        system=word("manual_system"),
        tools=[{"type": "function", "name": "f", "description": word("manual_tool")}],
        parameters={"style": word("manual_parameter")},
    ) as call:
        call.complete(word("manual_output"))
    otel_llm.call(model="m", input="hi").start().fail(ValueError(word("manual_error")))
    otel_llm.call(model="m", input="hi").start().fail(word("manual_words"))
    otel_llm.record_call(model="m", input=word("late_input"), output=word("late_output"))
    with otel_llm.kinds.tool("f", arguments={"a": word("tool_arguments")}) as tool:
        tool.complete({"r": word("tool_result")})
    found = out.places()
    own = {"note", "tag", "manual_words"}  # said for telemetry, and recorded whatever is captured
    if how is SHOWN:
        assert found == own | {
            "variable", "manual_input", "manual_system", "manual_tool", "manual_parameter", "manual_output",
            "manual_error", "late_input", "late_output", "tool_arguments", "tool_result",
        }  # fmt: skip
    else:
        assert found == (own if how is NO_CONTENT else set())


class Failing:
    """An interceptor that says what it saw when it fails."""

    policy = True

    def before(self, call: Any) -> None:
        """Fails."""
        raise RuntimeError(call.input_texts())

    def after(self, call: Any) -> None:
        """Fails."""
        raise RuntimeError(call.output_texts())


class FailingHook:
    """A hook that says what it was given when it fails."""

    def on_completion(self, **given: Any) -> None:
        """Fails."""
        raise RuntimeError(str(given))


def quoting(text: str) -> str:
    """A redaction that fails on what it was to redact."""
    raise ValueError(f"cannot redact {text}")


def test_our_own_log_lines(out: Out, provider: ScriptedProvider) -> None:
    """Everything of ours fails and quotes what it saw: the log says where and what kind, and nothing else."""
    otel_llm.instrument(
        tracer_provider=out.spans.provider,
        logger_provider=out.logs.provider,
        capture_content="SPAN_AND_EVENT",
        redact=quoting,
        completion_hook=FailingHook(),
        interceptors=[Failing()],
    )
    provider.script(replies())
    everything(provider, stream=False)
    assert out.places() == set()
    said = {record.getMessage() for record in out.caplog.records}
    assert {line.split(";")[0] for line in said} == {
        "otel_llm failed in redact",
        "otel_llm failed in Failing.before",
        "otel_llm failed in Failing.after",
        "otel_llm failed in FailingHook.on_completion",
    }
    assert "RuntimeError" in out.caplog.text
    assert "in quoting" in out.caplog.text


def test_a_secret_that_streaming_cuts_is_whole_for_the_redaction(
    out: Out, provider: ScriptedProvider, openai_client: Any
) -> None:
    """The function sees a text as it became, not its pieces."""
    seen: list[str] = []
    otel_llm.instrument(
        tracer_provider=out.spans.provider,
        capture_content=True,
        redact=lambda text: seen.append(text) or text,
    )
    provider.script([Reply("a " * 20 + word("cut") + " b" * 20, chunks=40)])
    list(openai_client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], stream=True))
    assert any(word("cut") in text for text in seen)
    assert a.OUTPUT_MESSAGES.name in out.spans.attributes()
