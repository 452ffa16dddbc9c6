"""What tests of the library share: spans in memory, the scripted provider, both SDKs sync and async."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_llm
from otel_llm import ongoing
from otel_llm.reaper import settle
from otel_llm.testing import ScriptedProvider

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job of a shell's background, and in all that it starts
    signal.signal(signal.SIGINT, signal.default_int_handler)


class Spans:
    """The spans that have ended, and a provider that keeps them."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> list[ReadableSpan]:
        """Every span so far, those of dropped streams included."""
        settle()
        return list(self.exporter.get_finished_spans())

    def one(self) -> ReadableSpan:
        """The only span."""
        (span,) = self.all()
        return span

    def attributes(self) -> dict[str, Any]:
        """The attributes of the only span."""
        return dict(self.one().attributes or {})


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Spans in memory; nothing is instrumented yet."""
    spans = Spans()
    ongoing._works.clear()  # the scripted provider's ids are the same in every test
    yield spans
    otel_llm.uninstrument()
    spans.provider.shutdown()


@pytest.fixture
def instrumented(spans: Spans) -> Spans:
    """Both SDKs instrumented, content captured."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    return spans


@pytest.fixture
def provider() -> Iterator[ScriptedProvider]:
    """A scripted provider on loopback."""
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture
def openai_client(provider: ScriptedProvider) -> Iterator[Any]:
    """OpenAI's client, talking to the scripted provider, without retries."""
    import openai

    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def gemini_client(provider: ScriptedProvider) -> Iterator[Any]:
    """Google's client, talking to the scripted provider."""
    from tests.support.google_sdk import opened

    with opened(provider) as client:
        yield client
