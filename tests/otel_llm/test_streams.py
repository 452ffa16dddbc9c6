"""Streams that do not run to their end: one span each, the outcome right, the caller undisturbed."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any

import openai
import pytest
from google import genai
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans

REPLY = Reply("one two three four five six", usage=Usage(input=10, output=6), chunks=6)
CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "count"}], "stream": True}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "count"}


_clients: list[Any] = []


def _kept(client: Any) -> Any:
    """Google's client closes when it is dropped, even below a stream that is read: it is kept for the test."""
    _clients.append(client)
    return client


def _openai(provider: ScriptedProvider) -> Any:
    client = openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0)
    return client.chat.completions.create(**CHAT)


def _responses(provider: ScriptedProvider) -> Any:
    client = openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0)
    return client.responses.create(model="gpt-5-mini", input="count", stream=True)


def _gemini(provider: ScriptedProvider) -> Any:
    client = _kept(genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}))
    return client.models.generate_content_stream(**GEMINI)


async def _openai_async(provider: ScriptedProvider) -> Any:
    client = openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0)
    return await client.chat.completions.create(**CHAT)


async def _gemini_async(provider: ScriptedProvider) -> Any:
    client = _kept(genai.Client(api_key="x", http_options={"base_url": provider.gemini_base_url}))
    return await client.aio.models.generate_content_stream(**GEMINI)


#: A connection that is dropped with its stream is the SDK's litter, with us or without.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
both = pytest.mark.parametrize("start", [_openai, _responses, _gemini])
both_async = pytest.mark.parametrize("start", [_openai_async, _gemini_async])


@pytest.fixture(autouse=True)
def scripted(provider: ScriptedProvider) -> Iterator[ScriptedProvider]:
    """Every stream of this module counts to six."""
    provider.script(lambda request: REPLY)
    yield provider
    _clients.clear()
    gc.collect()


@pytest.fixture(autouse=True)
def no_complaint(caplog: pytest.LogCaptureFixture) -> Any:
    """Neither OpenTelemetry ("Failed to detach context") nor the library says anything."""
    caplog.set_level(logging.WARNING)
    yield
    assert [
        record.getMessage() for record in caplog.records if record.name.startswith(("opentelemetry", "otel_"))
    ] == []


def _outcome(spans: Spans) -> Any:
    assert trace.get_current_span() is trace.INVALID_SPAN
    return spans.attributes()["otel_llm.stream.outcome"]


@both
def test_a_stream_that_is_read_whole_is_completed(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Exhaustion ends the span, and the chunks are the SDK's."""
    stream = start(provider)
    assert instrumented.all() == []
    assert len(list(stream)) >= 6
    assert _outcome(instrumented) == "completed"
    assert "one two three four five six" in instrumented.attributes()["gen_ai.output.messages"]


@both
def test_leaving_the_loop_and_closing_is_closed_early(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """``close()`` after a ``break`` ends the span without an error."""
    stream = start(provider)
    for _ in stream:
        break
    stream.close()
    assert _outcome(instrumented) == "closed_early"
    assert instrumented.one().status.status_code is StatusCode.UNSET


def test_breaking_out_inside_with_is_closed_early(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The end of the caller's ``with`` ends the span; what came until then is kept."""
    with _openai(provider) as stream:
        next(stream)
        next(stream)
    assert _outcome(instrumented) == "closed_early"
    assert '"content":"one ' in instrumented.attributes()["gen_ai.output.messages"]


def test_breaking_out_of_the_helper_is_closed_early(instrumented: Spans, provider: ScriptedProvider) -> None:
    """OpenAI's ``.stream()`` helper closes the HTTP response only; the span ends with it, not at some collection."""
    client = openai.OpenAI(api_key="x", base_url=provider.openai_base_url)
    with client.chat.completions.stream(model="gpt-5-mini", messages=CHAT["messages"]) as stream:
        for _ in stream:
            break
    assert len(instrumented.exporter.get_finished_spans()) == 1
    assert _outcome(instrumented) == "closed_early"
    assert stream is not None


def test_an_exception_inside_with_reaches_the_caller(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The caller's own error passes through unchanged and is not the model's."""
    with pytest.raises(RuntimeError, match="mine"), _openai(provider) as stream:  # noqa: PT012 - the loop is the point
        for _ in stream:
            raise RuntimeError("mine")
    assert _outcome(instrumented) == "closed_early"
    assert "error.type" not in instrumented.attributes()


@both
def test_a_dropped_stream_is_abandoned(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Dropping a stream in its middle ends the span."""
    stream = start(provider)
    next(iter(stream))
    del stream
    gc.collect()
    assert _outcome(instrumented) == "abandoned"


@both
def test_a_stream_never_read_is_abandoned(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """A stream that nobody reads leaves one span too."""
    stream = start(provider)
    del stream
    gc.collect()
    assert _outcome(instrumented) == "abandoned"


@both
def test_an_error_in_mid_stream_is_the_sdks(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The SDK's exception comes out as it is, and is on the span with what came before it."""
    provider.script(lambda request: Reply("one two three four", chunks=4, fail_after=3, error="broken"))
    try:
        chunks = list(start(provider))
    except (openai.APIError, genai.errors.APIError):
        pass
    else:
        pytest.skip(f"this SDK does not raise for an error event, and goes on: {len(chunks)} chunks")
    span = instrumented.one()
    assert _outcome(instrumented) == "error"
    assert span.status.status_code is StatusCode.ERROR
    assert "broken" in str(span.status.description)
    assert instrumented.attributes()["gen_ai.response.model"] in ("gpt-5-mini", "gemini-2.5-flash")


@both
def test_http_500_is_one_span_with_its_status(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """A request that is refused before the first chunk: one span, ``error.type`` the status."""
    provider.script(lambda request: Reply(status=500, error="down"))
    with pytest.raises((openai.InternalServerError, genai.errors.ServerError)):
        list(start(provider))
    assert instrumented.attributes()["error.type"] == "500"


def test_yield_from_closes_what_the_sdk_lets_it_close(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A generator around Gemini's stream, closed: the connection is given back then, not at some collection."""
    stream = _gemini(provider)

    def chunks() -> Generator[Any]:
        yield from stream

    outer = chunks()
    next(outer)
    outer.close()
    assert _outcome(instrumented) == "closed_early"
    assert list(stream) == []


@both
def test_the_stream_can_be_taken_up_again(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """A ``break`` alone ends nothing: the SDK lets the caller read on, and so do we."""
    stream = start(provider)
    for _ in stream:
        break
    assert instrumented.exporter.get_finished_spans() == ()
    assert sum(1 for _ in stream) >= 5
    assert _outcome(instrumented) == "completed"


def test_the_type_stays_the_sdks(instrumented: Spans, provider: ScriptedProvider) -> None:
    """``isinstance`` and attributes see the SDK's stream."""
    stream = _openai(provider)
    assert isinstance(stream, openai.Stream)
    assert stream.response.status_code == 200
    stream.close()
    assert _outcome(instrumented) == "closed_early"


@both_async
def test_async_streams_complete(start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider) -> None:
    """An async stream read whole."""

    async def read() -> int:
        return len([chunk async for chunk in await start(provider)])

    assert asyncio.run(read()) >= 6
    assert _outcome(instrumented) == "completed"


@both_async
def test_a_cancelled_task_is_cancelled(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Cancelling the task that waits for a chunk ends the span; the cancellation goes on."""
    provider.script(lambda request: Reply("one two three", chunks=3, chunk_delay=30))

    async def read() -> None:
        stream = await start(provider)
        first = asyncio.Event()

        async def consume() -> None:
            async for _ in stream:
                first.set()

        task = asyncio.create_task(consume())
        await first.wait()
        await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(read())
    assert _outcome(instrumented) == "cancelled"


@both_async
def test_an_async_stream_dropped_is_abandoned(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Leaving an ``async for`` and dropping the stream."""

    async def read() -> None:
        stream = await start(provider)
        async for _ in stream:
            break

    asyncio.run(read())
    gc.collect()
    assert _outcome(instrumented) == "abandoned"


@both_async
def test_an_async_generator_around_a_stream_can_be_left(
    start: Callable[..., Any], instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The case of "Failed to detach context": a generator is closed from another context than it ran in."""

    async def texts() -> AsyncGenerator[Any, None]:
        async for chunk in await start(provider):
            yield chunk

    async def read() -> None:
        generator = texts()
        async for _ in generator:
            break
        await asyncio.create_task(generator.aclose())

    asyncio.run(read())
    gc.collect()
    assert _outcome(instrumented) == "abandoned"


def test_a_first_chunk_that_is_given_up_leaves_nothing_current(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A coroutine that is closed while it waits, in the context that it waited in."""
    provider.script(lambda request: Reply("one two three", chunks=3, delay=0.3))

    async def read() -> None:
        stream = await _gemini_async(provider)
        coroutine = stream.__anext__()
        coroutine.send(None)
        assert trace.get_current_span() is not trace.INVALID_SPAN
        with contextlib.suppress(RuntimeError):  # the SDK's own: it waits again while it is closed
            coroutine.close()
        assert trace.get_current_span() is trace.INVALID_SPAN

    asyncio.run(read())
    gc.collect()
    assert _outcome(instrumented) == "cancelled"


def test_async_with_is_closed_early(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The end of an ``async with``."""

    async def read() -> None:
        async with await _openai_async(provider) as stream:
            async for _ in stream:
                break

    asyncio.run(read())
    assert _outcome(instrumented) == "closed_early"


def test_a_stream_is_not_current_between_chunks(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What the caller does between two chunks is not below the call."""
    for _ in _gemini(provider):
        assert trace.get_current_span() is trace.INVALID_SPAN
    assert _outcome(instrumented) == "completed"
