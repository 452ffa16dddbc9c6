"""The spans of calls are the SDK's own, to whoever looks at them, changes them or ends them; and unsampled ones too."""

from __future__ import annotations

import asyncio
import copy
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from unittest.mock import MagicMock

import openai
import pytest
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision, ParentBased, SamplingResult, StaticSampler
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, StatusCode, TraceFlags, set_span_in_context

import otel_llm
from otel_llm import config
from otel_llm.interceptor import Interceptor
from otel_llm.invocation import Invocation
from otel_llm.span import Starter
from otel_llm.testing import Reply, ScriptedProvider
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is a flame?"}]}
INPUT = "gen_ai.input.messages"


class Kept(SpanExporter):
    """Keeps what a batch processor hands on; ``change`` may do something with each span first."""

    def __init__(self, change: Any = None) -> None:
        self.spans: list[ReadableSpan] = []
        self.change = change

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keeps them."""
        for span in spans:
            if self.change:
                self.change(span)
        self.spans += spans
        return SpanExportResult.SUCCESS


class Changed(SpanProcessor):
    """Does something with a span at its end, or before it begins."""

    def __init__(self, change: Any, start: Any = None) -> None:
        self.change = change
        self.start = start

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """A span begins."""
        if self.start:
            self.start(span)

    def on_end(self, span: ReadableSpan) -> None:
        """A span has ended."""
        self.change(span)


class During(Interceptor):
    """Does something while a call is in flight, as a tool would."""

    policy = False

    def __init__(self, act: Any) -> None:
        self.act = act

    def after(self, call: Invocation) -> None:
        """Does it."""
        self.act(call.span)


def _redact(span: Any) -> None:
    span._attributes = {"redacted": True}
    span._events = []
    span._links = []


@pytest.fixture
def batch() -> Iterator[tuple[TracerProvider, Kept]]:
    """A provider with the SDK's batch processor alone, which is how applications have it."""
    provider, kept = TracerProvider(shutdown_on_exit=False), Kept()
    provider.add_span_processor(BatchSpanProcessor(kept))
    yield provider, kept
    otel_llm.uninstrument()
    provider.shutdown()


def _one(provider: TracerProvider, kept: Kept) -> ReadableSpan:
    provider.force_flush()
    (span,) = kept.spans
    return span


# To processors and exporters ------------------------------------------------------------------


def test_a_span_is_like_the_sdks(batch: tuple[TracerProvider, Kept], openai_client: Any) -> None:
    """In every property, in JSON and on the wire; nothing is late in it."""
    provider, kept = batch
    otel_llm.instrument(tracer_provider=provider, capture_content=True)
    openai_client.chat.completions.create(**CHAT)
    span: Any = _one(provider, kept)
    with provider.get_tracer("like").start_as_current_span("like", attributes=dict(span.attributes)) as like:
        pass
    assert isinstance(span, ReadableSpan)
    names = [name for name in dir(ReadableSpan) if isinstance(getattr(ReadableSpan, name), property)]
    for name in set(names) - {"instrumentation_info"}:
        assert type(getattr(span, name)) is type(getattr(like, name)), name
    assert span.attributes == like.attributes
    assert (span.dropped_attributes, span.dropped_events, span.dropped_links) == (0, 0, 0)
    assert not span.is_recording()
    assert span.resource is provider.resource
    (written,) = encode_spans([span]).resource_spans[0].scope_spans[0].spans
    assert {each.key for each in written.attributes} == set(span.attributes)
    assert '"gen_ai.request.model": "gpt-5-mini"' in span.to_json()


@pytest.mark.parametrize("where", ["processor", "exporter"])
def test_who_redacts_a_span_is_heard(where: str, openai_client: Any) -> None:
    """A processor or an exporter that puts other attributes on a span: nothing else goes out."""
    provider, kept = TracerProvider(shutdown_on_exit=False), Kept(_redact if where == "exporter" else None)
    if where == "processor":
        provider.add_span_processor(Changed(_redact))
        provider.add_span_processor(Changed(kept.spans.append))
    else:
        provider.add_span_processor(BatchSpanProcessor(kept))
    otel_llm.instrument(tracer_provider=provider, capture_content=True)
    openai_client.chat.completions.create(**CHAT)
    otel_llm.uninstrument()
    provider.force_flush()
    (span,) = kept.spans
    if where == "exporter":
        assert span.attributes == {"redacted": True}
        encode_spans([span])
    else:
        assert "redacted" in str(span.attributes)
    provider.shutdown()


def test_a_span_can_be_copied(openai_client: Any, provider: ScriptedProvider) -> None:
    """In a processor, of a call that failed and on which the application has put something."""
    provider.script([Reply(status=500, error="no")])
    tracers, copies = TracerProvider(shutdown_on_exit=False), []
    tracers.add_span_processor(Changed(lambda span: copies.append(copy.deepcopy(span))))
    otel_llm.instrument(
        tracer_provider=tracers, interceptors=[During(lambda span: span.add_event("seen", {"by": "test"}))]
    )
    with pytest.raises(openai.InternalServerError):
        openai_client.chat.completions.create(**CHAT)
    otel_llm.uninstrument()
    (found,) = copies
    assert found.status.status_code is StatusCode.ERROR
    assert [event.name for event in found.events] == ["seen"]


# What the application does with it ------------------------------------------------------------


def test_what_the_application_adds_is_kept_and_steers_nothing(
    batch: tuple[TracerProvider, Kept], openai_client: Any
) -> None:
    """Attributes, events, links and a name; those that are ours to say are as we say them."""
    tracers, kept = batch

    def act(span: Any) -> None:
        span.set_attribute("app.tuple", [1, 2])
        span.set_attribute("gen_ai.request.model", "mine")
        span.set_attribute("error.type", "mine")
        span.add_event("happened")
        span.add_link(span.get_span_context())
        span.update_name("renamed")

    otel_llm.instrument(tracer_provider=tracers, capture_content=True, interceptors=[During(act)])
    openai_client.chat.completions.create(**CHAT)
    span: Any = _one(tracers, kept)
    assert span.attributes["app.tuple"] == (1, 2)
    assert span.attributes["gen_ai.request.model"] == "gpt-5-mini"
    assert INPUT in span.attributes
    assert span.status.status_code is StatusCode.UNSET
    assert (span.name, len(span.events), len(span.links)) == ("renamed", 1, 1)


def test_the_limit_of_attributes_holds(openai_client: Any) -> None:
    """More than a span may have: the SDK's limit is kept, and it counts what it drops."""
    provider, kept = TracerProvider(span_limits=SpanLimits(max_span_attributes=127), shutdown_on_exit=False), Kept()
    provider.add_span_processor(BatchSpanProcessor(kept))

    def act(span: Any) -> None:
        for number in range(120):
            span.set_attribute(f"app.{number}", number)

    otel_llm.instrument(tracer_provider=provider, capture_content=True, interceptors=[During(act)])
    openai_client.chat.completions.create(**CHAT)
    span: Any = _one(provider, kept)
    otel_llm.uninstrument()
    assert len(span.attributes) == 127
    assert span.dropped_attributes > 0
    assert INPUT in span.attributes
    assert span.attributes["gen_ai.request.model"] == "gpt-5-mini"
    assert "otel_llm.content.truncated" not in span.attributes
    provider.shutdown()


def test_who_ends_our_span_has_ended_it(batch: tuple[TracerProvider, Kept], openai_client: Any) -> None:
    """It is exported once, with what was on it by then."""
    provider, kept = batch

    def act(span: Any) -> None:
        span.set_attribute("app.x", [1])
        span.end()

    otel_llm.instrument(tracer_provider=provider, interceptors=[During(act)])
    openai_client.chat.completions.create(**CHAT)
    span: Any = _one(provider, kept)
    assert span.attributes["app.x"] == (1,)
    assert span.attributes["gen_ai.request.model"] == "gpt-5-mini"
    assert "gen_ai.response.model" not in span.attributes


def test_threads_that_look_at_a_span_while_it_ends(batch: tuple[TracerProvider, Kept], openai_client: Any) -> None:
    """Who reads, adds and ends in another thread meets no error, and each span ends once with all that is ours."""
    provider, kept = batch
    current: list[Any] = []
    errors: list[BaseException] = []
    stop = threading.Event()

    def look(what: int) -> None:
        while not stop.is_set():
            for span in current[-1:]:
                try:
                    if what == 0:
                        dict(span.attributes)
                    elif what == 1:
                        span.set_attribute("app.time", time.monotonic_ns())
                    else:
                        list(span.events)
                except BaseException as error:
                    errors.append(error)

    otel_llm.instrument(tracer_provider=provider, capture_content=True, interceptors=[During(current.append)])
    threads = [threading.Thread(target=look, args=(number,)) for number in range(3)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for _ in range(60):
            openai_client.chat.completions.create(**CHAT)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)
    provider.force_flush()
    assert errors == []
    assert len({span.context.span_id for span in kept.spans if span.context}) == len(kept.spans) == 60
    assert all(INPUT in (span.attributes or {}) for span in kept.spans)


# Samplers -------------------------------------------------------------------------------------


class Asked(StaticSampler):
    """A sampler that hands no attributes on, and keeps those that it was shown."""

    shown: Any = None

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        """Samples."""
        self.shown = args[4]
        return SamplingResult(Decision.RECORD_AND_SAMPLE)


def test_a_sampler_that_hands_no_attributes_on(openai_client: Any) -> None:
    """The span has them in the end, and what the sampler was shown stays as it was."""
    sampler, exporter = Asked(Decision.RECORD_AND_SAMPLE), InMemorySpanExporter()
    provider = TracerProvider(sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel_llm.instrument(tracer_provider=provider)
    openai_client.chat.completions.create(**CHAT)
    otel_llm.uninstrument()
    (span,) = exporter.get_finished_spans()
    assert span.attributes
    assert span.attributes["gen_ai.operation.name"] == "chat"
    assert "gen_ai.response.model" not in sampler.shown


SAMPLERS = {
    "on": ALWAYS_ON,
    "off": ALWAYS_OFF,
    "parent": ParentBased(ALWAYS_ON),
    "parent, off": ParentBased(ALWAYS_OFF),
    "parent, odd": ParentBased(ALWAYS_ON, remote_parent_sampled=ALWAYS_OFF, local_parent_not_sampled=ALWAYS_ON),
}


def _parents() -> dict[str, Any]:
    found: dict[str, Any] = {"none": None, "invalid": trace.INVALID_SPAN, "no span": "odd"}
    for remote in (False, True):
        for flags in range(4):
            identity = SpanContext(7, 9, remote, TraceFlags(flags), trace.TraceState([("k", "v")]))
            found[f"remote={remote} flags={flags}"] = NonRecordingSpan(identity)
    return found


@pytest.mark.parametrize("parent", _parents())
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_span_is_sampled_as_the_sdk_does(sampler: str, parent: str) -> None:
    """Whether it is recorded, its trace, flags and state: below any parent, whoever starts it."""
    provider = TracerProvider(SAMPLERS[sampler], shutdown_on_exit=False)
    tracer = provider.get_tracer("otel_llm")
    starter = Starter.of(tracer)
    assert starter is not None
    around = _parents()[parent]
    here = context.Context() if around is None else set_span_in_context(around, context.Context())

    def told(span: Span) -> Any:
        identity = span.get_span_context()
        below = identity.trace_id == 7
        return span.is_recording(), below, identity.trace_flags, identity.trace_state, identity.is_remote

    theirs = told(tracer.start_span("x", here))
    assert told(starter.start("x", trace.SpanKind.CLIENT, {}, here)) == theirs
    unseen = starter.unseen(here)
    assert (unseen is None) == theirs[0]
    if unseen is not None:
        assert told(unseen) == theirs


def test_a_tracer_that_is_turned_off(openai_client: Any) -> None:
    """Nothing takes the place of the parent."""
    provider = TracerProvider(ALWAYS_OFF, shutdown_on_exit=False)
    starter = Starter.of(provider.get_tracer("otel_llm"))
    assert starter is not None
    starter._tracer._is_enabled = lambda: False
    assert starter.unseen(context.Context()) is None


# Calls that nobody looks at -------------------------------------------------------------------


@pytest.fixture
def unsampled() -> Iterator[None]:
    """No call is sampled."""
    otel_llm.instrument(tracer_provider=TracerProvider(ALWAYS_OFF, shutdown_on_exit=False))
    yield
    otel_llm.uninstrument()


@pytest.mark.usefixtures("unsampled")
def test_errors_of_unsampled_calls_are_the_sdks(
    openai_client: Any, gemini_client: Any, provider: ScriptedProvider
) -> None:
    """Of the provider, of the caller's own mistake, and of who presses Ctrl-C; sync and async."""
    provider.script(lambda request: Reply(status=429, error="slow down"))
    google = sys.modules["google.genai.errors"]

    async def ask() -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client:
            await client.chat.completions.create(**CHAT)

    for stream in (False, True):
        with pytest.raises(openai.RateLimitError):
            openai_client.chat.completions.create(**CHAT, stream=stream)
    with pytest.raises(openai.RateLimitError):
        asyncio.run(ask())
    with pytest.raises(google.ClientError):
        gemini_client.models.generate_content(model="gemini-2.5-flash", contents="hi")
    with pytest.raises(TypeError, match="Missing required arguments"):
        openai_client.chat.completions.create()
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.usefixtures("unsampled")
def test_nothing_is_made_of_an_unsampled_call(openai_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is its request read, nor who is asked."""

    def made(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was made")

    monkeypatch.setattr(config, "_said", set())
    monkeypatch.setattr("otel_llm.flow.Invocation", made)
    monkeypatch.setattr(Invocation, "read_request", made)
    assert openai_client.chat.completions.create(**CHAT).choices
    assert config._said == set()


@pytest.mark.usefixtures("unsampled")
def test_a_page_of_an_unsampled_call(provider: ScriptedProvider) -> None:
    """What asks when it is awaited, and fails then."""

    async def ask() -> Any:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client:
            return await client.vector_stores.search("vs_1", query="a flame")

    assert type(asyncio.run(ask())).__name__.startswith("AsyncPage")
    provider.script([Reply(status=500, error="no")])
    with pytest.raises(openai.InternalServerError):
        asyncio.run(ask())


# Interceptors of any kind ---------------------------------------------------------------------


class OnlyBefore:
    """Has one side, and no place for anything else."""

    __slots__ = ("asked",)
    policy = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def before(self, call: Invocation) -> None:
        """Notes a call."""
        self.asked += call.input_texts()


class Through:
    """Stands for another interceptor."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.parametrize("kind", ["one side", "behind another", "mock"])
def test_an_interceptor_of_any_kind(kind: str, spans: Spans, openai_client: Any) -> None:
    """One that has not all that it should, or has it otherwise, harms no call."""
    only = OnlyBefore()
    made: Any = {"one side": only, "behind another": Through(only), "mock": MagicMock(policy=False)}[kind]
    if kind == "mock":
        made.before.return_value = None
    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[made])
    assert openai_client.chat.completions.create(**CHAT).choices
    assert made.before.called if kind == "mock" else only.asked == ["What is a flame?"]
    assert spans.attributes()["gen_ai.request.model"] == "gpt-5-mini"
