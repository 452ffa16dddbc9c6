"""HTTP requests of a call are spans below it, and carry no trace headers and no baggage to a provider, who is a
third party, unless asked: looked at on the wire, with OpenTelemetry's own HTTP instrumentations."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from google import genai
from opentelemetry import baggage, propagate
from opentelemetry.context import attach, detach
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import TextMapPropagator, default_setter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import get_current_span

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, ToolCall
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hi"}
#: The headers that propagators write: W3C's, and Zipkin's.
TRACE_HEADERS = {"traceparent", "tracestate", "baggage", "b3", "x-b3-traceid"}


class B3(TextMapPropagator):
    """A propagator as an application may set it."""

    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any:
        """Reads nothing."""
        return context

    def inject(self, carrier: Any, context: Any = None, setter: Any = default_setter) -> None:
        """Writes Zipkin's header."""
        setter.set(carrier, "b3", f"{get_current_span(context).get_span_context().trace_id:032x}-1-1")

    @property
    def fields(self) -> set[str]:
        """What it writes."""
        return {"b3"}


def _openai(provider: ScriptedProvider) -> None:
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        client.chat.completions.create(**CHAT)


def _openai_stream(provider: ScriptedProvider) -> None:
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        assert list(client.chat.completions.create(**CHAT, stream=True))


def _openai_helper(provider: ScriptedProvider) -> None:
    with (
        openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client,
        client.responses.stream(model="gpt-5-mini", input="hi") as stream,
    ):
        assert list(stream)


def _openai_bytes(provider: ScriptedProvider) -> None:
    with (
        openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client,
        client.chat.completions.with_streaming_response.create(**CHAT) as response,
    ):
        assert response.read()


def _gemini(provider: ScriptedProvider) -> None:
    with genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}) as client:
        client.models.generate_content(**GEMINI)


def _gemini_stream(provider: ScriptedProvider) -> None:
    with genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}) as client:
        assert list(client.models.generate_content_stream(**GEMINI))


def _openai_async(provider: ScriptedProvider) -> None:
    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            await client.chat.completions.create(**CHAT)
            assert [chunk async for chunk in await client.chat.completions.create(**CHAT, stream=True)]

    asyncio.run(ask())


def _gemini_async(provider: ScriptedProvider) -> None:
    async def ask() -> None:
        client = genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url})
        async with client.aio as aio:
            await aio.models.generate_content(**GEMINI)
            assert [chunk async for chunk in await aio.models.generate_content_stream(**GEMINI)]

    asyncio.run(ask())


ASKS = (
    _openai, _openai_stream, _openai_helper, _openai_bytes, _openai_async, _gemini, _gemini_stream, _gemini_async
)  # fmt: skip
every_way = pytest.mark.parametrize("ask", ASKS, ids=lambda ask: ask.__name__.strip("_"))


@pytest.fixture(autouse=True)
def http(spans: Spans) -> Iterator[None]:
    """HTTP clients are instrumented, and the application has baggage."""
    before = propagate.get_global_textmap()
    for instrumentor in (HTTPX2ClientInstrumentor(), AioHttpClientInstrumentor()):
        instrumentor.instrument(tracer_provider=spans.provider)
    token = attach(baggage.set_baggage("user.id", "ada"))
    yield
    detach(token)
    for instrumentor in (HTTPX2ClientInstrumentor(), AioHttpClientInstrumentor()):
        instrumentor.uninstrument()
    propagate.set_global_textmap(before)


def _sent(provider: ScriptedProvider) -> list[set[str]]:
    """The trace headers of each request."""
    return [TRACE_HEADERS.intersection(request.headers) for request in provider.requests]


def _nothing_sent(provider: ScriptedProvider) -> bool:
    return bool(provider.requests) and not any(_sent(provider))


def _scopes(spans: Spans) -> list[str]:
    return [getattr(span.instrumentation_scope, "name", "") for span in spans.all()]


@every_way
def test_http_spans_are_children(ask: Callable[..., None], spans: Spans, provider: ScriptedProvider) -> None:
    """Each request is a span of the HTTP instrumentation, below the call that made it."""
    otel_llm.instrument(tracer_provider=spans.provider)
    ask(provider)
    calls = [span for span, scope in zip(spans.all(), _scopes(spans), strict=True) if scope == "otel_llm"]
    requests = [span for span, scope in zip(spans.all(), _scopes(spans), strict=True) if scope != "otel_llm"]
    assert len(calls) == len(requests) == len(provider.requests)
    known = {span.context.span_id for span in calls if span.context}
    assert {span.parent.span_id for span in requests if span.parent} == known
    assert _nothing_sent(provider)


@every_way
@pytest.mark.parametrize("asked", ["argument", "variable"])
def test_headers_go_out_when_asked_for(
    asked: str, ask: Callable[..., None], spans: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``trace_headers=True`` lets them go, with the span of the HTTP request."""
    if asked == "variable":
        monkeypatch.setenv("OTEL_LLM_TRACE_HEADERS", "true")
    otel_llm.instrument(tracer_provider=spans.provider, trace_headers=True if asked == "argument" else None)
    ask(provider)
    assert set(map(frozenset, _sent(provider))) == {frozenset({"traceparent", "baggage"})}
    ids = {f"{span.context.span_id:016x}" for span in spans.all() if span.context}
    assert {request.headers["traceparent"].split("-")[2] for request in provider.requests} <= ids


@every_way
def test_an_unsampled_call_sends_none(ask: Callable[..., None], spans: Spans, provider: ScriptedProvider) -> None:
    """What is not recorded here is recorded nowhere else either: the first chunk of a lazy stream included."""
    unsampled = TracerProvider(sampler=ALWAYS_OFF)
    otel_llm.instrument(tracer_provider=unsampled)
    ask(provider)
    unsampled.shutdown()
    assert _nothing_sent(provider)


@pytest.mark.parametrize("sampled", [True, False])
def test_retries_send_none(sampled: bool, spans: Spans, provider: ScriptedProvider) -> None:
    """Each request of a call, whichever attempt it is."""
    other = TracerProvider(sampler=ALWAYS_OFF)
    otel_llm.instrument(tracer_provider=spans.provider if sampled else other)
    provider.script([Reply(status=429, retry_after=0.01), Reply(status=500, retry_after=0.01), Reply("At last.")])
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=3) as client:
        client.chat.completions.create(**CHAT)
    other.shutdown()
    assert len(provider.requests) == 3
    assert _nothing_sent(provider)


@every_way
def test_a_propagator_that_is_set_later_is_silent_too(
    ask: Callable[..., None], spans: Spans, provider: ScriptedProvider
) -> None:
    """An application may set its propagator after ``instrument()``, or another one at any time."""
    otel_llm.instrument(tracer_provider=spans.provider)
    ask(provider)
    propagate.set_global_textmap(CompositePropagator([B3(), propagate.get_global_textmap()]))
    ask(provider)
    assert _nothing_sent(provider)


def test_all_other_requests_carry_them(spans: Spans, provider: ScriptedProvider) -> None:
    """The application's own requests, before a call, between the chunks of a stream and after it."""
    otel_llm.instrument(tracer_provider=spans.provider)
    propagate.set_global_textmap(B3())
    with ScriptedProvider() as backend, openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        httpx2.get(backend.url)
        for _ in client.chat.completions.create(**CHAT, stream=True):
            httpx2.get(backend.url)
        httpx2.get(backend.url)
        assert len(backend.requests) > 3
        assert _sent(backend) == [{"b3"}] * len(backend.requests)
    assert _nothing_sent(provider)


def _scripted(streamed: bool) -> Sequence[Reply]:
    return [Reply(tool_calls=[ToolCall("weather", {"city": "Rome"})]), Reply("Sunny.", chunks=2)]


@pytest.mark.parametrize("sampled", [True, False])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_function_that_the_sdk_runs_calls_the_applications_own_backend(
    streamed: bool, sampled: bool, spans: Spans, provider: ScriptedProvider
) -> None:
    """Its requests carry headers, for the trace goes on there; those of the SDK before and after carry none."""
    other = TracerProvider(sampler=ALWAYS_OFF)
    otel_llm.instrument(tracer_provider=spans.provider if sampled else other)
    provider.script(_scripted(streamed))
    with ScriptedProvider() as backend:

        def weather(city: str) -> str:
            """The weather in a city."""
            httpx2.get(f"{backend.url}/{city}")
            return "sunny"

        with genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}) as client:
            if streamed:
                list(client.models.generate_content_stream(**GEMINI, config={"tools": [weather]}))
            else:
                client.models.generate_content(**GEMINI, config={"tools": [weather]})
        assert _sent(backend) == [{"traceparent", "baggage"}]
    other.shutdown()
    assert len(provider.requests) == 2
    assert _nothing_sent(provider)


def test_what_the_application_writes_itself_goes_out(spans: Spans, provider: ScriptedProvider) -> None:
    """Only propagators are silent: a header that the caller gives is the caller's."""
    otel_llm.instrument(tracer_provider=spans.provider)
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        client.chat.completions.create(**CHAT, extra_headers={"traceparent": "mine"})
    assert provider.requests[0].headers["traceparent"] == "mine"


def test_uninstrument_puts_the_propagator_back(spans: Spans, provider: ScriptedProvider) -> None:
    """The application's own object, also the one that it has set in the meantime."""
    first, second = propagate.get_global_textmap(), B3()
    otel_llm.instrument(tracer_provider=spans.provider)
    _openai(provider)
    assert propagate.get_global_textmap() is not first
    assert propagate.get_global_textmap().fields == first.fields
    otel_llm.uninstrument()
    assert propagate.get_global_textmap() is first
    otel_llm.instrument(tracer_provider=spans.provider)
    _openai(provider)
    propagate.set_global_textmap(second)
    otel_llm.uninstrument()
    assert propagate.get_global_textmap() is second
    _openai(provider)
    assert _sent(provider)[-1] == {"b3"}


def test_extracting_is_the_applications_own(spans: Spans, provider: ScriptedProvider) -> None:
    """What comes in is read by the propagator that the application has."""
    otel_llm.instrument(tracer_provider=spans.provider)
    _openai(provider)
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    found = propagate.extract({"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "baggage": "user.id=bob"})
    assert f"{get_current_span(found).get_span_context().trace_id:032x}" == trace_id
    assert baggage.get_baggage("user.id", found) == "bob"


PROGRAM = """
import otel_llm, httpx2, openai
from opentelemetry import baggage, context, propagate
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
first = propagate.get_global_textmap()
otel_llm.instrument()
HTTPX2ClientInstrumentor().instrument()
context.attach(baggage.set_baggage("user.id", "ada"))
openai.OpenAI(api_key="x", base_url={base!r}).chat.completions.create(
    model="m", messages=[{{"role": "user", "content": "hi"}}])
httpx2.get({backend!r})
otel_llm.uninstrument()
assert propagate.get_global_textmap() is first
"""


@pytest.mark.parametrize(("propagators", "sent"), [("tracecontext", {"traceparent"}), ("none", set())])
def test_the_standard_variable_is_kept_to(
    propagators: str, sent: set[str], provider: ScriptedProvider, tmp_path: Path
) -> None:
    """``OTEL_PROPAGATORS`` decides what goes to the application's own backend; nothing goes to a provider."""
    with ScriptedProvider() as backend:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(base=provider.openai_base_url, backend=backend.url)],
            env=clean | {"OTEL_PROPAGATORS": propagators, "OTEL_TRACES_EXPORTER": "console"},
            capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        assert _sent(backend) == [sent]
    assert _nothing_sent(provider)
