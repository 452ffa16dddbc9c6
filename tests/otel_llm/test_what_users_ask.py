"""What users of such libraries ask for and complain of: twenty-five things, a test for each.

They were read off the trackers of the libraries that record model calls. Other tests go deeper into most of them; here
each stands by itself, in the words of those who asked.
"""

from __future__ import annotations

import ast
import asyncio
import contextvars
import gc
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from importlib import metadata
from itertools import product
from pathlib import Path
from types import FrameType
from typing import Any

import openai
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from packaging.requirements import Requirement
from pydantic import BaseModel

import otel_llm
from otel_llm import attributes as a
from otel_llm import config, ongoing, others, reaper, switches
from otel_llm.pricing import PriceBook
from otel_llm.prompts import configure
from otel_llm.providers import PROVIDERS
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.otel_llm.test_processes import run
from tests.support import standins
from tests.support.google_tools import weather
from tests.support.receiver import Receiver
from tools import coverage

ROOT = Path(__file__).parents[2]
SAID = [{"role": "user", "content": "What is a flame?"}]
CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": SAID}
RESPONSE: dict[str, Any] = {"model": "gpt-5-mini", "input": "What is a flame?"}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "What is a flame?"}
COUNTS = Reply("one two three four five six", usage=Usage(input=10, output=6), chunks=6)

#: Rows that ask for what this library has no part in, and why.
DOES_NOT_APPLY: dict[int, str] = {}

#: A connection that is dropped with its stream is the SDK's litter, with us or without.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


def _attributes(spans: Spans) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans.all()]


def _sums(reader: InMemoryMetricReader) -> dict[str, tuple[int, float]]:
    """Of every metric, how often it was recorded and what it adds up to; tokens by their type."""
    found: dict[str, tuple[int, float]] = {}
    data = reader.get_metrics_data()
    for metric in (
        metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ):
        for point in metric.data.data_points:
            kind = (point.attributes or {}).get("gen_ai.token.type")
            name = f"{metric.name} {kind}" if kind else metric.name
            count, total = found.get(name, (0, 0.0))
            found[name] = (
                count + getattr(point, "count", 1),
                total + getattr(point, "sum", getattr(point, "value", 0)),
            )
    return found


@pytest.fixture
def ways(openai_client: Any, gemini_client: Any) -> dict[str, Callable[[], Any]]:
    """A question to each API, plain and streamed; a stream is handed on unread."""
    return {
        "chat": lambda: openai_client.chat.completions.create(**CHAT),
        "chat stream": lambda: openai_client.chat.completions.create(
            **CHAT, stream=True, stream_options={"include_usage": True}
        ),
        "responses": lambda: openai_client.responses.create(**RESPONSE),
        "responses stream": lambda: openai_client.responses.create(**RESPONSE, stream=True),
        "gemini": lambda: gemini_client.models.generate_content(**GEMINI),
        "gemini stream": lambda: gemini_client.models.generate_content_stream(**GEMINI),
    }


PLAIN = ("chat", "responses", "gemini")
STREAMED = ("chat stream", "responses stream", "gemini stream")


def _read(answer: Any) -> Any:
    """An answer; the items of a stream."""
    return list(answer) if hasattr(answer, "__next__") else answer


# Streams --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["close", "drop"])
@pytest.mark.parametrize("way", STREAMED)
def test_01_a_stream_left_early_still_has_its_span(
    way: str, leave: str, instrumented: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """With what had come by then; Gemini counts with every chunk, so that even the cost is there."""
    provider.script([COUNTS])
    stream = ways[way]()
    seen = [next(stream) for _ in range(3)]
    if leave == "close":
        stream.close()
    del stream
    gc.collect()
    found = instrumented.attributes()
    assert found["otel_llm.stream.outcome"] == {"close": "closed_early", "drop": "abandoned"}[leave]
    assert found["otel_llm.stream.chunks"] == len(seen)
    if way == "gemini stream":
        assert "one" in found["gen_ai.output.messages"]
        assert found["gen_ai.usage.output_tokens"] > 0
        assert found["otel_llm.cost.total"] > 0


@pytest.mark.parametrize("way", STREAMED)
def test_02_a_stream_never_iterated_leaks_no_span(
    way: str, instrumented: Spans, ways: dict[str, Callable[[], Any]]
) -> None:
    """No generator has begun whose ``finally`` could run; nothing stays open either."""
    stream = ways[way]()
    del stream
    gc.collect()
    assert instrumented.attributes()["otel_llm.stream.outcome"] == "abandoned"
    assert reaper._open == set()


def test_03_no_context_is_detached_elsewhere(
    instrumented: Spans,
    provider: ScriptedProvider,
    ways: dict[str, Callable[[], Any]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Generators around streams, begun in one context and closed in another: no "Failed to detach context"."""

    def inner(way: str) -> Iterator[Any]:
        yield from ways[way]()

    async def inner_async(client: Any) -> AsyncIterator[Any]:
        async for chunk in await client.responses.create(**RESPONSE, stream=True):
            yield chunk

    async def elsewhere() -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            generator: Any = inner_async(client)
            await asyncio.create_task(anext(generator))
            await asyncio.create_task(generator.aclose())
        assert trace.get_current_span() is trace.INVALID_SPAN

    provider.script(lambda request: COUNTS)
    with caplog.at_level(logging.WARNING):
        for way in STREAMED:
            generator: Any = inner(way)
            contextvars.copy_context().run(next, generator)
            assert trace.get_current_span() is trace.INVALID_SPAN
            contextvars.copy_context().run(generator.close)
        asyncio.run(elsewhere())
        gc.collect()
        assert len(instrumented.all()) == 4
    complaints = [each for each in caplog.records if each.name.startswith(("opentelemetry", "otel_llm"))]
    assert [each.getMessage() for each in complaints] == []


# Tokens ---------------------------------------------------------------------------------------------------------------


def test_04_cached_tokens_are_counted_once(
    instrumented: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """The input is all of it, what was cached is a part of it, and only the price tells them apart."""
    provider.script(lambda request: Reply("Hot.", usage=Usage(input=1000, output=50, cached=800)))
    for ask in ways.values():
        _read(ask())
    for found in _attributes(instrumented):
        assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.cache_read.input_tokens"]) == (1000, 800)
        parts = [found[f"otel_llm.cost.{part}"] for part in ("input", "cached", "output")]
        assert found["otel_llm.cost.total"] == pytest.approx(sum(parts))
    book = PriceBook.load()
    for cached, written in product(range(0, 1001, 100), range(0, 201, 100)):
        used = otel_llm.Usage(input=1200, output=10, cache_read=cached, cache_write=written)
        cost, dearest = (
            book.cost(used, "openai", "gpt-5-mini"),
            book.cost(used._replace(cache_read=0), "openai", "gpt-5-mini"),
        )
        assert cost.total is not None
        assert cost.total == sum(part or 0 for part in (cost.input, cost.output, cost.cached, cost.cache_write))
        assert dearest.total is not None
        assert (cost.total < dearest.total) is (cached > 0)


@pytest.mark.parametrize("way", ["gemini", "gemini stream"])
def test_05_thinking_tokens_of_gemini_are_output(
    way: str, instrumented: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """Google counts them beside the candidates' tokens; they are paid as output."""
    provider.script([Reply("Hot.", thinking="Hm.", usage=Usage(input=10, output=60, reasoning=50))])
    answer = _read(ways[way]())
    said = (answer[-1] if isinstance(answer, list) else answer).usage_metadata
    assert (said.candidates_token_count, said.thoughts_token_count) == (10, 50)
    found = instrumented.attributes()
    assert (found["gen_ai.usage.output_tokens"], found["gen_ai.usage.reasoning.output_tokens"]) == (60, 50)
    price = PriceBook.load().cost(otel_llm.Usage(input=10, output=60), "gcp.gemini", "gemini-2.5-flash")
    assert found["otel_llm.cost.total"] == pytest.approx(float(price.total or 0))


def test_06_usage_of_streams_is_asked_for_or_absent(
    spans: Spans, provider: ScriptedProvider, openai_client: Any
) -> None:
    """Never guessed. Asked for by a setting, the caller sees the chunks that it would have seen."""
    provider.script(lambda request: COUNTS)
    for include_usage in (False, True):
        otel_llm.instrument(tracer_provider=spans.provider, include_usage=include_usage)
        chunks = list(openai_client.chat.completions.create(**CHAT, stream=True))
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == COUNTS.text
        assert all(chunk.usage is None for chunk in chunks)
    without, asked = _attributes(spans)
    assert [name for name in without if ".usage." in name or "cost.total" in name] == []
    assert without["otel_llm.cost.status"] == "unpriced"
    assert (asked["gen_ai.usage.input_tokens"], asked["gen_ai.usage.output_tokens"]) == (10, 6)
    assert asked["otel_llm.cost.total"] > 0
    assert ["stream_options" in request.body for request in provider.requests] == [False, True]


class Topic(BaseModel):
    """A structured answer."""

    topic: str


def test_07_responses_are_recorded_in_every_form(
    instrumented: Spans, provider: ScriptedProvider, openai_client: Any
) -> None:
    """Plain, streamed, by the helper, parsed; with what came before, and where nothing is stored."""
    provider.script(lambda request: Reply('{"topic": "fire"}', usage=Usage(input=10, output=6)))
    responses = openai_client.responses
    first = responses.create(**RESPONSE)
    list(responses.create(**RESPONSE, stream=True, store=False))
    with responses.stream(**RESPONSE) as stream:
        assert list(stream)
    assert responses.parse(**RESPONSE, text_format=Topic).output_parsed == Topic(topic="fire")
    responses.create(**RESPONSE, previous_response_id=first.id, store=False)
    found = _attributes(instrumented)
    assert len(found) == 5
    for each in found:
        assert "What is a flame?" in each["gen_ai.input.messages"]
        assert "fire" in each["gen_ai.output.messages"]
        assert (each["gen_ai.usage.input_tokens"], each["gen_ai.usage.output_tokens"]) == (10, 6)
        assert each["otel_llm.cost.total"] > 0
    assert found[4][a.PREVIOUS_RESPONSE_ID.name] == first.id == found[0]["gen_ai.response.id"]


# What it costs the application ----------------------------------------------------------------------------------------


def _kept_by_us() -> dict[str, int]:
    """How many things every container has that the library's modules hold."""
    return {
        f"{module.__name__}.{name}": len(value)
        for module in list(sys.modules.values())
        if (getattr(module, "__name__", "") or "").startswith("otel_llm")
        for name, value in vars(module).items()
        if isinstance(value, dict | list | set | weakref.WeakSet) and not name.startswith("__")
    }


def test_08_nothing_is_kept_of_calls_that_are_over(
    spans: Spans, provider: ScriptedProvider, openai_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three hundred answers to long questions, and streams that are closed or dropped: none stays behind.

    Only ids of work that may go on are remembered, as a stream may be taken up again: the last so many.
    """
    monkeypatch.setattr(ongoing, "MOST", 2)
    nowhere = TracerProvider()
    otel_llm.instrument(tracer_provider=nowhere, capture_content=True)
    provider.script(lambda request: Reply(f"Answer {request.number}.", chunks=2))
    answers: list[weakref.ref[Any]] = []

    def ask(times: int) -> int:
        for number in range(times):
            response = openai_client.responses.create(model="gpt-5-mini", input=f"{number} " + "long " * 10_000)
            answers.append(weakref.ref(response))
            if number % 10 == 0:
                stream = openai_client.responses.create(**RESPONSE, stream=True)
                next(stream)
                if number % 20:
                    stream.close()
        response = stream = None
        provider.requests.clear()
        reaper.settle()
        gc.collect()
        return len(gc.get_objects())

    ask(20)
    before, kept = ask(20), _kept_by_us()
    after = ask(300)
    assert [answer for answer in answers if answer() is not None] == []
    assert _kept_by_us() == kept
    assert after - before - 300 < 300, "less than an object a call, but for the list of this test"
    nowhere.shutdown()


#: What makes messages of requests and of answers.
MAKERS = {
    getattr(function, "__code__", None)
    for sdk in PROVIDERS
    for endpoint in sdk.endpoints
    for function in (endpoint.messages, endpoint.tool_definitions, endpoint.output_messages)
}


def _called_by_us(ask: Callable[[], Any]) -> set[str]:
    """Functions that read or write content: ours, and encoders that are called by us."""
    ours, found = str(ROOT / "otel_llm"), set[str]()

    def look(frame: FrameType, event: str, argument: Any) -> None:
        code, back = frame.f_code, frame.f_back
        file = Path(code.co_filename)
        if event == "c_call" and "Serializer" in getattr(argument, "__qualname__", "") and file.is_relative_to(ours):
            found.add(argument.__qualname__)
        elif event == "call":
            by_us = back is not None and back.f_code.co_filename.startswith(ours)
            if (
                code in MAKERS
                or (file.is_relative_to(ours) and file.stem in ("content", "cut"))
                or (file.is_relative_to(ours) and file.stem == "messages" and code.co_name != "mended")
                or (by_us and (file.parent.name == "json" or code.co_name.startswith("model_dump")))
            ):
                found.add(f"{file.stem}.{code.co_name}")

    sys.setprofile(look)
    try:
        ask()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize("way", PLAIN)
def test_09_content_that_is_not_wanted_is_not_touched(
    way: str, spans: Spans, ways: dict[str, Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No message is built, nothing is encoded, no thread is begun: what a call costs does not grow with it."""
    monkeypatch.setattr("otel_llm.prompts.link._table", {})  # of prompts that other tests have rendered
    monkeypatch.setattr("otel_llm.prompts.link._recent", ContextVar("none", default=()))
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=False)
    ways[way]()  # prices and paths are read once
    threads = set(threading.enumerate())
    assert _called_by_us(ways[way]) == set()
    assert set(threading.enumerate()) == threads
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    assert {"messages.messages_json", "content.keep"} < _called_by_us(ways[way]), "what is looked for can be seen"
    assert len(spans.all()) == 3


# Beside others --------------------------------------------------------------------------------------------------------


class _Broken:
    """An interceptor, a function that redacts, a completion hook and a counter, each of which fails."""

    policy = True

    def before(self, call: Any) -> None:
        raise TypeError("unhashable type: 'list'")

    after = before

    def __call__(self, text: str) -> str:
        raise RuntimeError("no idea")

    def on_completion(self, **_: Any) -> None:
        raise RuntimeError("no disk")


@pytest.mark.parametrize("way", [*PLAIN, *STREAMED])
def test_10_what_fails_in_the_library_is_not_the_users(
    way: str, spans: Spans, ways: dict[str, Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that can be set fails, metrics too: the answer comes, and the span has its tokens."""
    expected = _read(ways[way]())
    monkeypatch.setattr(config, "_said", set())
    monkeypatch.setattr("otel_llm.metrics.Metrics.live", True)
    monkeypatch.setattr("otel_llm.metrics.Metrics.call", _Broken().before)
    broken = _Broken()
    otel_llm.instrument(
        tracer_provider=spans.provider, capture_content=True, interceptors=[broken], redact=broken,
        completion_hook=broken,
    )  # fmt: skip
    answer = _read(ways[way]())
    assert type(answer) is type(expected)
    assert not isinstance(answer, list) or len(answer) == len(expected)
    assert spans.attributes()["gen_ai.usage.output_tokens"] > 0
    assert spans.attributes()["otel_llm.cost.total"] > 0
    assert {"_Broken.before", "_Broken.after", "the metrics of a call"} <= config._said


@pytest.mark.parametrize(
    "key",
    [otel_context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation", ""],
    ids=["key", "older key", "helper"],
)
def test_11_what_is_suppressed_is_not_recorded(key: str, spans: Spans, ways: dict[str, Callable[[], Any]]) -> None:
    """By the key of today, by the older one, by OpenTelemetry's own helper; not even in metrics."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=meters)
    if key:
        token = otel_context.attach(otel_context.set_value(key, True))
        for ask in ways.values():
            _read(ask())
        otel_context.detach(token)
    else:
        with suppress_instrumentation():
            for ask in ways.values():
                _read(ask())
    assert (spans.all(), _sums(reader)) == ([], {})
    ways["chat"]()
    assert len(spans.all()) == _sums(reader)["gen_ai.client.operation.duration"][0] == 1
    meters.shutdown()


def test_12_a_call_is_one_span_whoever_else_records_it(
    spans: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A framework's span is adopted, another instrumentation is passed by, an HTTP request is a span below."""
    monkeypatch.setattr(others, "_said", set())
    monkeypatch.setattr(switches, "_hooked", set())
    other, http = standins.official(spans.provider), HTTPX2ClientInstrumentor()
    other.on()
    http.instrument(tracer_provider=spans.provider)
    try:
        otel_llm.instrument(tracer_provider=spans.provider)
        framework = spans.provider.get_tracer("a-framework")
        with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            client.chat.completions.create(**CHAT)
            with framework.start_as_current_span("agent", attributes={"gen_ai.operation.name": "chat"}):
                client.chat.completions.create(**CHAT)
    finally:
        otel_llm.uninstrument()
        http.uninstrument()
        other.off()
    calls = [span for span in spans.all() if "gen_ai.operation.name" in (span.attributes or {})]
    assert [span.name for span in calls] == ["chat gpt-5-mini", "agent"]
    assert all("otel_llm.cost.status" in (span.attributes or {}) for span in calls)
    below = [span for span in spans.all() if span not in calls]
    assert [span.parent.span_id for span in below if span.parent] == [span.context.span_id for span in calls]


def test_13_nothing_is_pinned() -> None:
    """No SDK is required, nor imported, and what is required of OpenTelemetry or asked of an SDK has no upper bound."""
    required = [Requirement(line) for line in metadata.requires("otel-llm") or ()]
    always = {each.name for each in required if each.marker is None or "extra" not in str(each.marker)}
    assert "opentelemetry-api" in always
    assert always.isdisjoint({"openai", "google-genai", "httpx", "httpx2"})
    free = [each for each in required if each.name.startswith(("opentelemetry-", "openai", "google-genai"))]
    assert {rule.operator for each in free for rule in each.specifier} == {">="}
    look = "import sys, otel_llm; otel_llm.instrument(); print({'openai', 'google.genai', 'httpx'} & set(sys.modules))"
    clean = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, env=clean, check=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_14_no_version_turns_anything_off(
    spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An SDK of any version is looked at, and not its number; what it lacks is said once, and can be asked for."""
    monkeypatch.setattr(openai, "__version__", "99.0.0")
    monkeypatch.setattr("otel_llm.installed.version", lambda distribution: "99.0.0")
    monkeypatch.setattr("otel_llm.patches.version", lambda distribution: "99.0.0")
    monkeypatch.delattr("openai.resources.embeddings.Embeddings.create")
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        for _ in range(2):
            report = otel_llm.instrument(tracer_provider=spans.provider)
    assert "openai.resources.chat.completions.completions:Completions.create" in report.patched
    assert report.missing == ["openai.resources.embeddings:Embeddings.create"]
    (said,) = (record.getMessage() for record in caplog.records)
    assert said == f"{report.missing[0]} is not in the installed SDK (99.0.0): calls of it are not recorded."
    openai_client.chat.completions.create(**CHAT)
    assert spans.one().name == "chat gpt-5-mini"


def test_15_no_http_library_is_relied_upon(
    instrumented: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """Whatever an SDK is built on, the server's address and port are there, and none of it is imported here."""
    for ask in ways.values():
        _read(ask())
    port = int(provider.url.rpartition(":")[2])
    found = _attributes(instrumented)
    assert [(each["server.address"], each["server.port"]) for each in found] == [("127.0.0.1", port)] * len(ways)
    imported = {
        name.partition(".")[0]
        for path in (ROOT / "otel_llm").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert "wrapt" in imported
    assert imported.isdisjoint({"httpx", "httpx2", "requests", "aiohttp", "openai", "google"})


def test_16_the_environment_is_not_written(
    spans: Spans, ways: dict[str, Callable[[], Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for a moment: settings are arguments, or are read."""

    def written(*pair: Any) -> None:
        raise AssertionError(pair)

    before = dict(os.environ)
    with monkeypatch.context() as patch:
        patch.setattr(os, "putenv", written)
        patch.setattr(os, "unsetenv", written)
        otel_llm.instrument(
            tracer_provider=spans.provider, capture_content="SPAN_AND_EVENT", include_usage=True, start_events=True,
            trace_headers=True, service_name="mine",
        )  # fmt: skip
        for ask in ways.values():
            _read(ask())
        otel_llm.flush()
        otel_llm.uninstrument()
    assert len(spans.all()) == len(ways)
    assert dict(os.environ) == before


# Content --------------------------------------------------------------------------------------------------------------

SECRET = "4111-1111"


def test_17_redaction_has_no_holes(
    spans: Spans, provider: ScriptedProvider, openai_client: Any, gemini_client: Any, tmp_path: Path
) -> None:
    """Messages, instructions, tools, their schemas, arguments and results, parameters, variables, answers, errors."""
    (tmp_path / "ask.yaml").write_text('{"versions": {"1": {"template": "Is {{ card }} a number of a card, or not?"}}}')
    made: Any = InMemoryLogRecordExporter  # it has no types
    logs, loggers = made(), LoggerProvider()
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    seen: list[str] = []

    def redact(text: str) -> str:
        seen.append(text)
        return text.replace(SECRET, "####")

    otel_llm.instrument(
        tracer_provider=spans.provider, logger_provider=loggers, capture_content="SPAN_AND_EVENT", redact=redact,
        prompts=tmp_path,
    )  # fmt: skip
    called = ToolCall("pay", {"card": SECRET})
    function = {
        "name": "pay",
        "description": f"Not for {SECRET}",
        "parameters": {"properties": {"x": {"const": SECRET}}},
    }
    asked = {"name": "pay", "arguments": json.dumps(called.arguments)}
    messages = [
        {"role": "system", "content": f"Never say {SECRET}."},
        {"role": "user", "content": otel_llm.prompt("ask").render(card=SECRET)},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": asked}]},
        {"role": "tool", "tool_call_id": "1", "content": f"{SECRET} was charged"},
    ]
    more: dict[str, Any] = {"tools": [{"type": "function", "function": function}], "metadata": {"note": SECRET}}
    prediction = {"type": "content", "content": SECRET}
    replies = [Reply(SECRET, tool_calls=[called], thinking=SECRET)] * 2 + [Reply(f"Not {SECRET}", thinking=SECRET)]
    provider.script([*replies, Reply(status=400, error=f"{SECRET} is not allowed")])
    openai_client.chat.completions.create(model="gpt-5-mini", messages=messages, prediction=prediction, **more)
    openai_client.responses.create(model="gpt-5-mini", input=SECRET, instructions=SECRET, metadata={"note": SECRET})
    gemini_client.models.generate_content(
        model="gemini-2.5-flash", contents=SECRET, config={"system_instruction": SECRET}
    )
    with pytest.raises(openai.BadRequestError, match=SECRET):
        openai_client.chat.completions.create(model="gpt-5-mini", messages=messages)
    records = [each.log_record for each in logs.get_finished_logs()]
    said = [span.to_json() for span in spans.all()] + [repr((each.attributes, each.body)) for each in records]
    configure(None)
    loggers.shutdown()
    assert len(spans.all()) == 4
    assert {each.event_name for each in records} == {
        "gen_ai.client.inference.operation.details",
        "gen_ai.client.operation.exception",
    }
    assert [each for each in said if "####" not in each] == []
    assert [each for each in said if SECRET in each] == []
    assert any(SECRET in text for text in seen)


def test_18_huge_content_is_cut_and_stays_json(
    instrumented: Spans, provider: ScriptedProvider, openai_client: Any
) -> None:
    """Megabytes of text, and a picture: within the budget, valid, marked; the provider gets all of it."""
    picture = "iVBORw0KGgo" + "A" * 2_000_001
    parts = [
        {"type": "text", "text": 'a "quoted" word \\ ' * 150_000},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}},
        *({"type": "text", "text": f"{number} " + "ü" * 30_000} for number in range(20)),
    ]
    messages = [{"role": "user", "content": parts}]
    provider.script([Reply("Yes. " * 100_000)])
    openai_client.chat.completions.create(model="gpt-5-mini", messages=messages)
    assert provider.requests[0].body["messages"] == messages
    found = instrumented.attributes()
    texts = [found["gen_ai.input.messages"], found["gen_ai.output.messages"]]
    assert sum(len(text.encode()) for text in texts) <= int(config.SPAN_BYTES.default)
    (asked,), (answered,) = map(json.loads, texts)
    assert asked["parts"][0]["content"].startswith('a "quoted" word')
    assert answered["parts"][0]["content"].startswith("Yes. Yes.")
    (blob,) = (part for part in asked["parts"] if part["type"] == "blob")
    assert (blob["mime_type"], len(blob["sha256"])) == ("image/png", 64)
    assert blob["size"] > 1_500_000
    assert "AAAAAAAA" not in texts[0]
    assert found["otel_llm.content.truncated"] is True


def test_19_every_method_is_recorded_or_decided_upon(
    instrumented: Spans, provider: ScriptedProvider, openai_client: Any, gemini_client: Any,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The table is made from the SDKs and has no gap; so are embeddings, audio, jobs, functions."""
    monkeypatch.setattr(sys, "argv", ["coverage.py", "--check"])
    assert (coverage.main(), capsys.readouterr().out) == (0, "")
    used = Usage(input=30, output=20, input_modalities={"audio": 25}, output_modalities={"audio": 15})
    asks, answers = Reply(tool_calls=[ToolCall("weather", {"city": "Ulm"})], usage=used), Reply("Hi.", usage=used)
    provider.script([*[answers] * 4, asks, answers])
    openai_client.embeddings.create(model="text-embedding-3-small", input="a flame")
    openai_client.chat.completions.create(model="gpt-audio", messages=SAID)
    openai_client.fine_tuning.jobs.create(model="gpt-4.1-mini", training_file="file-1")
    gemini_client.models.embed_content(model="gemini-embedding-001", contents="a flame")
    gemini_client.models.generate_content(**GEMINI, config={"tools": [weather]})
    embedded, spoken, tuned, vectors, tool, both = _attributes(instrumented)
    assert (tool["gen_ai.tool.name"], both["gen_ai.usage.input_tokens"]) == ("weather", 2 * 30)
    assert (embedded["gen_ai.operation.name"], vectors["gen_ai.operation.name"]) == ("embeddings", "embeddings")
    assert embedded["gen_ai.usage.input_tokens"] == 30
    assert spoken["gen_ai.usage.audio.input_tokens"] == 25
    assert spoken["gen_ai.usage.audio.output_tokens"] == 15
    assert (tuned["gen_ai.operation.name"], tuned["gen_ai.request.model"]) == ("create_fine_tuning_job", "gpt-4.1-mini")


# Time and money -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", STREAMED)
def test_20_the_time_to_the_first_chunk_and_between_chunks(
    way: str, spans: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """On the span, and in the histograms of the conventions: one first chunk, and a time for each of the others."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=meters)
    provider.script([COUNTS])
    chunks = len(_read(ways[way]()))
    found, sums = spans.attributes(), _sums(reader)
    meters.shutdown()
    assert found["gen_ai.response.time_to_first_chunk"] > 0
    assert found["otel_llm.stream.chunks"] == chunks >= 6
    assert sums["gen_ai.client.operation.time_to_first_chunk"] == (1, found["gen_ai.response.time_to_first_chunk"])
    count, total = sums["gen_ai.client.operation.time_per_output_chunk"]
    assert count == chunks - 1
    assert total > 0
    assert sums["gen_ai.client.operation.duration"][1] >= total


def test_21_the_cost_says_its_currency_its_source_and_its_prices(
    instrumented: Spans, provider: ScriptedProvider, openai_client: Any, gemini_client: Any
) -> None:
    """Worked out here, by a table of a known version, what is cached or long at its price; or the provider's own."""
    million = Usage(input=1_000_000, output=1_000_000)
    half = Usage(input=200_000, output=0, cached=100_000)
    stated = Reply("Hot.", extra={"usage": {"cost": 0.125}})
    provider.script([Reply("Hot.", usage=million), Reply("Hot.", usage=half), Reply("Hot.", usage=million), stated])
    openai_client.chat.completions.create(**CHAT)
    openai_client.responses.create(**RESPONSE)
    gemini_client.models.generate_content(model="gemini-2.5-pro", contents="What is a flame?")
    openai_client.chat.completions.create(**CHAT)
    plain, cached, long, told = _attributes(instrumented)
    version = PriceBook.load().version
    for found in (plain, cached, long):
        assert found["otel_llm.cost.currency"] == "USD"
        assert found["otel_llm.cost.source"] == "local"
        assert found["otel_llm.cost.price_version"] == version
    assert plain["otel_llm.cost.total"] == pytest.approx(0.25 + 2.00)
    assert cached["otel_llm.cost.total"] == pytest.approx(0.025 + 0.0025)
    assert long["otel_llm.cost.total"] == pytest.approx(2.50 + 15.00)
    assert (told["otel_llm.cost.total"], told["otel_llm.cost.source"]) == (0.125, "provider")


def test_22_calls_know_the_prompt_they_come_from(
    instrumented: Spans, ways: dict[str, Callable[[], Any]], tmp_path: Path
) -> None:
    """Name, version and a hash of the template, on every call below ``use_prompt``, and on none beside it."""
    (tmp_path / "flame.yaml").write_text('{"versions": {"3": {"template": "What is a flame?"}}}')
    configure(tmp_path)
    with otel_llm.use_prompt("flame"):
        for ask in ways.values():
            _read(ask())
    within = _attributes(instrumented)
    configure(None)
    sha = hashlib.sha256(b"What is a flame?").hexdigest()
    names = ("gen_ai.prompt.name", "gen_ai.prompt.version", "otel_llm.prompt.template_hash")
    assert [tuple(found.get(name) for name in names) for found in within] == [("flame", "3", sha)] * len(ways)
    instrumented.exporter.clear()
    contextvars.Context().run(lambda: ways["chat"]())
    assert [name for name in names if name in instrumented.attributes()] == []


@pytest.mark.parametrize("way", [*PLAIN, *STREAMED])
def test_23_guardrails_are_on_the_span_of_streams_too(
    way: str, spans: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """What was checked and what was found, in fields of their own; an answer is refused, a stream is observed."""
    rules = otel_llm.guardrails.default()
    otel_llm.instrument(tracer_provider=spans.provider, guardrails=rules)
    provider.script([Reply("It is hot."), Reply("Go die, ada@example.org.", chunks=4)])
    _read(ways[way]())
    if way in PLAIN:
        with pytest.raises(otel_llm.GuardrailBlocked):
            ways[way]()
    else:
        assert _read(ways[way]())
    passed, violated = _attributes(spans)
    assert (passed[a.GUARDRAIL_OUTCOME.name], passed[a.GUARDRAIL_COUNT.name]) == ("passed", len(rules))
    assert violated[a.GUARDRAIL_OUTCOME.name] == ("blocked" if way in PLAIN else "violated")
    assert violated.get(a.GUARDRAIL_BLOCKED.name, False) is (way in PLAIN)
    assert set(violated[a.VIOLATED_RULES.name]) == {"toxic_words", "pii_basic"}
    results = json.loads(violated[a.GUARDRAIL_RESULTS.name])
    assert {(each["rule"], each["stage"]) for each in results} == {("toxic_words", "output"), ("pii_basic", "output")}
    assert all({"type", "severity", "action"} <= set(each) for each in results)


# Processes and samples ------------------------------------------------------------------------------------------------


class _Hangs(SpanExporter):
    """Goes on when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def export(self, spans: Any) -> SpanExportResult:
        """Waits."""
        self.go.wait()
        return SpanExportResult.SUCCESS


def test_24_a_fork_sends_its_spans_and_no_flush_hangs(
    tmp_path: Path, provider: ScriptedProvider, openai_client: Any, spans: Spans
) -> None:
    """A child forked in the middle of a stream sends what is its own; a flush, and calls, end before the exporter."""
    program = """
        stream = ask("x", stream=True)
        next(stream)
        called("before")
        child = os.fork()
        if child == 0:
            called("child")
            os._exit(0 if otel_llm.flush() else 1)
        assert os.waitpid(child, 0)[1] == 0
        list(stream)
        called("after")
    """
    with Receiver() as receiver:
        run(program, tmp_path, provider, **receiver.variables)
        users = Counter(span.get("user.id") for span in receiver.spans())
    assert users == {"before": 1, "child": 1, "after": 1, None: 1}
    exporter, tracers = _Hangs(), TracerProvider()
    tracers.add_span_processor(BatchSpanProcessor(exporter))
    otel_llm.instrument(tracer_provider=tracers)
    openai_client.chat.completions.create(**CHAT)
    assert otel_llm.flush(0.05) is False
    openai_client.chat.completions.create(**CHAT)
    assert not exporter.go.is_set(), "all of this was done while the exporter hung"
    exporter.go.set()
    assert otel_llm.flush(30.0) is True
    tracers.shutdown()


def test_25_samples_leave_totals_whole_and_errors_told(
    spans: Spans, provider: ScriptedProvider, ways: dict[str, Callable[[], Any]]
) -> None:
    """Metrics count every call, none of which is sampled; one that fails has what was asked, its tries and its id."""
    reader = InMemoryMetricReader()
    meters, nothing, sampled = MeterProvider([reader]), TracerProvider(sampler=ALWAYS_OFF), InMemorySpanExporter()
    nothing.add_span_processor(SimpleSpanProcessor(sampled))
    provider.script(lambda request: Reply("Hot.", usage=Usage(input=1000, output=50)))
    otel_llm.instrument(tracer_provider=nothing, meter_provider=meters)
    for ask in ways.values():
        _read(ask())
    sums, calls = _sums(reader), len(ways)
    assert list(sampled.get_finished_spans()) == []
    assert sums["gen_ai.client.operation.duration"][0] == calls
    assert sums["gen_ai.client.token.usage input"] == (calls, 1000.0 * calls)
    assert sums["gen_ai.client.token.usage output"] == (calls, 50.0 * calls)
    openai_price, gemini_price = 0.00035, 0.000425
    assert sums["otel_llm.cost"][1] == pytest.approx(4 * openai_price + 2 * gemini_price)
    meters.shutdown()
    nothing.shutdown()
    otel_llm.instrument(tracer_provider=spans.provider)
    provider.script([Reply(status=429, retry_after=0.001), Reply(status=429)])
    with (
        openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=1) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(**CHAT, temperature=0.5, seed=7)
    found = spans.attributes()
    assert (found["gen_ai.request.temperature"], found["gen_ai.request.seed"]) == (0.5, 7)
    assert (found["error.type"], found["otel_llm.retry.count"]) == ("429", 1)
    assert found["otel_llm.provider.request_id"] == caught.value.request_id


def test_every_row_is_here() -> None:
    """Each of the twenty-five has its test, or a reason."""
    rows = {int(name[5:7]) for name in globals() if name[:5] == "test_" and name[5:7].isdigit()}
    assert rows | set(DOES_NOT_APPLY) == set(range(1, 26))
