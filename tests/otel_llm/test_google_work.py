"""Work of Google's that goes on after the call that began it: videos, batches, tuning, background interactions."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from google.genai import errors, types

from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.google_sdk import Api, call_async, needs, opened, opened_async

USED = Usage(input=1_000_000, output=100_000, reasoning=20_000)


def _attributes(spans: Spans) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans.all()]


def _linked(spans: Spans) -> bool:
    """Whether the second call is linked to the first."""
    first, second = spans.all()[:2]
    return [link.context.span_id for link in second.links] == [first.get_span_context().span_id]


@pytest.mark.filterwarnings("ignore:.*deprecated.*:DeprecationWarning")
@needs("GenerateVideosSource.prompt")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_video_until_it_is_there(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Each question is a call; the one that finds the video linked to the call that asked for it, and says how long."""
    provider.script([Reply(), Reply(state="running"), Reply(), Reply()])
    asked: dict[str, Any] = {"model": "veo-3.0-generate-001", "source": types.GenerateVideosSource(prompt="A flame")}

    async def run_async() -> None:
        async with opened_async(provider, "vertex") as client:
            operation = await client.models.generate_videos(**asked)
            for _ in range(2):
                operation = await client.operations.get(operation)
            assert operation.response.generated_videos
            await client.operations.get(operation=operation)

    if mode == "async":
        asyncio.run(run_async())
    else:
        with opened(provider, "vertex") as client:
            operation = client.models.generate_videos(**asked)
            for _ in range(2):
                operation = client.operations.get(operation)
            assert operation.response.generated_videos
            client.operations.get(operation=operation)
    begun, first, last, again = _attributes(instrumented)
    assert [each["gen_ai.operation.name"] for each in (begun, first, last)] == [
        "generate_video", "fetch_response", "fetch_response",
    ]  # fmt: skip
    assert [each["gen_ai.response.status"] for each in (begun, first, last, again)] == [
        "in_progress", "in_progress", "completed", "completed",
    ]  # fmt: skip
    assert _linked(instrumented)
    assert 0 < last["otel_llm.work.duration"] < 60
    assert "otel_llm.work.duration" not in first | again
    assert last["otel_llm.usage.videos"] == 1
    assert "otel_llm.usage.videos" not in first | again
    assert first["gen_ai.request.model"] == last["gen_ai.request.model"] == "veo-3.0-generate-001"
    assert "gs://bucket/video.mp4" in last["gen_ai.output.messages"]
    assert [each["otel_llm.cost.status"] for each in (begun, last)] == ["unpriced", "free"]


@needs("GenerateVideosSource.prompt")
def test_a_video_that_fails_or_is_held_back(instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script(
        [Reply(), Reply(state="failed", error="No."), Reply(), Reply(finish="blocked", block_reason="Hot.")]
    )
    with opened(provider, "vertex") as client:
        for _ in range(2):
            source = types.GenerateVideosSource(prompt="A flame")
            client.operations.get(client.models.generate_videos(model="veo-3.0-generate-001", source=source))
    _, failed, _, held = _attributes(instrumented)
    assert (failed["gen_ai.response.status"], failed["error.type"]) == ("failed", "500")
    assert instrumented.all()[1].status.status_code.name == "ERROR"
    assert (held["otel_llm.usage.videos"], held["otel_llm.block_reason"]) == (0, "Hot.")
    assert held["gen_ai.response.finish_reasons"] == ("content_filter",)


@pytest.mark.filterwarnings("ignore:BATCH_STATE_RUNNING is not a valid JobState")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_batch_is_counted_once(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """By the call that finds it done, at the price of batches; not before, and not again."""
    provider.script([
        Reply(), Reply(state="BATCH_STATE_RUNNING"), Reply("Hot.", usage=USED), Reply("Hot.", usage=USED),
    ])  # fmt: skip
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "src": [{"contents": "A flame?"}, {"contents": "Wax?"}]}

    async def run_async() -> None:
        async with opened_async(provider) as client:
            job = await client.batches.create(**asked)
            for _ in range(3):
                await client.batches.get(name=job.name)

    if mode == "async":
        asyncio.run(run_async())
    else:
        with opened(provider) as client:
            job = client.batches.create(**asked)
            for _ in range(3):
                client.batches.get(name=job.name)
    begun, running, done, again = _attributes(instrumented)
    assert (begun["otel_llm.batch.requests"], begun["gen_ai.response.status"]) == (2, "queued")
    assert running["gen_ai.response.status"] == "in_progress"
    assert _linked(instrumented)
    assert (done["gen_ai.usage.input_tokens"], done["gen_ai.usage.output_tokens"]) == (1_000_000, 100_000)
    assert (done["otel_llm.batch.requests"], done["otel_llm.batch.failed_requests"]) == (2, 1)
    assert (done["otel_llm.service_tier.given"], done["otel_llm.cost.status"]) == ("batch", "priced")
    assert done["otel_llm.cost.total"] == pytest.approx(0.15 + 0.125)
    assert "Hot." in done["gen_ai.output.messages"]
    for other in (begun, running, again):
        assert "gen_ai.usage.input_tokens" not in other
        assert other["otel_llm.cost.status"] == "free"


@pytest.mark.filterwarnings("ignore:.*experimental")
@needs("batches.create_embeddings")
def test_a_batch_of_embeddings(instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([Reply(), Reply(embeddings=[[0.5] * 8], usage=Usage(1_000_000))])
    with opened(provider) as client:
        job = client.batches.create_embeddings(
            model="gemini-embedding-2", src={"inlined_requests": {"contents": ["flame"]}}
        )
        client.batches.get(name=job.name)
    _, done = _attributes(instrumented)
    assert done["gen_ai.usage.input_tokens"] == 1_000_000


def test_a_batch_of_vertex_that_fails(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Its answers lie in a bucket; what is known is how many there are."""
    provider.script([Reply(), Reply(state="JOB_STATE_FAILED"), Reply()])
    with opened(provider, "vertex") as client:
        job = client.batches.create(model="gemini-2.5-flash", src="gs://bucket/questions.jsonl")
        client.batches.get(name=job.name)
        client.batches.get(name=job.name)
    _, failed, done = _attributes(instrumented)
    assert (failed["gen_ai.response.status"], failed["error.type"]) == ("failed", "13")
    assert done["gen_ai.response.status"] == "completed"


@pytest.mark.filterwarnings("ignore:.*experimental")
def test_tuning_until_it_is_done(instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([Reply(), Reply(state="JOB_STATE_RUNNING"), Reply()])
    with opened(provider, "vertex") as client:
        dataset = types.TuningDataset(gcs_uri="gs://bucket/train.jsonl")
        job = client.tunings.tune(base_model="gemini-2.5-flash", training_dataset=dataset)
        for _ in range(2):
            client.tunings.get(name=job.name)
    _, running, done = _attributes(instrumented)
    assert [each["gen_ai.response.status"] for each in (running, done)] == ["in_progress", "completed"]
    assert _linked(instrumented)
    assert 0 < done["otel_llm.work.duration"] < 60


@pytest.mark.filterwarnings("ignore:.*experimental.*", "ignore:.*cannot use aiohttp.*", "ignore:.*DEPRECATED.*")
@needs("interactions.create")
@pytest.mark.parametrize("api", ["gemini", "vertex"])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_interaction_in_the_background(mode: str, api: Api, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Its tokens are those of the call that finds it done."""
    provider.script([Reply(state="in_progress"), Reply(state="in_progress"), Reply("Hot.", usage=USED), Reply()])
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "input": "A flame?", "background": True}

    async def run_async() -> None:
        async with opened_async(provider, api) as client:
            begun = await call_async(client, "interactions.create", asked)
            for _ in range(3):
                await call_async(client, "interactions.get", {"id": begun.id})

    if mode == "async":
        asyncio.run(run_async())
    else:
        with opened(provider, api) as client:
            begun = client.interactions.create(**asked)
            for _ in range(3):
                client.interactions.get(begun.id)
    begun, running, done, again = _attributes(instrumented)
    assert [each["gen_ai.response.status"] for each in (begun, running, done)] == [
        "in_progress", "in_progress", "completed",
    ]  # fmt: skip
    assert _linked(instrumented)
    assert done["gen_ai.operation.name"] == "fetch_response"
    assert done["gen_ai.usage.output_tokens"] == 100_000
    assert done["gen_ai.request.model"] == "gemini-2.5-flash"
    assert done["otel_llm.cost.status"] == "priced"
    assert "gen_ai.usage.output_tokens" not in begun | running | again


@pytest.mark.filterwarnings("ignore:.*experimental.*", "ignore:.*cannot use aiohttp.*", "ignore:.*DEPRECATED.*")
@needs("interactions.create")
def test_an_interaction_that_is_taken_up_as_a_stream(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The stream that brings the end of it carries its tokens, and where it was taken up."""
    provider.script([Reply(state="in_progress"), Reply("Hot.", usage=USED, chunks=2)])
    with opened(provider) as client:
        begun = client.interactions.create(model="gemini-2.5-flash", input="A flame?", background=True)
        list(client.interactions.get(begun.id, stream=True, last_event_id="event-7"))
    _, done = _attributes(instrumented)
    assert done["gen_ai.request.stream_cursor"] == "event-7"
    assert done["gen_ai.usage.output_tokens"] == 100_000
    assert done["otel_llm.stream.outcome"] == "completed"
    assert _linked(instrumented)


def _continues() -> bool:
    return hasattr(errors, "ContinuationInterruptedError")


@pytest.mark.skipif(not _continues(), reason="the installed google-genai does not continue interactions")
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("fails", [False, True])
def test_an_interaction_that_the_sdk_continues(
    fails: bool, mode: str, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Its tokens are those of all its requests, also when one of them fails."""
    first = Reply("A hot", usage=Usage(100, 10), state="requires_continuation", extra={"continuation_token": "more"})
    provider.script([first, Reply(status=400, error="No.") if fails else Reply(" gas.", usage=Usage(120, 20))])
    asked: dict[str, Any] = {"model": "gemini-2.5-flash", "input": "A flame?"}

    async def run_async() -> None:
        async with opened_async(provider) as client:
            await call_async(client, "interactions.create", asked)

    with pytest.raises(errors.ContinuationInterruptedError) if fails else contextlib.nullcontext():
        if mode == "async":
            asyncio.run(run_async())
        else:
            with opened(provider) as client:
                client.interactions.create(**asked)
    assert len(provider.requests) == 2
    (attributes,) = _attributes(instrumented)
    assert attributes["gen_ai.usage.input_tokens"] == (100 if fails else 220)
    assert attributes["gen_ai.usage.output_tokens"] == (10 if fails else 30)
    assert attributes["otel_llm.cost.status"] == "priced"


@needs("file_search_stores.import_file")
def test_a_file_that_is_embedded(instrumented: Spans, provider: ScriptedProvider) -> None:
    """An import into a store goes on like a video."""
    with opened(provider) as client:
        operation = client.file_search_stores.import_file(
            file_search_store_name="fileSearchStores/1", file_name="files/1"
        )
        assert client.operations.get(operation).done
    begun, done = _attributes(instrumented)
    assert begun["gen_ai.operation.name"] == "embed_file"
    assert done["gen_ai.response.status"] == "completed"
    assert _linked(instrumented)
