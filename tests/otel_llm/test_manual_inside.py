"""Calls of the SDKs inside calls and steps that the application records itself: nothing is counted twice."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import openai
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode

import otel_llm
from otel_llm import kinds
from otel_llm.guardrails import PII
from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is a flame?"}]}
STREAM = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
USED = Usage(input=100, output=50, cached=40)


def _used(span: Any) -> tuple[Any, Any]:
    said = span.attributes or {}
    return said.get("gen_ai.usage.input_tokens"), said.get("gen_ai.usage.output_tokens")


class TestTheSameCall:
    """A call of the same kind inside is this very call: one span, with what both know."""

    @pytest.fixture(autouse=True)
    def scripted(self, provider: ScriptedProvider) -> None:
        """Every answer has a usage."""
        provider.script(lambda request: Reply("A hot gas.", usage=USED, chunks=3))

    def test_what_the_sdk_knows_is_taken_over(
        self, instrumented: Spans, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        """All but what the application says itself; the response is the call's."""
        with kinds.summarization(parameters={"temperature": 0.5}, tags=["own"]) as call:
            response = openai_client.chat.completions.create(**CHAT, temperature=0.1, top_p=0.3)
        span = instrumented.one()
        said = span.attributes or {}
        assert span.name == "chat gpt-5-mini"
        assert (said["otel_llm.call.type"], said["otel_llm.tags"]) == ("summarization", ("own",))
        assert (said["gen_ai.request.temperature"], said["gen_ai.request.top_p"]) == (0.5, 0.3)
        assert (said["gen_ai.provider.name"], said["server.address"]) == ("openai", "127.0.0.1")
        assert _used(span) == (100, 50)
        assert said["otel_llm.cost.status"] == "priced"
        assert '"What is a flame?"' in str(said["gen_ai.input.messages"])
        assert '"A hot gas."' in str(said["gen_ai.output.messages"])
        assert call.handle == otel_llm.call_of(response) == otel_llm.last_call()

    @pytest.mark.parametrize("output", ["response", "text"])
    def test_completed_with_what_the_sdk_gave(self, output: str, instrumented: Spans, openai_client: Any) -> None:
        """As in the recipe of a client that is not patched; what it says besides is kept."""
        with otel_llm.call(model="mine", input="asked") as call:
            response = openai_client.chat.completions.create(**CHAT)
            given = response if output == "response" else "Mine."
            call.complete(given, intent="explain", confidence=0.5)
        span = instrumented.one()
        said = span.attributes or {}
        assert (said["otel_llm.intent.name"], said["otel_llm.intent.confidence"]) == ("explain", 0.5)
        assert (said["gen_ai.request.model"], said["gen_ai.response.model"]) == ("mine", "gpt-5-mini")
        assert '"asked"' in str(said["gen_ai.input.messages"])
        assert ('"Mine."' if output == "text" else '"A hot gas."') in str(said["gen_ai.output.messages"])
        assert _used(span) == (100, 50)

    def test_a_usage_that_is_given_is_priced(self, instrumented: Spans, openai_client: Any) -> None:
        """The application knows better: nothing of the other usage is left."""
        with otel_llm.call() as call:
            openai_client.chat.completions.create(**CHAT)
            call.complete(usage={"input": 10, "output": 0})
        said = instrumented.attributes()
        assert _used(instrumented.one()) == (10, 0)
        assert "gen_ai.usage.cache_read.input_tokens" not in said
        assert (said["otel_llm.cost.total"], said["otel_llm.cost.input"]) == (0.0000025, 0.0000025)
        assert "otel_llm.cost.cached" not in said

    def test_decorated(self, instrumented: Spans, openai_client: Any) -> None:
        """A function that returns what the SDK gave."""

        @otel_llm.call()
        def ask() -> Any:
            return openai_client.chat.completions.create(**CHAT)

        assert otel_llm.call_of(ask()) == otel_llm.last_call()
        assert _used(instrumented.one()) == (100, 50)

    @pytest.mark.parametrize("how", ["inside", "after", "returned", "generator"])
    def test_a_stream(self, how: str, instrumented: Spans, openai_client: Any) -> None:
        """Gone through before the call is left, after, by who called a function, or by way of a generator."""

        @otel_llm.call()
        def returned() -> Any:
            return openai_client.chat.completions.create(**STREAM)

        @otel_llm.call()
        def generator() -> Iterator[str]:
            for chunk in openai_client.chat.completions.create(**STREAM):
                if chunk.choices and (text := chunk.choices[0].delta.content):
                    yield text

        if how == "inside":
            with otel_llm.call():
                chunks = list(openai_client.chat.completions.create(**STREAM))
        elif how == "after":
            with otel_llm.call():
                stream = openai_client.chat.completions.create(**STREAM)
            assert instrumented.all() == []
            chunks = list(stream)
        else:
            chunks = list(returned() if how == "returned" else generator())
        assert len(chunks) >= 3
        span = instrumented.one()
        said = span.attributes or {}
        assert _used(span) == (100, 50)
        assert (said["otel_llm.stream.outcome"], span.status.status_code) == ("completed", StatusCode.UNSET)
        assert (said["gen_ai.request.stream"], said["otel_llm.cost.status"]) == (True, "priced")
        assert json.loads(str(said["gen_ai.output.messages"]))[0]["parts"] == [
            {"type": "text", "content": "A hot gas."}
        ]

    def test_a_stream_that_is_dropped(self, instrumented: Spans, openai_client: Any) -> None:
        """The call ends with it."""
        with otel_llm.call():
            next(openai_client.chat.completions.create(**STREAM))
        gc.collect()
        assert (instrumented.attributes())["otel_llm.stream.outcome"] == "abandoned"

    def test_an_error_in_the_loop(self, instrumented: Spans, openai_client: Any) -> None:
        """The caller's: the call failed, and ends when the stream is gone."""

        def ask() -> None:
            with otel_llm.call():
                for _ in openai_client.chat.completions.create(**STREAM):
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            ask()
        gc.collect()
        span = instrumented.one()
        said = span.attributes or {}
        assert (said["error.type"], said["otel_llm.stream.outcome"]) == ("ZeroDivisionError", "abandoned")
        assert span.status.status_code is StatusCode.ERROR

    def test_only_the_first_is_this_call(self, instrumented: Spans, openai_client: Any) -> None:
        """What is asked after it, and what is of another kind, are children."""
        with otel_llm.call() as call:
            openai_client.embeddings.create(model="text-embedding-3-small", input="x")
            openai_client.chat.completions.create(**CHAT)
            openai_client.chat.completions.create(**CHAT)
        embedded, second, first = instrumented.all()
        assert f"{first.context.span_id:016x}" in str(call.handle)
        for child in (embedded, second):
            assert child.parent is not None
            assert child.parent.span_id == first.context.span_id
        assert _used(first) == _used(second) == (100, 50)

    def test_at_once(self, instrumented: Spans, provider: ScriptedProvider) -> None:
        """Of two that are asked at once, one is this call."""

        async def ask() -> None:
            async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client, otel_llm.call():
                await asyncio.gather(*(client.chat.completions.create(**CHAT) for _ in range(2)))

        asyncio.run(ask())
        child, call = instrumented.all()
        assert child.parent is not None
        assert child.parent.span_id == call.context.span_id
        assert _used(child) == _used(call) == (100, 50)

    def test_embeddings(self, instrumented: Spans, openai_client: Any) -> None:
        """Of the same kind too."""
        with kinds.embedding(input="x"):
            openai_client.embeddings.create(model="text-embedding-3-small", input="x")
        span = instrumented.one()
        assert (span.name, _used(span)) == ("embeddings text-embedding-3-small", (100, 0))

    def test_another_sdks_word_for_it(self, instrumented: Spans, gemini_client: Any) -> None:
        """Gemini generates content where others chat."""
        with otel_llm.call():
            gemini_client.models.generate_content(model="gemini-2.5-flash", contents="x")
        span = instrumented.one()
        assert (span.name, (span.attributes or {})["gen_ai.provider.name"]) == ("chat gemini-2.5-flash", "gcp.gemini")

    @pytest.mark.parametrize("how", ["chat", "generate"])
    def test_functions_that_the_sdk_runs(
        self, how: str, instrumented: Spans, gemini_client: Any, provider: ScriptedProvider,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        """Each request counts once, whether the SDK makes one call of them or several."""

        def weather(city: str) -> str:
            """The weather of a city."""
            return f"Sunny in {city}."

        provider.script(
            [
                Reply(tool_calls=[ToolCall("weather", {"city": "Rome"})], usage=Usage(input=100, output=10)),
                Reply("Sunny.", usage=Usage(input=150, output=20)),
            ]
        )
        model = {"model": "gemini-2.5-flash", "config": {"tools": [weather]}}
        with otel_llm.call() as call:
            if how == "chat":
                answer = gemini_client.chats.create(**model).send_message("How is Rome?")
            else:
                answer = gemini_client.models.generate_content(**model, contents="How is Rome?")
            call.complete(answer)
        spans = instrumented.all()
        counted = [span for span in spans if _used(span)[0] is not None]
        assert sum(_used(span)[0] for span in counted) == 250
        assert [span.name for span in spans][-1] == "chat gemini-2.5-flash"
        assert "execute_tool weather" in {span.name for span in spans}
        assert "otel_llm failed" not in caplog.text

    def test_a_call_of_its_own_inside(self, instrumented: Spans) -> None:
        """Two that the application records are two."""
        with otel_llm.call(model="a"), otel_llm.call(model="b"):
            pass
        inner, outer = instrumented.all()
        assert inner.parent is not None
        assert (inner.name, inner.parent.span_id) == ("chat b", outer.context.span_id)

    def test_metrics_count_it_once(self, spans: Spans, openai_client: Any) -> None:
        """Also where it is not sampled."""
        for provider in (spans.provider, TracerProvider(sampler=ALWAYS_OFF)):
            reader = InMemoryMetricReader()
            meters = MeterProvider([reader])
            otel_llm.instrument(tracer_provider=provider, meter_provider=meters)
            with otel_llm.call():
                openai_client.chat.completions.create(**CHAT)
            with otel_llm.call():
                list(openai_client.chat.completions.create(**STREAM))
            data = reader.get_metrics_data()
            assert data is not None
            metrics: Any = {each.name: each.data for each in data.resource_metrics[0].scope_metrics[0].metrics}
            points = metrics["gen_ai.client.token.usage"].data_points
            assert sorted((point.count, point.sum) for point in points) == [(2, 100), (2, 200)]
            assert sum(point.count for point in metrics["gen_ai.client.operation.duration"].data_points) == 2
            assert len(metrics["gen_ai.client.operation.time_to_first_chunk"].data_points) == 1
            meters.shutdown()

    def test_events_come_once(self, spans: Spans, openai_client: Any) -> None:
        """That it began, and its details, of the whole call."""
        records = InMemoryLogRecordExporter()
        loggers = LoggerProvider()
        loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
        otel_llm.instrument(
            tracer_provider=spans.provider, logger_provider=loggers, capture_content="EVENT_ONLY", start_events=True
        )
        with kinds.chat():
            openai_client.chat.completions.create(**CHAT)
        began, details = (data.log_record for data in records.get_finished_logs())
        assert (began.event_name, details.event_name) == (
            "otel_llm.call.started", "gen_ai.client.inference.operation.details",
        )  # fmt: skip
        assert (began.attributes or {})["otel_llm.call.type"] == "chat"
        assert (details.attributes or {})["gen_ai.usage.input_tokens"] == 100
        assert "A hot gas." in str((details.attributes or {})["gen_ai.output.messages"])
        assert began.span_id == details.span_id == spans.one().context.span_id
        loggers.shutdown()

    def test_guardrails_check_it_once(self, spans: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
        """What is sent and what comes back, where it is known best: a finding is one finding."""
        provider.script(lambda request: Reply("Write to ada@example.org"))
        otel_llm.instrument(tracer_provider=spans.provider, guardrails=[PII()])
        with otel_llm.call(input="ada@example.org") as call:
            given = openai_client.chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": "Who is ada@example.org?"}]
            )
            call.complete(given.choices[0].message.content)
        said = spans.attributes()
        assert said["otel_llm.guardrail.outcome"] == "violated"
        assert [each["stage"] for each in json.loads(said["otel_llm.guardrail.results"])] == ["input", "output"]

    def test_a_refusal_inside(self, spans: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
        """It goes through, and the call failed by it."""
        otel_llm.instrument(tracer_provider=spans.provider, guardrails=[PII(action="block")])

        def ask() -> None:
            with otel_llm.call():
                openai_client.chat.completions.create(
                    model="gpt-5-mini", messages=[{"role": "user", "content": "ada@example.org"}]
                )

        with pytest.raises(otel_llm.GuardrailBlocked) as caught:
            ask()
        assert provider.requests == []
        said = spans.attributes()
        assert (said["otel_llm.guardrail.outcome"], said["error.type"]) == ("blocked", "otel_llm.GuardrailBlocked")
        assert caught.value.call == otel_llm.last_call()


class TestAttempts:
    """A loop that tries again is one call, and says how often."""

    def test_the_next_attempt_is_the_call_too(
        self, instrumented: Spans, openai_client: Any, provider: ScriptedProvider
    ) -> None:
        """The last one counts; that others failed is no error of the call."""
        provider.script([Reply(status=500), Reply(status=429), Reply("A hot gas.", usage=USED)])

        @otel_llm.call()
        def ask() -> Any:
            for _ in range(2):
                try:
                    return openai_client.chat.completions.create(**CHAT)
                except openai.APIStatusError:
                    continue
            return openai_client.chat.completions.create(**CHAT)

        ask()
        span = instrumented.one()
        said = span.attributes or {}
        assert span.status.status_code is StatusCode.UNSET
        assert "error.type" not in said
        assert (said["otel_llm.retry.count"], _used(span)) == (2, (100, 50))

    def test_all_fail(self, instrumented: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
        """The error that comes out is the call's."""
        provider.script([Reply(status=500), Reply(status=429)])

        @otel_llm.call()
        def ask() -> Any:
            try:
                return openai_client.chat.completions.create(**CHAT)
            except openai.InternalServerError:
                return openai_client.chat.completions.create(**CHAT)

        with pytest.raises(openai.RateLimitError):
            ask()
        span = instrumented.one()
        said = span.attributes or {}
        assert (said["error.type"], said["otel_llm.retry.count"]) == ("429", 1)
        assert span.status.status_code is StatusCode.ERROR

    def test_another_client_answers(self, instrumented: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
        """The patched one failed, one that is not patched answered."""
        provider.script([Reply(status=500)])
        with otel_llm.call(model="mine") as call:
            with pytest.raises(openai.InternalServerError):
                openai_client.chat.completions.create(**CHAT)
            call.complete("Mine.", usage={"input": 1, "output": 2})
        span = instrumented.one()
        assert (_used(span), span.status.status_code) == ((1, 2), StatusCode.UNSET)
        assert "error.type" not in (span.attributes or {})


@pytest.mark.parametrize(
    "step",
    [kinds.rag_query("q"), kinds.tool("t"), kinds.agent("a"), kinds.workflow("w"), otel_llm.observe("o")],
    ids=lambda step: type(step).__name__,
)
def test_calls_inside_steps_are_children(step: Any, instrumented: Spans, openai_client: Any) -> None:
    """Also where the step is inside a call."""
    with step:
        openai_client.chat.completions.create(**CHAT)
    child, outer = instrumented.all()
    assert child.parent is not None
    assert (child.name, child.parent.span_id) == ("chat gpt-5-mini", outer.context.span_id)
    assert "otel_llm.cost.status" not in (outer.attributes or {})


def test_threads_take_turns(instrumented: Spans, openai_client: Any) -> None:
    """Of calls that begin in many threads at the same moment, one is this call, and every token counts once."""
    barrier = threading.Barrier(4)

    def ask() -> None:
        barrier.wait()
        openai_client.chat.completions.create(**CHAT)

    with otel_llm.call() as call, ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(copy_context().run, ask)
    *children, whole = instrumented.all()
    assert len(children) == 3
    assert f"{whole.context.span_id:016x}" in str(call.handle)
    assert {child.parent.span_id for child in children if child.parent} == {whole.context.span_id}
    assert None not in [_used(span)[0] for span in (*children, whole)]
