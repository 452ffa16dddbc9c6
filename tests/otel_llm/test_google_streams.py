"""Google's streams, of content and of interactions, however they end: one call each, with what had come by then."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.genai import errors, types

from otel_llm.providers.google_streams import ContentFold
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.google_sdk import has, opened, opened_async

TEXT = "A flame is a hot and visible gas."
REPLY = Reply(TEXT, usage=Usage(input=10, output=20), chunks=8)
CONTENT = ("models.generate_content_stream", {"model": "gemini-2.5-flash", "contents": "A flame?"})
INTERACTION = ("interactions.create", {"model": "gemini-2.5-flash", "input": "A flame?", "stream": True})
KINDS = [
    pytest.param(*CONTENT, id="content"),
    *([pytest.param(*INTERACTION, id="interaction")] if has("interactions.create") else []),
]
STREAMS = pytest.mark.parametrize(("path", "asked"), KINDS)
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental.*", "ignore:.*cannot use aiohttp.*")


def _stream(client: Any, path: str, asked: dict[str, Any]) -> Any:
    resource, _, name = path.partition(".")
    return getattr(getattr(client, resource), name)(**asked)


def _read(stream: Any, count: int) -> None:
    for _ in range(count):
        next(stream)


def _end(spans: Spans, outcome: str) -> dict[str, Any]:
    """The attributes of the one call, which ended so."""
    attributes = spans.attributes()
    assert attributes["otel_llm.stream.outcome"] == outcome
    assert attributes["gen_ai.request.stream"] is True
    return attributes


def _partial(attributes: dict[str, Any]) -> bool:
    """Whether the beginning of the answer is there, and not all of it."""
    said = attributes["gen_ai.output.messages"]
    return "A fl" in said and TEXT not in said


@STREAMS
def test_read_to_the_end(path: str, asked: dict[str, Any], instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([REPLY])
    with opened(provider) as client:
        for _ in _stream(client, path, asked):
            pass
    attributes = _end(instrumented, "completed")
    assert TEXT in attributes["gen_ai.output.messages"]
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (10, 20)


@STREAMS
def test_closed_early(path: str, asked: dict[str, Any], instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([REPLY])
    with opened(provider) as client:
        stream = _stream(client, path, asked)
        _read(stream, 4)
        stream.close()
    assert _partial(_end(instrumented, "closed_early"))
    assert instrumented.one().status.status_code.name == "UNSET"


@STREAMS
def test_left_by_a_break_and_dropped(
    path: str, asked: dict[str, Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    provider.script([REPLY])
    with opened(provider) as client:
        stream = _stream(client, path, asked)
        for count, _ in enumerate(stream):
            if count == 3:
                break
        del stream
        gc.collect()
        assert _partial(_end(instrumented, "abandoned"))


@STREAMS
def test_never_read(path: str, asked: dict[str, Any], instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([REPLY])
    with opened(provider) as client:
        stream = _stream(client, path, asked)
        del stream
        gc.collect()
        assert "gen_ai.usage.output_tokens" not in _end(instrumented, "abandoned")


@STREAMS
def test_the_consumer_raises(path: str, asked: dict[str, Any], instrumented: Spans, provider: ScriptedProvider) -> None:
    """That is the consumer's affair: the call is left early."""
    provider.script([REPLY])
    with opened(provider) as client:
        stream = _stream(client, path, asked)
        with contextlib.suppress(LookupError):
            for _ in stream:
                raise LookupError
        del stream
        gc.collect()
        assert _end(instrumented, "abandoned")["otel_llm.stream.chunks"] == 1


@pytest.mark.skipif(not hasattr(errors.APIError, "raise_error"), reason="the installed google-genai ignores it")
@pytest.mark.parametrize("after", [0, 3])
def test_an_error_in_a_stream_of_content(after: int, instrumented: Spans, provider: ScriptedProvider) -> None:
    """At its first chunk or later: the SDK raises it, the call has it, and what had come."""
    provider.script([Reply(TEXT, usage=Usage(10, 20), chunks=8, fail_after=after, error="It failed.")])
    with opened(provider) as client, pytest.raises(Exception, match=r"It failed\."):
        list(_stream(client, *CONTENT))
    attributes = _end(instrumented, "error")
    assert attributes["error.type"] == "503"
    assert instrumented.one().status.status_code.name == "ERROR"
    if after:
        assert _partial(attributes)
        assert attributes["gen_ai.usage.input_tokens"] == 10


@pytest.mark.skipif(not has("interactions.create"), reason="the installed google-genai has no interactions")
def test_an_error_in_a_stream_of_an_interaction(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK hands it on as an event; the call has failed all the same."""
    provider.script([Reply(TEXT, usage=Usage(10, 20), chunks=8, fail_after=4, error="It failed.")])
    with opened(provider) as client:
        list(_stream(client, *INTERACTION))
    attributes = _end(instrumented, "completed")
    assert attributes["error.type"] == "internal"
    assert instrumented.one().status.status_code.name == "ERROR"
    assert _partial(attributes)


@STREAMS
def test_http_500(path: str, asked: dict[str, Any], instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script(lambda request: Reply(status=500))
    options = {"retry_options": types.HttpRetryOptions(attempts=1)}
    with opened(provider, **options) as client, pytest.raises(Exception, match="internal error"):
        list(_stream(client, path, asked))
    attributes = instrumented.attributes()
    assert attributes["error.type"] == "500"
    assert instrumented.one().status.status_code.name == "ERROR"


def test_a_connection_that_is_cut(instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([Reply(TEXT, usage=Usage(10, 20), chunks=8, fail_after=3, failure="cut")])
    with opened(provider) as client, pytest.raises(Exception, match=r"closed|incomplete|peer"):
        list(_stream(client, *CONTENT))
    assert _partial(_end(instrumented, "error"))


async def _begun(client: Any, path: str, asked: dict[str, Any]) -> Any:
    stream = await _stream(client, path, asked)
    for _ in range(4):
        await anext(stream)
    return stream


async def _close(client: Any, path: str, asked: dict[str, Any]) -> None:
    stream = await _begun(client, path, asked)
    await (stream.aclose if hasattr(stream, "aclose") else stream.close)()


async def _drop(client: Any, path: str, asked: dict[str, Any]) -> None:
    stream = await _begun(client, path, asked)
    del stream
    gc.collect()
    await asyncio.sleep(0)


async def _cancel(client: Any, path: str, asked: dict[str, Any]) -> None:
    entered = asyncio.Event()

    async def read() -> None:
        stream = await _begun(client, path, asked)
        entered.set()
        async for _ in stream:
            pass

    task = asyncio.create_task(read())
    await entered.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(("leave", "outcome"), [(_close, "closed_early"), (_drop, "abandoned"), (_cancel, "cancelled")])
@STREAMS
def test_left_asynchronously(
    path: str, asked: dict[str, Any], leave: Callable[..., Awaitable[None]], outcome: str,
    instrumented: Spans, provider: ScriptedProvider,
) -> None:  # fmt: skip
    """Closed, dropped, or with its task cancelled while it waits for a chunk."""
    provider.script([Reply(TEXT, usage=Usage(10, 20), chunks=8, chunk_delay=0.05 if leave is _cancel else 0)])

    async def run() -> None:
        async with opened_async(provider) as client:
            await leave(client, path, asked)

    asyncio.run(run())
    assert _partial(_end(instrumented, outcome))


def _chunk(id: str, **fields: Any) -> types.GenerateContentResponse:
    said = types.ModelContent(fields.pop("text")) if "text" in fields else None
    candidate = types.Candidate(content=said, finish_reason=fields.pop("finish", None))
    usage = types.GenerateContentResponseUsageMetadata(**fields)
    return types.GenerateContentResponse(response_id=id, candidates=[candidate], usage_metadata=usage)


def test_a_stream_that_is_continued_says_its_usage_whole() -> None:
    """Where an SDK takes up an answer that had not ended, its chunks carry the usage of all: it is not added up."""
    fold = ContentFold()
    for chunk in (
        _chunk("r1", text="A ", prompt_token_count=10, candidates_token_count=5),
        _chunk("r2", text="hot ", prompt_token_count=20, candidates_token_count=10),
        _chunk("r2", text="gas.", prompt_token_count=20, candidates_token_count=12, finish="STOP"),
    ):
        fold.add(chunk)
    answer = fold.response()
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (20, 12)
    assert [part.text for part in answer.candidates[0].content.parts] == ["A hot gas."]


def test_rounds_of_a_stream_add_up() -> None:
    """One that had ended was an answer; what follows is another, and only that one is the answer."""
    fold = ContentFold()
    for chunk in (
        _chunk("r1", text="Let me look.", prompt_token_count=10, candidates_token_count=5),
        _chunk("r1", prompt_token_count=10, candidates_token_count=6, finish="STOP"),
        _chunk("r2", text="Hot.", prompt_token_count=20, candidates_token_count=1),
        _chunk("r2", prompt_token_count=20, candidates_token_count=2, finish="STOP"),
    ):
        fold.add(chunk)
        if chunk.response_id == "r1":
            fold.heard(chunk)
    answer = fold.response()
    assert (answer.usage_metadata.prompt_token_count, answer.usage_metadata.candidates_token_count) == (30, 8)
    assert [part.text for part in answer.candidates[0].content.parts] == ["Hot."]
