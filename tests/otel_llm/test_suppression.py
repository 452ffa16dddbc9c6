"""``suppress_instrumentation()`` comes before everything: sync, async and streamed, by either of its keys."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from google import genai
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import otel_llm
from otel_llm import config
from otel_llm.guardrails import PII
from otel_llm.testing import ScriptedProvider
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hi"}


@pytest.fixture(params=[otel_context._SUPPRESS_INSTRUMENTATION_KEY, "suppress_instrumentation"], ids=["key", "older"])
def suppressed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything is suppressed, by one of the keys."""
    token = otel_context.attach(otel_context.set_value(request.param, True))
    yield
    otel_context.detach(token)


@pytest.mark.usefixtures("suppressed")
def test_nothing_is_recorded_counted_or_wrapped(
    spans: Spans, openai_client: Any, gemini_client: Any, provider: ScriptedProvider
) -> None:
    """No span, no metric, and streams are the SDKs' own objects."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)
    last = otel_llm.last_call()
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=meters)
    openai_client.chat.completions.create(**CHAT)
    stream = openai_client.chat.completions.create(**CHAT, stream=True)
    lazy = gemini_client.models.generate_content_stream(**GEMINI)
    assert (type(stream), type(lazy)) == (openai.Stream, types.GeneratorType)
    assert list(stream)
    assert list(lazy)

    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            await client.embeddings.create(model="text-embedding-3-small", input="hi")
            assert type(await client.chat.completions.create(**CHAT, stream=True)) is openai.AsyncStream
        aio = genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}).aio
        assert type(await aio.models.generate_content_stream(**GEMINI)) is types.AsyncGeneratorType
        await aio.aclose()

    asyncio.run(ask())
    assert spans.all() == []
    assert reader.get_metrics_data() is None
    assert otel_llm.last_call() == last
    meters.shutdown()


def test_it_is_asked_before_any_work_is_done(spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the request is read nor a policy asked: who suppresses wants the SDK as it is."""
    monkeypatch.setattr(otel_llm.invocation.Invocation, "__init__", None)
    monkeypatch.setattr(config, "_said", set())
    otel_llm.instrument(tracer_provider=spans.provider, guardrails=[PII(action="block")])
    with suppress_instrumentation():
        openai_client.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "Write to ada@example.org"}]
        )
    assert config._said == set(), "a call was begun"
    openai_client.chat.completions.create(**CHAT)
    assert config._said, "one that is begun is seen"


Start = Callable[[Any, Any], Any]


@pytest.mark.parametrize(
    "start",
    [
        lambda client, gemini: client.responses.create(model="gpt-5-mini", input="hi", stream=True),
        lambda client, gemini: gemini.models.generate_content_stream(**GEMINI),
    ],
    ids=["eager", "lazy"],
)
def test_a_stream_belongs_to_where_it_was_asked_for(
    start: Start, spans: Spans, openai_client: Any, gemini_client: Any
) -> None:
    """Begun outside and read inside, it is recorded, and its HTTP request stays silent; the other way it is not."""
    HTTPX2ClientInstrumentor().instrument(tracer_provider=spans.provider)
    try:
        otel_llm.instrument(tracer_provider=spans.provider)
        stream = start(openai_client, gemini_client)
        begun = len(spans.all())  # an eager SDK has sent its request
        with suppress_instrumentation():
            assert list(stream)
        assert len(spans.all()) == begun + 1
        assert (spans.all()[-1].attributes or {})["otel_llm.stream.outcome"] == "completed"
        spans.exporter.clear()
        with suppress_instrumentation():
            stream = start(openai_client, gemini_client)
            first = next(stream)
        assert first is not None
        assert list(stream)
        assert spans.all() == []
    finally:
        HTTPX2ClientInstrumentor().uninstrument()


def test_a_value_that_is_false_suppresses_nothing(instrumented: Spans, openai_client: Any) -> None:
    """The key may be there, and say no; the other one is asked then."""
    token = otel_context.attach(otel_context.set_value("suppress_instrumentation", False))
    try:
        openai_client.chat.completions.create(**CHAT)
        assert len(instrumented.all()) == 1
        with suppress_instrumentation():
            openai_client.chat.completions.create(**CHAT)
        assert len(instrumented.all()) == 1
    finally:
        otel_context.detach(token)
