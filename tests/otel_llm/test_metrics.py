"""Metrics of all calls: names, units, boundaries, labels, and every call whatever is sampled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from opentelemetry import metrics as api
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otel_llm
from otel_llm import config, metrics
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "Why?"}]}
STREAM: dict[str, Any] = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
REPLY = Reply("one two three", usage=Usage(input=10, output=6, reasoning=2), chunks=3)

DURATION, TOKENS = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
FIRST, NEXT = "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"
COST = "otel_llm.cost"

#: All that a label may be called: none of them names a user, a session or a request.
LABELS = {
    "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model",
    "gen_ai.prompt.name", "gen_ai.prompt.version", "gen_ai.token.type", "server.address", "server.port", "error.type",
    "otel_llm.call.type", "otel_llm.experiment.variant", "otel_llm.guardrail.outcome", "otel_llm.cost.currency",
}  # fmt: skip


class Readings:
    """A meter provider, and what it has been told."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def all(self) -> dict[str, Any]:
        """The metrics by name."""
        found = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (found.resource_metrics if found else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Any]:
        """The points of a metric; none where nothing was told."""
        metric = self.all().get(name)
        return [] if metric is None else list(metric.data.data_points)


@pytest.fixture
def readings(provider: ScriptedProvider) -> Iterator[Readings]:
    """Nothing is instrumented yet."""
    provider.script(lambda request: REPLY)
    readings = Readings()
    yield readings
    otel_llm.uninstrument()
    readings.provider.shutdown()


def test_a_stream_in_all_metrics(readings: Readings, spans: Spans, openai_client: Any) -> None:
    """Names, units, boundaries and values, with the labels of the call."""
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=readings.provider)
    with otel_llm.context(user_id="ada", session_id="s1", request_id="r1", call_type="chat", tags=["t"]):
        chunks = list(openai_client.chat.completions.create(**STREAM))
    found = readings.all()
    assert {name: metric.unit for name, metric in found.items()} == {
        DURATION: "s", TOKENS: "{token}", FIRST: "s", NEXT: "s", COST: "{currency}",
    }  # fmt: skip
    for name, bounds in ((DURATION, metrics.SECONDS), (FIRST, metrics.SECONDS), (TOKENS, metrics.TOKENS)):
        assert readings.points(name)[0].explicit_bounds == bounds
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in readings.points(TOKENS)} == {
        "input": 10, "output": 6,
    }  # fmt: skip
    (gaps,) = readings.points(NEXT)
    assert gaps.count == len(chunks) - 1
    (duration,) = readings.points(DURATION)
    assert duration.count == 1
    assert gaps.sum <= duration.sum
    assert dict(duration.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.model": "gpt-5-mini",
        "server.address": "127.0.0.1",
        "server.port": duration.attributes["server.port"],
        "otel_llm.call.type": "chat",
    }
    (cost,) = readings.points(COST)
    assert cost.value == spans.attributes()["otel_llm.cost.total"]
    assert cost.attributes["otel_llm.cost.currency"] == "USD"
    assert {name for metric in found for point in readings.points(metric) for name in point.attributes} <= LABELS


CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "chat": lambda client, _: client.chat.completions.create(**CHAT),
    "responses": lambda client, _: client.responses.create(model="gpt-5-mini", input="Why?"),
    "embeddings": lambda client, _: client.embeddings.create(model="text-embedding-3-small", input="Why?"),
    "generate_content": lambda _, client: client.models.generate_content(model="gemini-2.5-flash", contents="Why?"),
    "stream": lambda _, client: list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="Why?")),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls_are_counted_whatever_is_sampled(
    call: str, readings: Readings, openai_client: Any, gemini_client: Any
) -> None:
    """No span at all, and every call in the metrics, priced."""
    otel_llm.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF), meter_provider=readings.provider)
    for _ in range(3):
        CALLS[call](openai_client, gemini_client)
    assert readings.points(DURATION)[0].count == 3
    assert {point.count for point in readings.points(TOKENS)} == {3}
    assert readings.points(COST)[0].value > 0


def test_a_failure_has_its_type(
    readings: Readings, spans: Spans, provider: ScriptedProvider, openai_client: Any
) -> None:
    """A duration, no tokens, no cost."""
    provider.script(lambda request: Reply(status=500, error="no"))
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=readings.provider)
    with pytest.raises(openai.InternalServerError):
        openai_client.chat.completions.create(**CHAT)
    assert readings.points(DURATION)[0].attributes["error.type"] == "500"
    assert readings.points(TOKENS) == readings.points(COST) == []


def test_a_stream_left_early_is_counted(readings: Readings, spans: Spans, openai_client: Any) -> None:
    """Its duration and its first chunk; nothing is guessed of its tokens."""
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=readings.provider)
    with openai_client.chat.completions.create(**STREAM) as stream:
        next(iter(stream))
    assert readings.points(DURATION)[0].count == readings.points(FIRST)[0].count == 1
    assert readings.points(NEXT) == readings.points(TOKENS) == []


def test_a_label_has_a_bounded_number_of_values(readings: Readings, spans: Spans, openai_client: Any) -> None:
    """Models beyond the most are ``other``; a model that was there before keeps its name."""
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=readings.provider)
    counted = metrics.Metrics(readings.provider, "0", {})
    for number in range(metrics.MOST + 50):
        counted.record({"gen_ai.request.model": f"model-{number}"}, 0.1, ())
    counted.record({"gen_ai.request.model": "model-0"}, 0.1, ())
    points = {point.attributes["gen_ai.request.model"]: point.count for point in readings.points(DURATION)}
    assert len(points) == metrics.MOST + 1
    assert points[metrics.OTHER] == 50
    assert points["model-0"] == 2


def test_steps_that_ask_nobody_are_not_client_operations(readings: Readings, spans: Spans) -> None:
    """A tool is no call to a provider."""
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=readings.provider)
    with otel_llm.kinds.tool("weather"):
        pass
    assert len(spans.all()) == 1
    assert readings.all() == {}


def test_a_meter_that_fails_harms_nobody(
    readings: Readings,
    spans: Spans,
    openai_client: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer comes, the span is whole, and it is said once."""

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(config, "_said", set())
    monkeypatch.setattr(metrics.Metrics, "_labels", broken)
    otel_llm.instrument(tracer_provider=spans.provider, meter_provider=readings.provider)
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        for _ in range(2):
            assert openai_client.chat.completions.create(**CHAT).choices
    assert [span.attributes["gen_ai.usage.output_tokens"] for span in spans.all() if span.attributes] == [6, 6]
    assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
        "otel_llm failed in the metrics of a call"
    ]


def test_the_applications_provider_is_used_whenever_it_comes(
    readings: Readings, spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Set after ``instrument()``, it has the calls from then on."""
    otel_llm.instrument(tracer_provider=spans.provider)
    openai_client.chat.completions.create(**CHAT)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: readings.provider)
    openai_client.chat.completions.create(**CHAT)
    assert readings.points(DURATION)[0].count == 1
    assert type(api.get_meter_provider()).__name__ == "_ProxyMeterProvider"
