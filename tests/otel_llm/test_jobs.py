"""Work from queues: in the trace of who sent it, or linked to all who did."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

import pytest
from opentelemetry import propagate
from opentelemetry.trace import SpanKind, StatusCode, format_trace_id

import otel_llm
from otel_llm.context import current
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_a_plain_queue(instrumented: Spans, openai_client: Any) -> None:
    """A worker's call is in the trace of the request that asked for it, with the job's id."""
    jobs: queue.Queue[dict[str, Any]] = queue.Queue()
    with otel_llm.observe("request"), otel_llm.context(user_id="ada", session_id="s", baggage=True):
        jobs.put({"id": "7", "trace": otel_llm.carrier()})

    def work() -> None:
        message = jobs.get()
        job = otel_llm.job("summarise", message["trace"], job_id=message["id"], queue="texts", accept_baggage=True)
        with job as span:
            assert span.is_recording()
            openai_client.chat.completions.create(**CHAT)
        assert current() == {}

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    request, call, job = instrumented.all()
    assert len({span.context.trace_id for span in (request, call, job)}) == 1
    assert (job.name, job.kind) == ("summarise", SpanKind.CONSUMER)
    assert job.parent is not None
    assert (job.parent.span_id, job.parent.is_remote) == (request.context.span_id, True)
    assert dict(job.attributes or {}) == {
        "messaging.operation.type": "process", "messaging.operation.name": "summarise",
        "messaging.destination.name": "texts", "messaging.message.id": "7",
        "otel_llm.task.id": "7", "user.id": "ada", "session.id": "s",
    }  # fmt: skip
    said = call.attributes or {}
    assert (said["otel_llm.task.id"], said["user.id"], said["session.id"]) == ("7", "ada", "s")


def test_baggage_is_accepted_only_where_that_is_asked_for(instrumented: Spans) -> None:
    """And sent only where that is."""
    with otel_llm.context(user_id="ada"):
        assert "baggage" not in otel_llm.carrier()
    with otel_llm.context(user_id="ada", baggage=True):
        carrier = otel_llm.carrier()
    assert carrier["baggage"] == "otel_llm.user_id=ada"
    with otel_llm.job("j", carrier):
        assert current() == {}


def test_a_batch_is_a_trace_of_its_own_linked_to_all(instrumented: Spans) -> None:
    """Of what it was told only whoever sent something is linked."""
    carriers: list[Any] = []
    for name in ("a", "b"):
        with otel_llm.observe(name):
            carriers.append(otel_llm.carrier())
    with otel_llm.observe("worker"), otel_llm.job("batch", [*carriers, {}, {"traceparent": "no"}, None, 7]):
        pass
    first, second, batch, _ = instrumented.all()
    assert batch.parent is None
    assert batch.context.trace_id not in (first.context.trace_id, second.context.trace_id)
    assert [link.context.span_id for link in batch.links] == [first.context.span_id, second.context.span_id]
    assert (batch.attributes or {})["messaging.batch.message_count"] == 6


def test_below_what_is_current_in_the_same_trace(instrumented: Spans) -> None:
    """As in a task of Celery's, whose instrumentation has begun a span; else where the carrier leads."""
    with otel_llm.observe("request"):
        carrier = otel_llm.carrier()
    with otel_llm.observe("elsewhere"), otel_llm.job("elsewhere's", carrier):
        pass
    with otel_llm.job("outer", carrier), otel_llm.job("inner", carrier), otel_llm.job("no carrier"):
        pass
    spans = {span.name: span for span in instrumented.all()}
    parents = {name: span.parent and span.parent.span_id for name, span in spans.items()}
    assert parents["elsewhere's"] == parents["outer"] == spans["request"].context.span_id
    assert parents["inner"] == spans["outer"].context.span_id
    assert parents["no carrier"] == spans["inner"].context.span_id


def test_errors_are_recorded_and_raised(instrumented: Spans) -> None:
    """By their type; what they say may quote content."""

    async def fail() -> None:
        async with otel_llm.job("j"):
            raise ValueError("secret")

    with pytest.raises(ValueError, match="secret"):
        asyncio.run(fail())
    span = instrumented.one()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert "secret" not in span.to_json()


def test_as_a_decorator(instrumented: Spans) -> None:
    """Carrier and id are the message's."""

    @otel_llm.job("plain", lambda message: message["trace"], job_id=lambda message: message["id"])
    def plain(message: dict[str, Any]) -> str:
        return str(current()["otel_llm.task.id"])

    @otel_llm.job("coroutine", lambda message: message["trace"], job_id=lambda message: message["nothing"])
    async def coroutine(message: dict[str, Any]) -> dict[str, Any]:
        return current()

    def words() -> Any:
        yield "a"

    with otel_llm.observe("request"):
        message = {"id": 7, "trace": otel_llm.carrier()}
    assert plain(message) == "7"
    assert asyncio.run(coroutine(message)) == {}
    with pytest.raises(TypeError, match=r"job\(\) cannot decorate the generator .*words: use `with` inside it"):
        otel_llm.job("j")(words)
    request, first, second = instrumented.all()
    assert [span.parent.span_id for span in (first, second) if span.parent] == [request.context.span_id] * 2


@pytest.mark.parametrize(
    "carrier",
    [
        {"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"},
        {"traceparent": 7, 8: None},
        {"traceparent": "x" * 1_000_000, "baggage": ",".join(f"otel_llm.user_id{n}=x" for n in range(10_000))},
        {"baggage": "otel_llm.user_id=a%0D%0Ab,otel_llm.tenant_id=" + "x" * 257},
        "text",
        7,
        {},
    ],
    ids=range(7),
)
def test_a_carrier_that_is_none_is_passed_over(carrier: Any, instrumented: Spans) -> None:
    """The work is done, in a trace of its own."""
    with otel_llm.job("j", carrier, accept_baggage=True):
        assert current() == {}
    assert instrumented.one().parent is None


def test_without_instrumentation_the_job_has_its_id_all_the_same() -> None:
    """Nothing is recorded."""
    with otel_llm.job("j", {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, job_id="7") as s:
        assert not s.is_recording()
        assert current() == {"otel_llm.task.id": "7"}
    assert otel_llm.carrier() == {}


def test_a_propagator_that_fails(
    instrumented: Spans, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The work is done all the same."""

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("theirs")

    monkeypatch.setattr("otel_llm.config._said", set())
    with otel_llm.observe("request"):
        carrier = otel_llm.carrier()
        monkeypatch.setattr(propagate, "inject", fail)
        monkeypatch.setattr(propagate, "extract", fail)
        assert otel_llm.carrier() == {}
    with otel_llm.job("j", carrier, job_id="7"):
        done = dict(current())
    assert done == {"otel_llm.task.id": "7"}
    assert len(caplog.records) == 2


@pytest.mark.parametrize("recorded", [True, False])
def test_one_object_is_used_by_many_at_once(recorded: bool, spans: Spans) -> None:
    """A job that a module keeps, whether or not anything is recorded."""
    if recorded:
        otel_llm.instrument(tracer_provider=spans.provider)
    shared = otel_llm.job("shared", job_id="7")

    async def work(event: asyncio.Event) -> None:
        async with shared:
            await event.wait()
            assert current() == {"otel_llm.task.id": "7"}
        assert current() == {}

    async def run() -> None:
        event = asyncio.Event()
        tasks = [asyncio.create_task(work(event)) for _ in range(5)]
        await asyncio.sleep(0)
        event.set()
        await asyncio.gather(*tasks)

    asyncio.run(run())
    traces = {format_trace_id(span.context.trace_id) for span in spans.all()}
    assert len(traces) == len(spans.all()) == (5 if recorded else 0)
