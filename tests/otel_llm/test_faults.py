"""Whatever of ours fails, wherever: the call gives what it would have given without us, and the log has one line."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Meter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision, StaticSampler

import otel_llm
from otel_llm import invocation, record, span, stream
from otel_llm.guardrails import Guardrail
from otel_llm.invocation import Invocation
from otel_llm.pricing import Pricing
from tests.conftest import Spans
from tests.support.faults import Fault, afresh, cases, complaints, fail, unaffected
from tests.support.inprocess import ASKED, Clients, Wire

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture(scope="module")
def clients() -> Clients:
    """Both SDKs, answered in this process."""
    return Clients(Wire())


@pytest.fixture(scope="module")
def without(clients: Clients) -> dict[bool, Any]:
    """What calls give without us, sync and async."""
    return {asynchronous: unaffected(clients, asynchronous) for asynchronous in (False, True)}


@pytest.fixture(autouse=True)
def as_new(monkeypatch: pytest.MonkeyPatch, clients: Clients) -> Iterator[None]:
    """Nothing has failed yet; at the end nothing is current."""
    with afresh(monkeypatch, clients):
        yield


class Hookish:
    """A completion hook that fails."""

    on_completion = staticmethod(fail)


class Interceptor:
    """An interceptor that fails on the way in, and on the way out."""

    policy = False
    before = after = staticmethod(fail)


# Places --------------------------------------------------------------------------------------

#: What fails, by name: how it is set up, what ``instrument`` is given, and whether spans can still end.
Setting = Callable[[pytest.MonkeyPatch, Spans], dict[str, Any]]


def _processor(method: str) -> Setting:
    def set_up(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
        processor = SpanProcessor()
        monkeypatch.setattr(processor, method, fail, raising=False)
        spans.provider.add_span_processor(processor)
        return {}

    return set_up


def _exporter(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
    exporter = type("Exporter", (SpanExporter,), {"export": fail, "shutdown": lambda self: None})()
    spans.provider.add_span_processor(SimpleSpanProcessor(exporter))
    return {}


def _tracer(**settings: Any) -> Setting:
    def set_up(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
        return {"tracer_provider": TracerProvider(shutdown_on_exit=False, **settings)}

    return set_up


def _patched(target: Any, name: str, **arguments: Any) -> Setting:
    def set_up(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
        monkeypatch.setattr(target, name, fail)
        return arguments

    return set_up


def _clock(module: Any) -> Setting:
    def set_up(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=fail, time_ns=fail))
        return {"meter_provider": MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)}

    return set_up


def _meters(kind: str) -> Setting:
    def set_up(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
        meters = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
        meter = meters.get_meter("otel_llm")
        made = meter.create_histogram("x") if kind == "record" else meter.create_counter("x")
        monkeypatch.setattr(type(made), kind, fail)
        return {"meter_provider": meters}

    return set_up


def _emitter(monkeypatch: pytest.MonkeyPatch, spans: Spans) -> dict[str, Any]:
    exporter: Any = InMemoryLogRecordExporter
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(exporter()))
    monkeypatch.setattr(type(loggers.get_logger("x")), "emit", fail)
    return {"logger_provider": loggers, "capture_content": "SPAN_AND_EVENT", "start_events": True}


class Ids(RandomIdGenerator):
    """Generates nothing."""

    generate_trace_id = generate_span_id = fail


class Sampler(StaticSampler):
    """Decides nothing."""

    should_sample = fail


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule(Guardrail):
    """A rule that cannot be applied."""

    def count(self, text: str) -> int:
        """Fails."""
        raise Fault(text)


PLACES: dict[str, tuple[Setting, bool]] = {
    "prices": (_patched(Pricing, "after"), True),
    "interceptor": (lambda monkeypatch, spans: {"interceptors": [Interceptor()]}, True),
    "rule": (lambda monkeypatch, spans: {"guardrails": [Rule(name="rule", action="block")]}, True),
    "redact": (lambda monkeypatch, spans: {"redact": fail, "capture_content": True}, True),
    "completion hook": (lambda monkeypatch, spans: {"completion_hook": Hookish()}, True),
    "histogram": (_meters("record"), True),
    "instruments": (_patched(Meter, "create_histogram", meter_provider=MeterProvider(shutdown_on_exit=False)), True),
    "log emitter": (_emitter, True),
    "on_start": (_processor("on_start"), False),
    "on_end": (_processor("on_end"), True),
    "exporter": (_exporter, True),
    "ids": (_tracer(id_generator=Ids()), False),
    "sampler": (_tracer(sampler=Sampler(Decision.RECORD_AND_SAMPLE)), False),
    "propagator": (_patched(propagate, "get_global_textmap"), True),
    "clock of spans": (_patched(span, "time_ns"), False),
    "clock of calls": (_clock(invocation), False),
    "clock of chunks": (_clock(stream), True),
    "clock at the end": (_clock(record), True),
}


@BOTH
@pytest.mark.parametrize("place", PLACES)
def test_a_place_that_fails(
    place: str, asynchronous: bool, spans: Spans, clients: Clients, without: dict[bool, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Answers and errors are what they are without us, and what failed is said once, however many calls there were."""
    set_up, ends = PLACES[place]
    otel_llm.instrument(**{"tracer_provider": spans.provider, **set_up(monkeypatch, spans)})
    assert clients.try_all(cases(), asynchronous) == without[asynchronous]
    clients.wire.error = KeyError("of the transport")
    given = clients.try_all(cases(), asynchronous)
    monkeypatch.undo()
    said = complaints(caplog)
    otel_llm.uninstrument()
    assert given == clients.try_all(cases(), asynchronous)
    assert len(said) == len(set(said))
    assert said or place == "exporter"  # which the SDK's processor sees to
    assert len(spans.all()) == (2 * len(ASKED) if ends else 0)


class Stopped(Interceptor):
    """An interceptor in which the program is told to stop."""

    def __init__(self, where: str) -> None:
        self.where = where

    def before(self, call: Invocation) -> None:
        """Stops, or lets the call pass."""
        if self.where == "before":
            raise KeyboardInterrupt(self.where)

    def after(self, call: Invocation) -> None:
        """Stops."""
        raise KeyboardInterrupt(self.where)


@BOTH
@pytest.mark.parametrize("where", ["before", "after"])
def test_an_interrupt_passes(where: str, asynchronous: bool, spans: Spans, clients: Clients) -> None:
    """Who presses Ctrl-C wants the program to stop, whatever it was about; the span ends all the same."""
    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[Stopped(where)])
    kwargs: Any = ASKED["embeddings"].kwargs

    def call() -> None:
        if asynchronous:
            asyncio.run(clients.async_openai.embeddings.create(**kwargs))
        clients.openai.embeddings.create(**kwargs)

    with pytest.raises(KeyboardInterrupt, match=where):
        call()
    assert len(spans.all()) == 1


class Undecided:
    """What an application may keep in its context: an array says that it is neither true nor false."""

    __bool__ = __eq__ = fail
    __hash__ = object.__hash__


@BOTH
def test_the_applications_context_is_its_own(
    asynchronous: bool, spans: Spans, clients: Clients, without: dict[bool, Any]
) -> None:
    """Nothing is asked of the values in it but of those that suppress."""
    otel_llm.instrument(tracer_provider=spans.provider)
    token = attach(set_value("array", Undecided()))
    try:
        assert clients.try_all(cases(), asynchronous) == without[asynchronous]
    finally:
        detach(token)
    assert len(spans.all()) == len(ASKED)
