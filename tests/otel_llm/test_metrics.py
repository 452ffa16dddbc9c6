"""Metrics of every call: names, units, boundaries, labels; both SDKs, whatever is sampled, however a call ends."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from typing import Any, ClassVar

import openai
import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    InMemoryMetricReader,
    MetricReader,
    NumberDataPoint,
)
from opentelemetry.sdk.metrics.view import DropAggregation, View
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, set_span_in_context

import otel_llm
from otel_llm import attributes as a
from otel_llm import config
from otel_llm import labels as bounds
from otel_llm.labels import OTHER, OVERFLOW
from otel_llm.metrics import LABELS, SECONDS, TOKENS
from otel_llm.reaper import settle
from otel_llm.series import Moment, Series
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans

DURATION, TOKEN_USAGE = "gen_ai.client.operation.duration", "gen_ai.client.token.usage"
FIRST, PER_CHUNK = "gen_ai.client.operation.time_to_first_chunk", "gen_ai.client.operation.time_per_output_chunk"
COST, TOOL = "otel_llm.cost", "gen_ai.execute_tool.duration"
ERROR, TYPE = "error.type", "gen_ai.token.type"

USAGE = Usage(input=300, output=250, cached=100, reasoning=50)
#: What a call of gpt-5-mini with that usage costs: 200 at 0.25, 100 cached at 0.025, 250 at 2 dollars a million.
DOLLARS = (200 * 0.25 + 100 * 0.025 + 250 * 2) / 1e6
GPT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
GEMINI = {"model": "gemini-2.5-flash", "contents": "hi"}


class Meters:
    """A MeterProvider, and what its reader has collected."""

    def __init__(self, *readers: MetricReader, **more: Any) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader, *readers], **more)

    def collected(self) -> dict[str, Any]:
        """Every metric of ours by name."""
        settle()
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            if scope.scope.name == "otel_llm"
            for metric in scope.metrics
        }

    def points(self, name: str) -> list[Any]:
        """The points of a metric."""
        metric = self.collected().get(name)
        return [] if metric is None else list(metric.data.data_points)

    def point(self, name: str, **labels: Any) -> Any:
        """The only point of a metric, or the only one with some labels."""
        (found,) = (point for point in self.points(name) if labels.items() <= dict(point.attributes).items())
        return found


@pytest.fixture
def meters() -> Iterator[Meters]:
    """Metrics in memory, of no call yet; nothing is sampled."""
    meters = Meters()
    otel_llm.instrument(
        tracer_provider=TracerProvider(sampler=ALWAYS_OFF), meter_provider=meters.provider, capture_content=False
    )
    yield meters
    otel_llm.uninstrument()
    meters.provider.shutdown()


class TestNames:
    """The conventions' names, units and boundaries."""

    def test_names_units_and_boundaries(self, meters: Meters, openai_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply("a b c", usage=USAGE, chunks=3)])
        for _ in openai_client.chat.completions.create(**GPT, stream=True, stream_options={"include_usage": True}):
            pass
        found = meters.collected()
        assert {name: metric.unit for name, metric in found.items()} == {
            DURATION: "s", TOKEN_USAGE: "{token}", FIRST: "s", PER_CHUNK: "s", COST: "{currency}",
        }  # fmt: skip
        for name, boundaries in ((DURATION, SECONDS), (FIRST, SECONDS), (PER_CHUNK, SECONDS), (TOKEN_USAGE, TOKENS)):
            assert found[name].data.data_points[0].explicit_bounds == boundaries
        assert SECONDS[0], SECONDS[-1] == (0.01, 81.92)
        assert TOKENS[-1] == 4**13
        assert found[COST].data.is_monotonic

    def test_names_as_prometheus_has_them(self, meters: Meters, openai_client: Any) -> None:
        """Its rules: dots to underscores, units spelt out, those in braces left out, ``_total`` on counters."""
        for _ in openai_client.chat.completions.create(**GPT, stream=True, stream_options={"include_usage": True}):
            pass
        names = set()
        for metric in meters.collected().values():
            name = re.sub(r"[^a-zA-Z0-9_:]", "_", metric.name)
            name += {"s": "_seconds"}.get(metric.unit, "" if metric.unit.startswith("{") else f"_{metric.unit}")
            names.add(name + ("_total" if hasattr(metric.data, "is_monotonic") else ""))
            for point in metric.data.data_points:
                assert all(re.fullmatch(r"[a-z_.]+", label) for label in point.attributes)
        assert names == {
            "gen_ai_client_operation_duration_seconds",
            "gen_ai_client_token_usage",
            "gen_ai_client_operation_time_to_first_chunk_seconds",
            "gen_ai_client_operation_time_per_output_chunk_seconds",
            "otel_llm_cost_total",
        }


class TestCalls:
    """What is counted of a call, though none is sampled."""

    def test_a_chat(self, meters: Meters, openai_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply("hi", usage=USAGE, model="gpt-5-mini-2025-08-07")])
        openai_client.chat.completions.create(**GPT)
        duration = meters.point(DURATION)
        assert duration.count == 1
        assert 0 < duration.sum < 30
        assert dict(duration.attributes) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5-mini",
            "gen_ai.response.model": "gpt-5-mini-2025-08-07",
            "server.address": "127.0.0.1",
            "server.port": int(provider.url.rpartition(":")[2]),
        }
        labels = dict(duration.attributes)
        asked, said = meters.point(TOKEN_USAGE, **{TYPE: "input"}), meters.point(TOKEN_USAGE, **{TYPE: "output"})
        assert (asked.sum, said.sum) == (300, 250)
        assert dict(asked.attributes) == {**labels, TYPE: "input"}
        cost = meters.point(COST)
        assert cost.value == pytest.approx(DOLLARS)
        assert dict(cost.attributes) == {**labels, "otel_llm.cost.currency": "USD"}
        assert meters.points(FIRST) == meters.points(PER_CHUNK) == []

    def test_a_generation(self, meters: Meters, gemini_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply("hi", usage=USAGE)])
        gemini_client.models.generate_content(**GEMINI)
        assert meters.point(TOKEN_USAGE, **{TYPE: "output"}).sum == 250
        assert meters.point(COST).value > 0
        assert meters.point(DURATION).attributes["gen_ai.operation.name"] == "generate_content"

    def test_async_calls(self, meters: Meters, provider: ScriptedProvider) -> None:
        """Of both SDKs."""

        async def main() -> None:
            from google import genai

            async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
                await client.chat.completions.create(**GPT)
                async for _ in await client.chat.completions.create(**GPT, stream=True):
                    pass
            google = genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url})
            await google.aio.models.generate_content(**GEMINI)
            async for _ in await google.aio.models.generate_content_stream(**GEMINI):
                pass
            await google.aio.aclose()

        asyncio.run(main())
        assert sum(point.count for point in meters.points(DURATION)) == 4
        assert sum(point.count for point in meters.points(FIRST)) == 2

    @pytest.mark.parametrize("sdk", ["openai", "gemini"])
    def test_each_chunk_after_the_first(
        self, sdk: str, meters: Meters, openai_client: Any, gemini_client: Any, provider: ScriptedProvider
    ) -> None:
        """A time to the first, a time for each that follows, and all of them together no longer than the call."""
        provider.script([Reply("word " * 20, usage=USAGE, chunks=20, chunk_delay=0.001)])
        if sdk == "openai":
            stream = openai_client.chat.completions.create(**GPT, stream=True, stream_options={"include_usage": True})
        else:
            stream = gemini_client.models.generate_content_stream(**GEMINI)
        chunks = len(list(stream))
        first, later, whole = meters.point(FIRST), meters.point(PER_CHUNK), meters.point(DURATION)
        assert (first.count, later.count) == (1, chunks - 1)
        assert 0 < first.sum + later.sum <= whole.sum
        assert meters.point(TOKEN_USAGE, **{TYPE: "output"}).sum == 250

    @pytest.mark.parametrize("leave", ["close", "with", "drop", "raise"])
    def test_streams_that_are_left(
        self, leave: str, meters: Meters, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        """What has come of them counts."""
        provider.script([Reply("word " * 20, chunks=20)])
        stream = openai_client.chat.completions.create(**GPT, stream=True)
        next(stream), next(stream), next(stream)
        if leave == "close":
            stream.close()
        elif leave == "with":
            with stream:
                pass
        elif leave == "raise":
            with pytest.raises(ZeroDivisionError), stream:
                raise ZeroDivisionError
        del stream
        assert (meters.point(DURATION).count, meters.point(FIRST).count, meters.point(PER_CHUNK).count) == (1, 1, 2)
        assert ERROR not in meters.point(DURATION).attributes

    def test_a_stream_that_is_cut_off(self, meters: Meters, openai_client: Any, provider: ScriptedProvider) -> None:
        provider.script([Reply("word " * 20, chunks=20, fail_after=3, failure="cut")])
        with pytest.raises(openai.APIConnectionError):
            list(openai_client.chat.completions.create(**GPT, stream=True))
        assert meters.point(DURATION).attributes[ERROR]
        assert ERROR not in meters.point(FIRST).attributes

    @pytest.mark.parametrize("sdk", ["openai", "gemini"])
    def test_failures_have_a_duration_and_an_error_type(
        self, sdk: str, meters: Meters, openai_client: Any, gemini_client: Any, provider: ScriptedProvider
    ) -> None:
        provider.script([Reply(status=500, error="no"), Reply(usage=USAGE)])
        for _ in range(2):
            try:
                if sdk == "openai":
                    openai_client.chat.completions.create(**GPT)
                else:
                    gemini_client.models.generate_content(**GEMINI)
            except Exception:  # the first one
                continue
        failed = meters.point(DURATION, **{ERROR: "500"})
        assert failed.count == 1
        assert {point.count for point in meters.points(DURATION)} == {1}
        assert meters.point(TOKEN_USAGE, **{TYPE: "input"}).count == 1

    def test_calls_that_a_policy_refuses(self, openai_client: Any) -> None:
        """A guardrail sees every call, the metrics too."""
        meters = Meters()
        otel_llm.instrument(
            tracer_provider=TracerProvider(sampler=ALWAYS_OFF),
            meter_provider=meters.provider,
            guardrails=[otel_llm.guardrails.PII(action="block")],
        )
        with pytest.raises(otel_llm.GuardrailBlocked):
            openai_client.chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": "I am ada@example.org"}]
            )
        openai_client.chat.completions.create(**GPT)
        otel_llm.uninstrument()
        refused = meters.point(DURATION, **{"otel_llm.guardrail.outcome": "blocked"})
        assert refused.attributes[ERROR] == "otel_llm.GuardrailBlocked"
        assert meters.point(DURATION, **{"otel_llm.guardrail.outcome": "passed"}).count == 1

    def test_tools_that_the_sdk_runs(self, meters: Meters, gemini_client: Any, provider: ScriptedProvider) -> None:
        """A step is no request: it has a duration of its own, by the tool's name."""

        def weather(city: str) -> str:
            """Weather of a city."""
            return f"sunny in {city}"

        provider.script([Reply(tool_calls=[ToolCall("weather", {"city": "Rome"})]), Reply("Sunny.")])
        gemini_client.models.generate_content(**GEMINI, config={"tools": [weather]})
        point = meters.point(TOOL)
        assert (point.count, point.attributes["gen_ai.tool.name"]) == (1, "weather")
        assert {point.attributes["gen_ai.operation.name"] for point in meters.points(DURATION)} == {"generate_content"}

    def test_steps_of_the_applications_own(self, meters: Meters) -> None:
        """Those of which the conventions have a metric; none of them is a request."""
        with otel_llm.kinds.workflow("trip"), otel_llm.kinds.agent("guide"), otel_llm.kinds.tool("weather"):
            pass
        found = meters.collected()
        assert set(found) == {"gen_ai.invoke_workflow.duration", "gen_ai.invoke_agent.duration", TOOL}
        for metric in found.values():
            (point,) = metric.data.data_points
            assert len(set(point.attributes) & {"gen_ai.workflow.name", "gen_ai.agent.name", "gen_ai.tool.name"}) == 1

    def test_a_provider_that_comes_later(
        self, spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The application sets its own after ``instrument()``: it has the calls from then on."""
        meters = Meters()
        otel_llm.instrument(tracer_provider=spans.provider)
        openai_client.chat.completions.create(**GPT)
        monkeypatch.setattr("opentelemetry.metrics._internal._METER_PROVIDER", meters.provider)
        openai_client.chat.completions.create(**GPT)
        assert meters.point(DURATION).count == 1

    def test_a_meter_that_fails(
        self, spans: Spans, openai_client: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The answer comes, the span is whole, and it is said once."""

        class Broken(MeterProvider):
            def get_meter(self, *_: Any, **__: Any) -> Any:
                raise RuntimeError("no meter")

        monkeypatch.setattr(config, "_said", set())
        otel_llm.instrument(tracer_provider=spans.provider, meter_provider=Broken())
        with caplog.at_level(logging.WARNING, logger="otel_llm"):
            for _ in range(2):
                assert openai_client.chat.completions.create(**GPT).choices
        assert ["otel_llm.cost.status" in (span.attributes or {}) for span in spans.all()] == [True, True]
        assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
            "otel_llm failed in the metrics of a call"
        ]

    def test_without_any_tracer(self, openai_client: Any) -> None:
        meters = Meters()
        otel_llm.instrument(tracer_provider=NoOpTracerProvider(), meter_provider=meters.provider)
        openai_client.chat.completions.create(**GPT)
        otel_llm.uninstrument()
        assert meters.point(DURATION).count == 1

    def test_instrumenting_again_counts_once(
        self, meters: Meters, openai_client: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The SDK would say so of an instrument that is made twice."""
        with caplog.at_level(logging.WARNING):
            openai_client.chat.completions.create(**GPT)
            otel_llm.instrument(
                tracer_provider=TracerProvider(sampler=ALWAYS_OFF),
                meter_provider=meters.provider,
                capture_content=False,
            )
            openai_client.chat.completions.create(**GPT)
        assert meters.point(DURATION).count == 2
        assert caplog.records == []


class TestLabels:
    """Few, and bounded."""

    def test_who_is_never_a_label(self, meters: Meters, openai_client: Any) -> None:
        """Users, sessions, tags and other ids are on spans; prompts, call types and variants are labels."""
        with otel_llm.context(
            user_id="u", session_id="s", conversation_id="c", tenant_id="t", task_id="j", request_id="r",
            call_type="classification", tags=["t"], metadata={"m": "m"},
        ):  # fmt: skip
            openai_client.chat.completions.create(**GPT, user="u", seed=7)
        for name in meters.collected():
            for point in meters.points(name):
                assert set(point.attributes) <= {*LABELS, TYPE, "otel_llm.cost.currency"}
        assert meters.point(DURATION).attributes["otel_llm.call.type"] == "classification"
        assert not {"user.id", "session.id", "gen_ai.conversation.id", "otel_llm.tenant.id", "otel_llm.request.id",
                    "gen_ai.response.id", "otel_llm.tags"} & set(LABELS)  # fmt: skip

    def test_a_label_has_so_many_values(
        self, meters: Meters, openai_client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first of them, and one for all others."""
        monkeypatch.setattr(bounds, "MOST", 5)
        for number in range(12):
            openai_client.chat.completions.create(**{**GPT, "model": f"model-{number}"})
        found = {point.attributes["gen_ai.request.model"]: point.count for point in meters.points(DURATION)}
        assert found == {**{f"model-{number}": 1 for number in range(5)}, OTHER: 7}

    def test_there_are_so_many_combinations(
        self, meters: Meters, openai_client: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All others have OpenTelemetry's label for it, money still by currency."""
        monkeypatch.setattr(bounds, "MOST_COMBINATIONS", 3)
        for number in range(5):
            openai_client.chat.completions.create(**{**GPT, "model": f"gpt-{number}"})
        assert [point.count for point in meters.points(DURATION) if dict(point.attributes) == OVERFLOW] == [2]
        assert len(meters.points(DURATION)) == 4

    def test_memory_is_bounded(self) -> None:
        """A million models."""
        made: list[Any] = []
        labelled = bounds.Labelled(("a", "b"), lambda labels: made.append(labels) or len(made))
        for number in range(20_000):
            labelled.of({"a": f"{number}", "b": number % 7})
        assert len(made) <= bounds.MOST * 7 + 8
        assert len(labelled._made) <= bounds.MOST_COMBINATIONS

    def test_odd_labels(self) -> None:
        """Lists, halves of characters and objects are texts."""
        labelled = bounds.Labelled(("a",), dict)
        assert labelled.of({"a": ["x"]}) == {"a": "['x']"}
        assert labelled.of({"a": "\ud800"}) == {"a": "?"}
        assert labelled.of({}) == {}
        assert labelled.of({"a": True}) == {"a": "True"}


def _same(left: Meters, right: Meters) -> None:
    """Both have collected the same, but for the times."""

    def seen(meters: Meters) -> Any:
        return {
            (metric.name, frozenset(point.attributes.items())): (point.value,)
            if isinstance(point, NumberDataPoint)
            else (point.count, pytest.approx(point.sum), point.min, point.max, point.bucket_counts)
            for metric in meters.collected().values()
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint | NumberDataPoint)
        }

    assert seen(left) == seen(right)


def at(series: Series, value: float = 1, context: Context | None = None) -> Moment:
    """Now, in a call."""
    return series.now(value, Context() if context is None else context)


class TestSeries:
    """The short way into the SDK gives what the public way gives."""

    VIEWS: ClassVar = {
        "plain": [],
        "labels left out": [View(instrument_name="seconds", attribute_keys={"a"})],
        "two views": [View(instrument_name="seconds", name="one"), View(instrument_name="seconds", name="two")],
        "dropped": [View(instrument_name="seconds", aggregation=DropAggregation())],
    }

    def _instruments(self, meters: Meters) -> tuple[Any, Any]:
        meter = meters.provider.get_meter("otel_llm")
        return (
            meter.create_histogram("seconds", explicit_bucket_boundaries_advisory=SECONDS),
            meter.create_counter("money"),
        )

    @pytest.mark.parametrize("views", VIEWS)
    def test_it_is_the_same(self, views: str) -> None:
        short, public = Meters(views=self.VIEWS[views]), Meters(views=self.VIEWS[views])
        labels = [{"a": "x", "b": 1}, {"a": "x", "b": 2}, {"a": "y"}, {}]
        seconds, money = self._instruments(short)
        series = [(Series(seconds, seconds.record, each), Series(money, money.add, each)) for each in labels]
        seconds, money = self._instruments(public)
        for turn in range(3):
            for (times, costs), each in zip(series, labels, strict=True):
                for value in (0.005, 3, 0, 1000.5):
                    times.add(value, at(times, value))
                    seconds.record(value, each)
                costs.add(0.25, at(costs))
                money.add(0.25, each)
                times.add_all([0.3, 0.001, 7], at(times))
                for value in (0.3, 0.001, 7):
                    seconds.record(value, each)
            _same(short, public)
            assert turn == 0 or all(times.found(at(times)) for times, _ in series)

    def test_it_is_short(self) -> None:
        """With the SDK that is installed; else this module is for nothing."""
        meters = Meters()
        seconds, _ = self._instruments(meters)
        series = Series(seconds, seconds.record, {"a": "x"})
        series.add(1, at(series))
        assert series.found(at(series))

    def test_every_reader_gets_it(self) -> None:
        """Those that were there from the beginning, of their own temporality."""
        delta = InMemoryMetricReader(preferred_temporality={Histogram: AggregationTemporality.DELTA})
        meters = Meters(delta)
        seconds, _ = self._instruments(meters)
        series = Series(seconds, seconds.record, {})
        for turn in range(1, 4):
            series.add(1, at(series))
            series.add(2, at(series))
            assert meters.point("seconds").count == 2 * turn
            data: Any = delta.get_metrics_data()
            assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].count == 2

    def test_a_reader_that_comes_later_gets_it(self) -> None:
        meters, late = Meters(), InMemoryMetricReader()
        seconds, _ = self._instruments(meters)
        series = Series(seconds, seconds.record, {})
        series.add(1, at(series))
        meters.provider.add_metric_reader(late)
        series.add(2, at(series))
        series.add(3, at(series))
        data: Any = late.get_metrics_data()
        assert data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].sum == 5
        assert meters.point("seconds").sum == 6

    def test_values_that_are_none(self, caplog: pytest.LogCaptureFixture) -> None:
        """The SDK refuses what is less than nothing or not a number, and says so."""
        meters = Meters()
        seconds, _ = self._instruments(meters)
        series = Series(seconds, seconds.record, {})
        series.add(1, at(series))
        for value in (-1, float("nan"), float("inf")):
            series.add(value, at(series))
        series.add_all([], at(series))
        series.add_all([-1, 2], at(series))
        assert (meters.point("seconds").count, meters.point("seconds").sum) == (2, 3)
        assert len(caplog.records) == 4

    def test_another_sdk_gets_it_the_public_way(self) -> None:
        """One of which nothing is known."""
        got: list[Any] = []
        series = Series(object(), lambda *given: got.append(given), {"a": 1})
        series.add(1, at(series))
        series.add_all([3, 2], at(series))
        assert [value for value, _, _ in got] == [1, 3, 2]
        assert all(labels == {"a": 1} for _, labels, _ in got)


class TestExamples:
    """A metric's examples lead to the spans of its calls."""

    def test_the_span_of_the_call(self, spans: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
        meters = Meters()
        otel_llm.instrument(tracer_provider=spans.provider, meter_provider=meters.provider)
        provider.script([Reply("word " * 20, usage=USAGE, chunks=20)])
        for _ in openai_client.chat.completions.create(**GPT, stream=True, stream_options={"include_usage": True}):
            pass
        span = spans.one().get_span_context()
        found = meters.collected()
        for name in (DURATION, TOKEN_USAGE, FIRST, PER_CHUNK, COST):
            for point in found[name].data.data_points:
                assert [example.span_id for example in point.exemplars] == [span.span_id]

    def test_a_filter_of_the_applications_own(self) -> None:
        meters = Meters(exemplar_filter=AlwaysOnExemplarFilter())
        seconds = meters.provider.get_meter("otel_llm").create_histogram("seconds")
        series = Series(seconds, seconds.record, {"a": "x"})
        span = TracerProvider(sampler=ALWAYS_OFF).get_tracer("x").start_span("y")
        series.add(1, at(series))
        series.add(2, at(series, 2, set_span_in_context(span, Context())))
        assert {example.value for example in meters.point("seconds").exemplars} == {2}


def test_every_label_is_in_the_dictionary() -> None:
    """As the documents say it."""
    assert set(LABELS) == {attribute.name for attribute in a.DICTIONARY if attribute.label and not attribute.resource}
