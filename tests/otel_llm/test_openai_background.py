"""Work that goes on after the answer: its usage is counted once, by the request that finds it finished, with a link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import ReadableSpan

from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.openai_sdk import Clients, needs

USAGE = Usage(input=100, output=50, cached=40, reasoning=20)
TOKENS, COST, STATUS = "gen_ai.usage.output_tokens", "otel_llm.cost.total", "gen_ai.response.status"
LASTED = "otel_llm.work.duration"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the SDK's, for assistants and videos

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


def _calls(
    provider: ScriptedProvider, asynchronous: bool, *calls: tuple[str, Callable[[str], dict[str, Any]], Reply]
) -> None:
    """Makes calls one after the other; each is given the id that the first one gave."""

    async def run() -> None:
        clients = Clients(provider, asynchronous, max_retries=0)
        id = ""
        try:
            for path, kwargs, reply in calls:
                provider.script([reply])
                answer = await clients.call(path, **kwargs(id))
                id = id or answer.id
        finally:
            await clients.close()

    asyncio.run(run())


def _links_to(span: ReadableSpan, other: ReadableSpan) -> bool:
    return [link.context.span_id for link in span.links] == [other.context.span_id]


@both
def test_a_background_response(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Begun, asked for while it is in progress, when it is finished, and once more."""
    ask = {"model": "gpt-5-mini", "input": "Why?", "background": True}
    done = Reply("Hot.", usage=USAGE)
    _calls(
        provider, asynchronous,
        ("responses.create", lambda _: ask, Reply(state="queued")),
        ("responses.retrieve", lambda id: {"response_id": id}, Reply(state="in_progress")),
        ("responses.retrieve", lambda id: {"response_id": id}, done),
        ("responses.retrieve", lambda id: {"response_id": id}, done),
    )  # fmt: skip
    begun, waiting, found, again = instrumented.all()
    said = [span.attributes or {} for span in (begun, waiting, found, again)]
    assert [one[STATUS] for one in said] == ["queued", "in_progress", "completed", "completed"]
    assert [one.get(TOKENS) for one in said] == [None, None, 50, None]
    assert [COST in one for one in said] == [False, False, True, False]
    assert [one["otel_llm.cost.status"] for one in said] == ["unpriced", "free", "priced", "free"]
    assert [LASTED in one for one in said] == [False, False, True, False]
    assert _links_to(waiting, begun)
    assert _links_to(found, begun)
    assert again.links == ()
    assert [span.name for span in (begun, waiting, found)] == ["chat gpt-5-mini", "fetch_response", "fetch_response"]
    assert said[2]["gen_ai.request.model"] == "gpt-5-mini"
    assert {one["gen_ai.response.id"] for one in said} == {"resp_00000001"}


@both
def test_a_response_that_was_complete_at_once(
    asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Reading it again costs nothing."""
    ask = {"model": "gpt-5-mini", "input": "Why?"}
    done = Reply("Hot.", usage=USAGE)
    _calls(
        provider, asynchronous,
        ("responses.create", lambda _: ask, done),
        ("responses.retrieve", lambda id: {"response_id": id}, done),
    )  # fmt: skip
    made, read = (span.attributes or {} for span in instrumented.all())
    assert (made[TOKENS], TOKENS in read, COST in read) == (50, False, False)
    assert "Hot." in read["gen_ai.output.messages"]


@both
def test_a_stream_that_is_left_and_taken_up_again(
    asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The background response whose stream was left early is counted by the stream that ends."""

    async def run() -> None:
        clients = Clients(provider, asynchronous)
        provider.script(lambda request: Reply("A very hot gas.", usage=USAGE, chunks=5))
        ask = {"model": "gpt-5-mini", "input": "Why?", "background": True, "stream": True}
        stream = await clients.call("responses.create", **ask)
        items = clients.items(stream)
        event = await anext(items)
        await clients.result(stream.close())
        rest = await clients.call("responses.retrieve", response_id=event.response.id, stream=True, starting_after=0)
        assert [event async for event in clients.items(rest)]
        await clients.close()

    asyncio.run(run())
    left, taken = instrumented.all()
    first, second = left.attributes or {}, taken.attributes or {}
    assert (first["otel_llm.stream.outcome"], first[STATUS], TOKENS in first) == ("closed_early", "in_progress", False)
    assert (second["otel_llm.stream.outcome"], second[STATUS], second[TOKENS]) == ("completed", "completed", 50)
    assert second["gen_ai.request.stream_cursor"] == "0"
    assert _links_to(taken, left)


@both
def test_a_background_response_that_is_cancelled_or_fails(
    asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """It is over, and nobody waits for its usage any more."""
    ask = {"model": "gpt-5-mini", "input": "Why?", "background": True}
    _calls(
        provider, asynchronous,
        ("responses.create", lambda _: ask, Reply(state="queued")),
        ("responses.cancel", lambda id: {"response_id": id}, Reply()),
        ("responses.retrieve", lambda id: {"response_id": id}, Reply(state="failed", error_code="server_error")),
    )  # fmt: skip
    begun, cancelled, failed = instrumented.all()
    assert (cancelled.attributes or {})[STATUS] == "cancelled"
    assert _links_to(cancelled, begun)
    assert failed.links == ()
    assert (failed.attributes or {})["error.type"] == "server_error"
    assert not failed.status.is_unset


@both
def test_a_batch(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A finished batch that reports its usage counts it once, at the price of batches."""
    ask = {"completion_window": "24h", "endpoint": "/v1/responses", "input_file_id": "file-1"}
    done = Reply(usage=USAGE, model="gpt-5-mini")
    _calls(
        provider, asynchronous,
        ("batches.create", lambda _: ask, Reply()),
        ("batches.retrieve", lambda id: {"batch_id": id}, Reply(state="in_progress")),
        ("batches.retrieve", lambda id: {"batch_id": id}, done),
        ("batches.retrieve", lambda id: {"batch_id": id}, done),
    )  # fmt: skip
    begun, _, found, _ = instrumented.all()
    said = [span.attributes or {} for span in instrumented.all()]
    assert [one.get(TOKENS) for one in said] == [None, None, 50, None]
    assert said[2]["otel_llm.service_tier.given"] == "batch"
    assert said[2]["otel_llm.batch.failed_requests"] == 1
    assert 0 < said[2][COST] < 0.000116  # that of one response with the same usage
    assert _links_to(found, begun)


@needs("videos.create")
@both
def test_a_video(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Its seconds are counted once."""
    _calls(
        provider, asynchronous,
        ("videos.create", lambda _: {"prompt": "A flame", "model": "sora-2"}, Reply()),
        ("videos.retrieve", lambda id: {"video_id": id}, Reply(state="in_progress")),
        ("videos.retrieve", lambda id: {"video_id": id}, Reply()),
        ("videos.retrieve", lambda id: {"video_id": id}, Reply()),
    )  # fmt: skip
    said = [span.attributes or {} for span in instrumented.all()]
    assert [one.get("otel_llm.usage.video_seconds") for one in said] == [None, None, 4, None]
    assert [one.get("otel_llm.usage.videos") for one in said] == [None, None, 1, None]


@needs("videos.create_and_poll")
def test_a_helper_that_waits_is_the_calls_it_makes(instrumented: Spans, provider: ScriptedProvider) -> None:
    """``create_and_poll`` is one span for each request."""
    provider.script([Reply(), Reply(state="in_progress"), Reply()])
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        client.videos.create_and_poll(prompt="A flame", poll_interval_ms=1)
    assert [span.name for span in instrumented.all()] == ["generate_video", "fetch_response", "fetch_response"]


@both
def test_an_assistants_run(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A run that waits for a tool goes on with what the tool gave, and is counted when it is finished."""
    run = {"thread_id": "thread_1", "assistant_id": "asst_1"}
    outputs = [{"tool_call_id": "c1", "output": "burnt"}]
    _calls(
        provider, asynchronous,
        ("beta.threads.runs.create", lambda _: run, Reply(state="requires_action")),
        (
            "beta.threads.runs.submit_tool_outputs",
            lambda id: {"thread_id": "thread_1", "run_id": id, "tool_outputs": outputs}, Reply(),
        ),
        ("beta.threads.runs.retrieve", lambda id: {"thread_id": "thread_1", "run_id": id}, Reply(usage=USAGE)),
    )  # fmt: skip
    begun, went_on, found = instrumented.all()
    assert [(span.attributes or {}).get(TOKENS) for span in (begun, went_on, found)] == [None, None, 50]
    assert _links_to(went_on, begun)
    assert _links_to(found, begun)
