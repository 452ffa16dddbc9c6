"""Calls by what they are for, the steps between them, calls that are over, and calls that never end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from contextvars import copy_context
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from inline_snapshot import external_file
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import otel_llm
from otel_llm import kinds
from otel_llm.attributes import CALL_TYPES
from tests.conftest import Spans
from tests.otel_llm.test_manual import Broken, whole
from tests.otel_llm.test_manual_shapes import OPENAI

TYPED: dict[str, Any] = {
    name: getattr(kinds, name)
    for name in (
        "chat", "rag_query", "rag_synthesis", "sentiment_analysis", "summarization", "embedding", "classification",
        "extraction", "system", "other",
    )
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_each_call_type_has_its_helper(name: str, instrumented: Spans) -> None:
    """Ten of them, by the names of the dictionary."""
    assert set(TYPED) == set(CALL_TYPES)
    with TYPED[name]() as call:
        call.complete()
    span = instrumented.one()
    assert (span.attributes or {})["otel_llm.call.type"] == name
    operation = {"rag_query": "retrieval", "embedding": "embeddings"}.get(name, "chat")
    assert (span.attributes or {})["gen_ai.operation.name"] == operation


def test_a_classification(instrumented: Spans) -> None:
    """What the application took from the answer."""
    with kinds.classification(model="m", input="Where is my parcel?") as call:
        call.complete('{"intent": "delivery"}', intent="delivery", confidence=0.93)
    said = instrumented.attributes()
    assert (said["otel_llm.intent.name"], said["otel_llm.intent.confidence"]) == ("delivery", 0.93)


def test_a_pipeline_is_one_trace(instrumented: Spans) -> None:
    """A workflow, a rule, a search, an agent, a tool, and what they ask models: each with what the conventions say."""

    class Tools:
        @kinds.tool(id="t1")
        def weather(self, city: str, *, unit: str = "C") -> dict[str, int]:
            """The weather of a city."""
            return {"degrees": 20}

    with otel_llm.context(user_id="ada"), kinds.workflow("answering", input="How is Rome?", tags=["own"]) as flow:
        with otel_llm.observe("rules") as span:
            span.set_attribute("rule", 7)
        with kinds.rag_query("Rome", top_k=2, data_source="atlas") as search:
            with kinds.embedding(model="e", input="Rome") as call:
                call.complete([0.5, 0.5])
            search.complete([{"id": "1", "content": "A city.", "score": 0.5}])
        with kinds.agent("guide", id="a1", input="How is Rome?") as agent:
            assert Tools().weather("Rome", unit="K") == {"degrees": 20}
            with kinds.rag_synthesis(model="m", prompt=("answer", "2")) as call:
                call.complete("Warm.")
            agent.complete("Warm.")
        flow.complete({"role": "assistant", "content": "Warm."})
    spans = instrumented.all()
    assert len({span.context.trace_id for span in spans}) == 1
    names = {span.context.span_id: span.name for span in spans}
    found = [{"below": names[span.parent.span_id] if span.parent else None, **whole(span)} for span in spans]
    assert found == external_file("spans/manual-pipeline.json")


def test_without_content_steps_say_nothing_of_it(spans: Spans) -> None:
    """Neither queries, documents, arguments nor results."""
    otel_llm.instrument(tracer_provider=spans.provider)
    kinds.rag_query("secret", top_k=1).start().complete(["secret"])
    kinds.tool("t", {"a": "secret"}).start().complete("secret")
    kinds.agent("a", input="secret").start().complete("secret")
    otel_llm.call(model="m", input="secret", parameters={"note": "secret"}).start().complete("secret")
    assert "secret" not in str([dict(span.attributes or {}) for span in spans.all()])


def test_steps_use_nothing(instrumented: Spans) -> None:
    """What an answer says that it used is counted where it was asked for."""
    with kinds.agent("a") as step:
        otel_llm.call(model="gpt-5-mini", provider="openai").start().complete(OPENAI)
        step.complete(OPENAI)
    call, agent = (span.attributes or {} for span in instrumented.all())
    assert call["gen_ai.usage.input_tokens"] == 100
    assert agent["gen_ai.response.model"] == call["gen_ai.response.model"]
    assert "gen_ai.usage.input_tokens" not in agent
    assert "otel_llm.cost.total" not in agent


def test_a_tool_that_fails_and_one_that_streams(instrumented: Spans) -> None:
    """The exception is the caller's; the texts of a stream are the result."""

    @kinds.tool(description="Fails.")
    async def failing() -> None:
        raise Broken

    @kinds.tool("reader")
    async def reading() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    async def run() -> None:
        with pytest.raises(Broken):
            await failing()
        assert [text async for text in reading()] == ["a", "b"]

    asyncio.run(run())
    failed, read = instrumented.all()
    assert (failed.name, failed.status.status_code) == ("execute_tool failing", StatusCode.ERROR)
    assert (failed.attributes or {})["gen_ai.tool.description"] == "Fails."
    assert (read.name, (read.attributes or {})["gen_ai.tool.call.result"]) == ("execute_tool reader", "ab")


class TestObserve:
    """A plain span around a step without a model."""

    def test_every_form(self, instrumented: Spans) -> None:
        """Named by hand or by the function; with what the context says, and no word of models."""

        @otel_llm.observe()
        def plain() -> int:
            return 1

        @otel_llm.observe("named")
        async def named() -> int:
            async with otel_llm.observe("inner"):
                return 2

        async def many() -> list[int]:
            return await asyncio.gather(*(named() for _ in range(5)))

        with otel_llm.context(user_id="ada"):
            assert plain() == 1
        assert asyncio.run(many()) == [2] * 5
        first, *others = instrumented.all()
        assert first.name.endswith("test_every_form.<locals>.plain")
        assert (dict(first.attributes or {}), first.kind.name) == ({"user.id": "ada"}, "INTERNAL")
        inner = [span for span in others if span.name == "inner"]
        outer = {span.context.span_id for span in others if span.name == "named"}
        assert {span.parent.span_id for span in inner if span.parent} == outer
        assert len(outer) == 5

    def test_errors(self, instrumented: Spans) -> None:
        """The exception is the caller's; what it says is not recorded."""
        with pytest.raises(Broken), otel_llm.observe("x"):
            raise Broken("secret")
        span = instrumented.one()
        assert (span.attributes or {})["error.type"] == "503"
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "Broken")

    def test_generators_are_refused(self) -> None:
        """A generator would run when the span has ended."""

        def generator() -> Iterator[int]:
            yield 1

        async def generator_async() -> AsyncIterator[int]:
            yield 1

        for each in (generator, generator_async):
            with pytest.raises(TypeError, match=r"observe\(\) cannot decorate the generator .*: use `with` inside it"):
                otel_llm.observe("x")(each)

    def test_left_in_another_context(self, instrumented: Spans) -> None:
        """A span ends wherever it is left, and the context it was left in is as it was."""

        def dependency() -> Iterator[None]:
            with otel_llm.observe("x"):
                yield

        halves = dependency()
        copy_context().run(next, halves)
        copy_context().run(next, halves, None)
        instrumented.one()
        assert not trace.get_current_span().get_span_context().is_valid

    def test_in_an_exit_stack(self, instrumented: Spans) -> None:
        """Async, entered one after the other."""

        async def run() -> None:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(otel_llm.observe("outer"))
                await stack.enter_async_context(otel_llm.observe("inner"))

        asyncio.run(run())
        inner, outer = instrumented.all()
        assert inner.parent is not None
        assert inner.parent.span_id == outer.context.span_id


class TestPast:
    """A call that is over, with its times."""

    START = datetime(2026, 3, 4, 5, 6, 7, 500_000, tzinfo=UTC)

    @pytest.mark.parametrize(
        "times",
        [
            {"start": START, "end": START + timedelta(seconds=2.5)},
            {"start": START.timestamp(), "end": START.timestamp() + 2.5},
            {"start": START, "duration": 2.5},
            {"end": (START + timedelta(seconds=2.5)).astimezone(timezone(timedelta(hours=9))), "duration": 2.5},
        ],
        ids=str,
    )
    def test_two_of_three_say_all(self, times: dict[str, Any], instrumented: Spans) -> None:
        """Times with and without a zone of their own, and seconds since 1970."""
        handle = otel_llm.record_call(model="m", **times)
        span = instrumented.one()
        assert span.start_time == 1772600767_500000000
        assert span.end_time == 1772600770_000000000
        assert f"{span.context.trace_id:032x}-{span.context.span_id:016x}" in str(handle)

    def test_now(self, instrumented: Spans) -> None:
        """Without an end it is now."""
        before = time.time_ns()
        otel_llm.record_call(model="m", duration=1.5)
        span = instrumented.one()
        assert before <= (span.end_time or 0) <= time.time_ns()
        assert (span.end_time or 0) - (span.start_time or 0) == pytest.approx(1.5e9, rel=1e-3)

    @pytest.mark.parametrize(
        "times", [{"start": 2.0, "end": 1.0}, {"start": 1.8e12}, {"end": "yesterday"}, {"start": -1.0}], ids=str
    )
    def test_times_that_make_no_sense(self, times: dict[str, Any], instrumented: Spans) -> None:
        """Milliseconds for seconds, an end before its start: the call is recorded, as of now."""
        before = time.time_ns()
        otel_llm.record_call(model="m", **times)
        span = instrumented.one()
        assert before <= (span.start_time or 0) <= (span.end_time or 0)

    def test_as_it_was_priced(self, instrumented: Spans) -> None:
        """By the prices of its day: this model has become cheaper since."""
        for day in (datetime(2025, 6, 9, tzinfo=UTC), datetime(2025, 6, 11, tzinfo=UTC)):
            otel_llm.record_call(provider="openai", model="o3", start=day, duration=1, usage={"input": 1_000_000})
        assert [(span.attributes or {})["otel_llm.cost.total"] for span in instrumented.all()] == [10, 2]

    def test_that_failed_and_that_streamed(self, instrumented: Spans) -> None:
        """With an error, an exception or words, and with its first chunk."""
        otel_llm.record_call(model="m", error=Broken("no"))
        otel_llm.record_call(model="m", error="the queue was full")
        otel_llm.record_call(model="m", duration=2, time_to_first_chunk=0.5, output="x")
        failed, refused, streamed = instrumented.all()
        assert (failed.attributes or {})["error.type"] == "503"
        assert refused.status.description == "CallFailed: the queue was full"
        said = streamed.attributes or {}
        assert said["gen_ai.response.time_to_first_chunk"] == 0.5
        assert (said["gen_ai.request.stream"], said["otel_llm.stream.outcome"]) == (True, "completed")

    def test_a_parent_of_another_process(self, instrumented: Spans) -> None:
        """It joins that trace."""
        parent = f"00-{7:032x}-{8:016x}-01"
        handle = otel_llm.record_call(model="m", parent=parent)
        assert str(handle).startswith(f"00-{7:032x}-")
        span = instrumented.one()
        assert span.parent is not None
        assert (span.parent.span_id, span.parent.is_remote) == (8, True)


KILLED = """
import os, signal, sys
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import ConsoleLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
import otel_llm

loggers = LoggerProvider()
loggers.add_log_record_processor(SimpleLogRecordProcessor(ConsoleLogRecordExporter()))
otel_llm.instrument(tracer_provider=TracerProvider(), logger_provider=loggers, start_events=True)
with otel_llm.context(user_id="ada"), otel_llm.call(model="m", provider="p", call_type="chat") as call:
    print(call.handle, flush=True)
    sys.stdin.read()
"""

DROPPED = """
import os, threading, otel_llm
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
otel_llm.instrument(tracer_provider=provider)
kept = otel_llm.call(model="m").start()
"""


def _python(code: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ,
    )  # fmt: skip


def test_a_call_that_is_killed_has_begun() -> None:
    """No span comes of a process that is killed in the middle of a call, and yet one knows of it."""
    process = _python(KILLED)
    assert process.stdin is not None
    assert process.stdout is not None
    said = ""
    while "00-" not in said.rpartition("}")[2]:
        said += process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    event, _, handle = said.rpartition("}")
    record = json.loads(event + "}")
    assert record["event_name"] == "otel_llm.call.started"
    assert record["attributes"] == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "p", "gen_ai.request.model": "m", "user.id": "ada",
        "otel_llm.call.type": "chat",
    }  # fmt: skip
    trace_id, span_id = handle.strip().split("-")[1:3]
    assert (record["trace_id"], record["span_id"]) == (f"0x{trace_id}", f"0x{span_id}")


def test_a_call_that_is_open_when_the_program_ends_is_recorded() -> None:
    """As one that nobody ended."""
    process = _python(DROPPED)
    said, _ = process.communicate(timeout=30)
    span = json.loads(said)
    assert span["attributes"]["error.type"] == "otel_llm.Abandoned"
    assert span["status"]["status_code"] == "ERROR"
