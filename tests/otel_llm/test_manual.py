"""Calls that the application records itself: in every form, one span each, ended once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from decimal import Decimal
from typing import Any

import pytest
from inline_snapshot import external_file
from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags, set_span_in_context

import otel_llm
from otel_llm.guardrails import PII, Guardrail, Pattern
from tests.conftest import Spans

ASKED: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "provider": "anthropic",
    "input": "What is a flame?",
    "system": "Be brief.",
    "parameters": {"temperature": 0.2, "max_tokens": 64, "stop": "END", "thinking_budget": 7, "note": "x"},
    "tags": ["nightly"],
    "metadata": {"page": 7},
    "call_type": "summarization",
}
ANSWER: dict[str, Any] = {
    "usage": otel_llm.Usage(input=100, output=50, cache_read=40, reasoning=20),
    "response_model": "claude-sonnet-4-5-20250929",
    "response_id": "msg_1",
    "finish_reasons": "stop",
}


class Broken(Exception):
    """What goes wrong in these tests."""

    status_code = 503


def whole(span: ReadableSpan) -> dict[str, Any]:
    """A span without what differs from run to run, after a look that it is there and right."""
    attributes = {
        name: list(value) if isinstance(value, tuple) else value for name, value in (span.attributes or {}).items()
    }
    assert attributes.pop("otel_llm.cost.price_version", "genai-prices ").startswith("genai-prices ")
    for seconds in ("gen_ai.response.time_to_first_chunk", "otel_llm.stream.time_per_output_chunk"):
        assert 0 < attributes.pop(seconds, 1) < 60
    return {"name": span.name, "kind": span.kind.name, "status": span.status.status_code.name, **attributes}


def _with() -> None:
    with otel_llm.call(**ASKED) as call:
        call.complete("A hot gas.", **ANSWER)


async def _async_with() -> None:
    async with otel_llm.call(**ASKED) as call:
        await asyncio.sleep(0)
        call.complete("A hot gas.", **ANSWER)


def _object() -> None:
    otel_llm.call(**ASKED).start().complete("A hot gas.", **ANSWER)


def _elsewhere() -> None:
    call = otel_llm.call(**ASKED).start()
    thread = threading.Thread(target=call.complete, args=("A hot gas.",), kwargs=ANSWER)
    thread.start()
    thread.join()


def _entered_elsewhere() -> None:
    call = otel_llm.call(**ASKED).start()

    def work() -> None:
        with call:
            call.complete("A hot gas.", **ANSWER)

    copy_context().run(work)


def _past() -> None:
    otel_llm.record_call(**ASKED, output="A hot gas.", duration=0.25, **ANSWER)


@pytest.mark.parametrize("way", [_with, _async_with, _object, _elsewhere, _entered_elsewhere, _past])
def test_the_whole_span(way: Callable[[], Any], instrumented: Spans) -> None:
    """Every form of a call gives the same span."""
    done = way()
    if done is not None:
        asyncio.run(done)
    assert whole(instrumented.one()) == external_file("spans/manual.json")


def test_a_decorated_function_is_a_call_each_time(instrumented: Spans) -> None:
    """Functions and coroutine functions; what they return is the output, and their arguments may be the input."""

    @otel_llm.call(model="claude-sonnet-4-5", provider="anthropic", input=lambda question: question)
    def ask(question: str) -> str:
        """Asks."""
        return f"You said: {question}"

    @otel_llm.call(model="claude-sonnet-4-5", provider="anthropic", input=lambda question: question)
    async def ask_async(question: str) -> str:
        await asyncio.sleep(0.001)
        return f"You said: {question}"

    async def many() -> list[str]:
        return await asyncio.gather(*(ask_async(str(number)) for number in range(8)))

    assert (ask("hi"), ask.__name__, ask.__doc__) == ("You said: hi", "ask", "Asks.")
    assert asyncio.run(many()) == [f"You said: {number}" for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(ask, "abcd"))) == 4
    spans = instrumented.all()
    assert len(spans) == 13
    assert {span.name for span in spans} == {"chat claude-sonnet-4-5"}
    assert all(span.parent is None for span in spans)
    for span in spans:
        said = span.attributes or {}
        asked = json.loads(str(said["gen_ai.input.messages"]))[0]["parts"][0]["content"]
        assert f'"You said: {asked}"' in str(said["gen_ai.output.messages"])


def test_a_decorated_generator_is_a_stream(instrumented: Spans) -> None:
    """Its texts are the output, its chunks are counted; what is left early says so."""

    @otel_llm.call(model="m")
    def ask() -> Iterator[str]:
        yield "A hot "
        yield "gas."

    @otel_llm.call(model="m")
    async def ask_async() -> AsyncIterator[str]:
        yield "A hot "
        yield "gas."

    async def read() -> list[str]:
        return [chunk async for chunk in ask_async()]

    async def leave() -> None:
        async with contextlib.aclosing(ask_async()) as stream:
            assert await anext(stream) == "A hot "

    assert list(ask()) == asyncio.run(read()) == ["A hot ", "gas."]
    asyncio.run(leave())
    next(ask())
    gc.collect()
    full, full_async, early, dropped = instrumented.all()
    for span in (full, full_async):
        assert whole(span) == external_file("spans/manual-stream.json")
    for span, outcome in ((early, "closed_early"), (dropped, "abandoned")):
        said = span.attributes or {}
        assert (said["otel_llm.stream.outcome"], span.status.status_code) == (outcome, StatusCode.UNSET)
        assert said["gen_ai.output.messages"] == '[{"role":"assistant","parts":[{"type":"text","content":"A hot "}]}]'


def test_chunks_add_up(instrumented: Spans) -> None:
    """A stream that is gone through in a `with`: marked chunk by chunk."""
    with otel_llm.call(model="m") as call:
        for text in ("A hot ", "gas."):
            call.chunk(text)
    assert whole(instrumented.one()) == external_file("spans/manual-stream.json")


def test_what_is_given_wins_over_the_chunks(instrumented: Spans) -> None:
    """A stream's last message tells more than its chunks."""
    call = otel_llm.call(model="m").start()
    call.chunk()
    call.complete("All of it.", usage={"input": 3, "output": 4})
    said = instrumented.attributes()
    assert '"All of it."' in said["gen_ai.output.messages"]
    assert (said["gen_ai.usage.input_tokens"], said["gen_ai.usage.output_tokens"]) == (3, 4)
    assert said["otel_llm.stream.chunks"] == 1


class TestEnds:
    """A call ends once, however it ends."""

    def test_an_exception(self, instrumented: Spans) -> None:
        """It is the caller's, untouched; the provider's status is the type of the error."""
        error = Broken("no")
        with pytest.raises(Broken) as caught, otel_llm.call(model="m"):
            raise error
        assert caught.value is error
        span = instrumented.one()
        assert (span.attributes or {})["error.type"] == "503"
        assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "Broken: no")

    def test_what_an_error_says_is_content(self, spans: Spans) -> None:
        """Where content is not recorded, only the class of an error is; the application's own words are its own."""
        otel_llm.instrument(tracer_provider=spans.provider)
        otel_llm.call(model="m").start().fail(Broken("about ada@example.org"))
        otel_llm.call(model="m").start().fail("the queue is gone")
        first, second = spans.all()
        assert first.status.description == "Broken"
        assert second.status.description == "CallFailed: the queue is gone"
        assert (second.attributes or {})["error.type"] == "otel_llm.CallFailed"

    def test_only_the_first_end_counts(self, instrumented: Spans) -> None:
        """Completed, and then again, and failed, and left: by an exception that comes of something else."""

        def ask() -> None:
            with otel_llm.call(model="m") as call:
                call.complete("first")
                call.complete("second")
                call.chunk("third")
                call.fail("never")
                raise Broken

        with pytest.raises(Broken):
            ask()
        span = instrumented.one()
        assert span.status.status_code is StatusCode.UNSET
        assert '"first"' in str((span.attributes or {})["gen_ai.output.messages"])

    def test_many_ends_at_once(self, instrumented: Spans) -> None:
        """Eight threads complete the same call."""
        call = otel_llm.call(model="m").start()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call.complete, map(str, range(8))))
        assert len(instrumented.all()) == 1

    def test_a_cancelled_task(self, instrumented: Spans) -> None:
        """Cancelled while the client waits, streamed or not."""

        async def ask(streamed: bool) -> None:
            async with otel_llm.call(model="m") as call:
                if streamed:
                    call.chunk("A ")
                await asyncio.sleep(60)

        async def cancel(streamed: bool) -> None:
            task = asyncio.create_task(ask(streamed))
            await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel(False))
        asyncio.run(cancel(True))
        plain, streamed = (span.attributes or {} for span in instrumented.all())
        assert plain["error.type"] == streamed["error.type"] == "asyncio.CancelledError"
        assert "otel_llm.stream.outcome" not in plain
        assert streamed["otel_llm.stream.outcome"] == "cancelled"

    def test_dropped(self, instrumented: Spans) -> None:
        """An object that nobody ends is ended, as a failure that says so; the context is as it was."""
        handle = otel_llm.call(model="m").start().handle
        gc.collect()
        span = instrumented.one()
        assert (span.attributes or {})["error.type"] == "otel_llm.Abandoned"
        assert str(span.status.description).startswith("Abandoned: Nobody ended the call")
        assert handle is not None
        assert f"{span.context.span_id:016x}" in handle
        assert not trace.get_current_span().get_span_context().is_valid

    def test_left_in_another_context(self, instrumented: Spans) -> None:
        """A web framework may run the two halves of a generator in contexts of their own."""

        def dependency() -> Iterator[None]:
            with otel_llm.call(model="m"):
                yield

        halves = dependency()
        copy_context().run(next, halves)
        copy_context().run(next, halves, None)
        assert instrumented.one().status.status_code is StatusCode.UNSET
        assert not trace.get_current_span().get_span_context().is_valid

    def test_one_object_entered_by_many(self, instrumented: Spans) -> None:
        """A shared `with` is a call for each who enters it, with what they completed it with."""
        shared = otel_llm.call(model="m")

        async def ask(number: int) -> None:
            async with shared as call:
                await asyncio.sleep(0.001 * (number % 3))
                call.complete(f"<{number}>")

        async def many() -> None:
            await asyncio.gather(*(ask(number) for number in range(9)))

        asyncio.run(many())
        said = " ".join(str((span.attributes or {})["gen_ai.output.messages"]) for span in instrumented.all())
        assert [said.count(f"<{number}>") for number in range(9)] == [1] * 9


class TestPlace:
    """Whose part a call is."""

    def test_what_is_current_is_the_parent(self, instrumented: Spans) -> None:
        """A call below a span of the application, and a span below a call."""
        tracer = instrumented.provider.get_tracer("app")
        with tracer.start_as_current_span("outer"), otel_llm.call(model="m"), tracer.start_as_current_span("inner"):
            pass
        inner, call, outer = instrumented.all()
        assert inner.parent is not None
        assert call.parent is not None
        assert (inner.parent.span_id, call.parent.span_id) == (call.context.span_id, outer.context.span_id)

    @pytest.mark.parametrize("form", ["call", "handle", "span", "context"])
    def test_a_parent_that_is_said(self, form: str, instrumented: Spans) -> None:
        """By its object, by the handle that another process was sent, by a span: in its trace, whatever is current."""
        tracer = instrumented.provider.get_tracer("app")
        first = otel_llm.call(model="m").start()
        span = tracer.start_span("elsewhere")
        parent: Any = {"call": first, "handle": first.handle, "span": span, "context": span.get_span_context()}[form]
        with tracer.start_as_current_span("current"):
            otel_llm.call(model="m", parent=parent, links=[span, first.handle or ""]).start().complete()
        first.complete()
        span.end()
        child, _, one, other = instrumented.all()
        meant = one if form in ("call", "handle") else other
        assert child.parent is not None
        assert (child.parent.span_id, child.context.trace_id) == (meant.context.span_id, meant.context.trace_id)
        assert [link.context.span_id for link in child.links] == [other.context.span_id, one.context.span_id]

    @pytest.mark.parametrize("odd", ["", "00-xyz", 7, object(), SpanContext(0, 0, False)])
    def test_a_parent_that_is_none(self, odd: Any, instrumented: Spans) -> None:
        """What is no call is passed over: the call is recorded where it is."""
        with instrumented.provider.get_tracer("app").start_as_current_span("current"):
            otel_llm.call(model="m", parent=odd, links=[odd]).start().complete()
        call, current = instrumented.all()
        assert call.parent is not None
        assert call.parent.span_id == current.context.span_id
        assert call.links == ()

    def test_a_remote_parent_that_is_not_sampled(self, instrumented: Spans) -> None:
        """The sampler sees the parent."""
        remote = SpanContext(7, 8, True, TraceFlags(0))
        call = otel_llm.call(model="m", parent=remote).start()
        call.complete("x")
        assert call.handle == f"00-{7:032x}-{call.handle[36:52] if call.handle else ''}-00"
        assert instrumented.all() == []

    def test_the_handle_is_that_of_the_last_call(self, instrumented: Spans) -> None:
        """And of the response, where it is an object."""

        class Response:
            text = "x"

        response = Response()
        with otel_llm.call(model="m") as call:
            call.complete(response)
        assert call.handle == otel_llm.last_call() == otel_llm.call_of(response)


class TestSaid:
    """What is said of an answer."""

    def test_a_cost_of_the_providers_own(self, instrumented: Spans) -> None:
        """It stays as it is said; without one the table says; without either the call is unpriced."""
        otel_llm.call(model="gpt-5-mini", provider="openai").start().complete(
            usage={"input": 10}, cost=Decimal("0.25"), currency="EUR"
        )
        otel_llm.call(model="gpt-5-mini", provider="openai").start().complete(usage={"input": 10, "output": 0})
        otel_llm.call(model="gpt-5-mini", provider="openai").start().complete()
        own, table, none = (span.attributes or {} for span in instrumented.all())
        assert (own["otel_llm.cost.total"], own["otel_llm.cost.currency"]) == (0.25, "EUR")
        assert (own["otel_llm.cost.source"], own["otel_llm.cost.status"]) == ("provider", "priced")
        assert (table["otel_llm.cost.total"], table["otel_llm.cost.source"]) == (0.0000025, "local")
        assert none["otel_llm.cost.status"] == "unpriced"
        assert "otel_llm.cost.total" not in none

    def test_a_prompt(self, instrumented: Spans) -> None:
        """Ours, by its object or by its text; anybody's, by name and version."""
        prompt = otel_llm.Prompt("greeting", "Say hello to {{ name }} today.", version="3")
        text = prompt.render(name="Ada")
        named: dict[str, Any] = {"input": text, "prompt": ("theirs", 7)}
        for asked in ({"input": text}, {"prompt": prompt}, named, {"prompt": "bare"}):
            otel_llm.call(model="m", **asked).start().complete()
        carried, given, theirs, bare = (span.attributes or {} for span in instrumented.all())
        assert (carried["gen_ai.prompt.name"], carried["gen_ai.prompt.version"]) == ("greeting", "3")
        assert carried["gen_ai.prompt.variable.name"] == "Ada"
        assert (given["gen_ai.prompt.name"], given["otel_llm.prompt.template_hash"]) == (
            "greeting", prompt.template_hash,
        )  # fmt: skip
        assert (theirs["gen_ai.prompt.name"], theirs["gen_ai.prompt.version"]) == ("theirs", "7")
        assert "otel_llm.prompt.template_hash" not in theirs
        assert bare["gen_ai.prompt.name"] == "bare"
        assert "gen_ai.prompt.version" not in bare

    def test_what_the_context_says(self, instrumented: Spans) -> None:
        """User and session by the context; a call's own call type wins, and tags add up."""
        with otel_llm.context(user_id="ada", call_type="chat", tags=["outer"]):
            otel_llm.call(model="m", call_type="extraction", tags=["own"]).start().complete()
        said = instrumented.attributes()
        assert (said["user.id"], said["otel_llm.call.type"]) == ("ada", "extraction")
        assert said["otel_llm.tags"] == ("outer", "own")

    def test_metrics_count_each_call_once(self, spans: Spans) -> None:
        """Also those that are not sampled; by the labels of the dictionary."""
        reader = InMemoryMetricReader()
        meters = MeterProvider([reader])
        otel_llm.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF), meter_provider=meters)
        _with()
        otel_llm.record_call(**ASKED, duration=2.0, **ANSWER)
        data = reader.get_metrics_data()
        assert data is not None
        points = {
            metric.name: list(metric.data.data_points)
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
        }  # fmt: skip
        (duration,) = points["gen_ai.client.operation.duration"]
        assert duration.count == 2
        assert 2.0 <= duration.sum < 3.0
        assert dict(duration.attributes)["gen_ai.provider.name"] == "anthropic"
        assert sorted(point.sum for point in points["gen_ai.client.token.usage"]) == [100, 200]
        meters.shutdown()


class TestGuardrails:
    """A policy sees what is sent before it is, and what came back before it is handed on."""

    RULES: tuple[Guardrail, ...] = (
        PII(action="block"),
        Pattern(name="no-recipes", pattern=r"(?i)recipe", action="block", stages=("output",)),
    )

    @pytest.fixture(autouse=True)
    def rules(self, spans: Spans) -> None:
        """Both rules in force."""
        otel_llm.instrument(tracer_provider=spans.provider, guardrails=self.RULES)

    def test_the_input(self, spans: Spans) -> None:
        """The `with` raises and its body does not run; a decorated function is not called."""

        @otel_llm.call(model="m", input=lambda text: text)
        def ask(text: str) -> str:
            raise AssertionError

        recipe = otel_llm.call(model="m", input="Write to ada@example.org")
        with pytest.raises(otel_llm.GuardrailBlocked), recipe:
            raise AssertionError
        with pytest.raises(otel_llm.GuardrailBlocked):
            recipe.start()
        with pytest.raises(otel_llm.GuardrailBlocked) as caught:
            ask("Write to ada@example.org")
        assert caught.value.call == otel_llm.last_call()
        for span in spans.all():
            assert (span.attributes or {})["otel_llm.guardrail.outcome"] == "blocked"
            assert (span.attributes or {})["error.type"] == "otel_llm.GuardrailBlocked"
        assert len(spans.all()) == 3

    def test_the_output(self, spans: Spans) -> None:
        """`complete` raises, in the `with` and out of it; so does the decorated function."""

        @otel_llm.call(model="m")
        def ask() -> str:
            return "A recipe."

        with pytest.raises(otel_llm.GuardrailBlocked), otel_llm.call(model="m") as call:
            call.complete("A recipe.")
        call = otel_llm.call(model="m").start()
        with pytest.raises(otel_llm.GuardrailBlocked):
            call.complete("A recipe.")
        call.complete("A recipe.")
        with pytest.raises(otel_llm.GuardrailBlocked):
            ask()
        assert [(span.attributes or {})["otel_llm.guardrail.outcome"] for span in spans.all()] == ["blocked"] * 3

    def test_what_is_over_is_observed(self, spans: Spans) -> None:
        """Nobody can refuse the past, nor a stream that has been handed on."""
        assert otel_llm.record_call(model="m", input="ada@example.org", output="A recipe.")
        call = otel_llm.call(model="m").start()
        call.chunk("A recipe.")
        call.complete()
        past, streamed = (span.attributes or {} for span in spans.all())
        assert past["otel_llm.guardrail.outcome"] == streamed["otel_llm.guardrail.outcome"] == "violated"
        assert past["otel_llm.guardrail.violated_rules"] == ("pii", "no-recipes")


class TestNotInForce:
    """Where nothing is recorded everything works, and there are no handles."""

    def _all(self) -> None:
        otel_llm.kinds.tool("t").start().complete(1)
        with otel_llm.call(model="m") as call:
            call.chunk("x")
            call.complete("x", usage="odd")

        @otel_llm.call(model="m")
        def ask() -> Iterator[str]:
            yield "x"

        stream = ask()
        assert type(stream).__name__ == "generator"
        assert list(stream) == ["x"]
        with otel_llm.observe("x") as span:
            assert not span.get_span_context().is_valid
        with pytest.raises(Broken), otel_llm.call():
            raise Broken
        assert call.handle is None
        assert otel_llm.record_call(model="m") is None

    def test_not_instrumented(self) -> None:
        """Before `instrument()`."""
        self._all()

    def test_suppressed(self, instrumented: Spans) -> None:
        """OpenTelemetry is told to record nothing."""
        with suppress_instrumentation():
            self._all()
        assert instrumented.all() == []

    def test_not_sampled(self) -> None:
        """There is a handle, and nothing else."""
        otel_llm.instrument(tracer_provider=TracerProvider(sampler=ALWAYS_OFF))
        with otel_llm.call(model="m") as call:
            call.complete("x")
            assert int(str(call.handle)[-2:], 16) & TraceFlags.SAMPLED == 0
            assert trace.get_current_span().get_span_context().is_valid
        otel_llm.uninstrument()


def test_another_instrumentations_span_of_the_call_is_adopted(instrumented: Spans) -> None:
    """A framework that records the model call has begun its span: it gets what it lacks, and there is no second."""
    theirs = instrumented.provider.get_tracer("framework").start_span(
        "chat m", attributes={"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    )
    token = attach(set_span_in_context(theirs))
    with otel_llm.call(model="m", provider="openai") as call:
        call.complete("x", usage={"input": 1, "output": 1})
    detach(token)
    assert instrumented.all() == []
    theirs.end()
    assert instrumented.attributes()["gen_ai.usage.input_tokens"] == 1
