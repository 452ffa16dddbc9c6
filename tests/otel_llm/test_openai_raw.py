"""Answers that the SDK hands on unparsed: recorded as the caller goes through them, ended once, untouched."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from openai import APIResponse, AsyncAPIResponse
from openai._legacy_response import LegacyAPIResponse
from openai.types.chat import ChatCompletion
from pydantic import BaseModel

import otel_llm
from otel_llm.guardrails import Pattern
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.openai_sdk import Clients

ASK: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is a flame?"}]}
STREAM = ASK | {"stream": True, "stream_options": {"include_usage": True}}
REPLY = Reply("A very hot gas.", usage=Usage(input=10, output=5), chunks=5)
OUTCOME = "otel_llm.stream.outcome"
TOKENS = "gen_ai.usage.output_tokens"
OUTPUT = "gen_ai.output.messages"
REQUEST_ID = "otel_llm.provider.request_id"

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


class Topic(BaseModel):
    """A structured answer."""

    topic: str


async def _close(thing: Any, asynchronous: bool) -> None:
    closing = thing.aclose() if asynchronous and hasattr(thing, "aclose") else thing.close()
    if inspect.isawaitable(closing):
        await closing


def _with(
    provider: ScriptedProvider, asynchronous: bool, test: Callable[[Clients], Awaitable[None]], reply: Reply = REPLY
) -> None:
    """Runs a test with a client."""
    provider.script(lambda request: reply)

    async def run() -> None:
        clients = Clients(provider, asynchronous, max_retries=0)
        try:
            await test(clients)
        finally:
            await clients.close()

    asyncio.run(run())


class TestRaw:
    """``with_raw_response``: the answer has been received when the call returns."""

    @both
    @pytest.mark.parametrize("parsed", [True, False])
    def test_an_answer_is_read_whether_it_is_parsed_or_not(
        self, parsed: bool, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.create", **ASK)
            assert type(raw) is LegacyAPIResponse
            if parsed:
                answer = raw.parse()
                assert type(answer) is ChatCompletion
                assert answer is raw.parse()
            assert otel_llm.call_of(raw) == otel_llm.last_call()

        _with(provider, asynchronous, test)
        found = instrumented.attributes()
        assert found[TOKENS] == 5
        assert found[REQUEST_ID] == "req_000000000000000000000001"
        assert OUTCOME not in found
        assert "A very hot gas." in found[OUTPUT]

    @both
    def test_a_structured_answer(self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.parse", **ASK, response_format=Topic)
            assert raw.parse().choices[0].message.parsed == Topic(topic="flame")

        _with(provider, asynchronous, test, Reply('{"topic": "flame"}', usage=Usage(input=10, output=5)))
        assert instrumented.attributes()[TOKENS] == 5

    @both
    def test_another_type_is_the_callers(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.create", **ASK)
            assert raw.parse(to=dict[str, Any])["object"] == "chat.completion"

        _with(provider, asynchronous, test)
        assert instrumented.attributes()[TOKENS] == 5

    @both
    def test_an_answer_that_cannot_be_parsed_raises_where_the_caller_parses(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.parse", **ASK, response_format=Topic)
            with pytest.raises(ValueError, match="Topic"):
                raw.parse()

        _with(provider, asynchronous, test, Reply("no JSON"))
        assert REQUEST_ID in instrumented.attributes()

    @both
    def test_a_stream_is_recorded_as_it_is_read(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.create", **STREAM)
            assert isinstance(raw, LegacyAPIResponse)
            assert raw.headers["x-request-id"] == raw.request_id
            stream = raw.parse()
            assert isinstance(stream, openai.AsyncStream if asynchronous else openai.Stream)
            assert stream is raw.parse()
            assert instrumented.all() == []
            chunks = [chunk async for chunk in clients.items(stream)]
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == REPLY.text
            assert otel_llm.call_of(stream) is not None

        _with(provider, asynchronous, test)
        found = instrumented.attributes()
        assert (found[OUTCOME], found[TOKENS]) == ("completed", 5)
        assert found[REQUEST_ID] == "req_000000000000000000000001"
        assert "A very hot gas." in found[OUTPUT]

    @both
    @pytest.mark.parametrize(("how", "outcome"), [("close", "closed_early"), ("drop", "abandoned")])
    def test_a_stream_that_is_left_early(
        self, how: str, outcome: str, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.create", **STREAM)
            stream = raw.parse()
            items = clients.items(stream)
            await anext(items)
            await anext(items)
            await items.aclose()
            if how == "close":
                await _close(stream, asynchronous)
            else:
                await _close(stream.__wrapped__, asynchronous)  # so that no connection is left open
            del raw, stream, items

        _with(provider, asynchronous, test)
        found = instrumented.attributes()
        assert (found[OUTCOME], found["otel_llm.stream.chunks"]) == (outcome, 2)

    @both
    @pytest.mark.parametrize(("whole", "outcome"), [(True, "completed"), (False, "closed_early")])
    def test_a_stream_that_is_read_as_bytes(
        self, whole: bool, outcome: str, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.create", **STREAM)
            http = raw.http_response
            async for line in clients.items(http.aiter_lines() if asynchronous else http.iter_lines()):
                assert not line or line.startswith("data: ")
                if not whole:
                    break
            await _close(http, asynchronous)
            del raw, http

        _with(provider, asynchronous, test)
        found = instrumented.attributes()
        assert found[OUTCOME] == outcome
        assert TOKENS not in found
        assert OUTPUT not in found

    @both
    def test_a_stream_of_the_callers_own_type_is_the_callers(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        kind: Any = openai.AsyncStream if asynchronous else openai.Stream

        async def test(clients: Clients) -> None:
            raw = await clients.call("chat.completions.with_raw_response.create", **STREAM)
            stream = raw.parse(to=kind[dict[str, Any]])
            assert type(stream) is kind
            assert [chunk async for chunk in clients.items(stream)]
            del raw, stream

        _with(provider, asynchronous, test)
        assert instrumented.attributes()[OUTCOME] == "completed"


class TestStreaming:
    """``with_streaming_response``: the caller receives the answer."""

    @both
    def test_an_answer_that_is_parsed(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def use(response: Any, clients: Clients) -> None:
            assert isinstance(response, AsyncAPIResponse if asynchronous else APIResponse)
            assert not response.http_response.is_stream_consumed
            answer = await clients.result(response.parse())
            assert type(answer) is ChatCompletion
            assert answer is await clients.result(response.parse())
            assert otel_llm.call_of(answer) == otel_llm.last_call()

        _with(provider, asynchronous, _opened(use))
        found = instrumented.attributes()
        assert (found[OUTCOME], found[TOKENS]) == ("completed", 5)
        assert found[REQUEST_ID] == "req_000000000000000000000001"
        assert "A very hot gas." in found[OUTPUT]

    @both
    @pytest.mark.parametrize("by", ["read", "text", "json", "iter_bytes", "iter_lines", "iter_text"])
    def test_an_answer_that_is_taken_as_bytes_is_not_read_by_us(
        self, by: str, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def use(response: Any, clients: Clients) -> None:
            taken = getattr(response, by)()
            if by.startswith("iter"):
                taken = [piece async for piece in clients.items(taken)]
            else:
                taken = await clients.result(taken)
            assert "hot gas" in str(taken)

        _with(provider, asynchronous, _opened(use))
        found = instrumented.attributes()
        assert found[OUTCOME] == "completed"
        assert TOKENS not in found
        assert OUTPUT not in found

    @both
    def test_an_answer_that_nobody_reads(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def use(response: Any, clients: Clients) -> None:
            assert response.status_code == 200
            assert instrumented.all() == []

        _with(provider, asynchronous, _opened(use))
        assert instrumented.attributes()[OUTCOME] == "closed_early"

    @both
    def test_the_callers_own_error(self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def use(response: Any, clients: Clients) -> None:
            raise LookupError

        with pytest.raises(LookupError):
            _with(provider, asynchronous, _opened(use))
        span = instrumented.one()
        assert (span.attributes or {})[OUTCOME] == "closed_early"
        assert span.status.is_unset

    @both
    def test_a_cut_connection(self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def use(response: Any, clients: Clients) -> None:
            async for _ in clients.items(response.iter_bytes()):
                pass

        with pytest.raises(Exception, match="peer closed connection"):
            _with(provider, asynchronous, _opened(use, **STREAM), Reply("Hot.", fail_after=2, failure="cut"))
        span = instrumented.one()
        assert (span.attributes or {})[OUTCOME] == "error"
        assert str((span.attributes or {})["error.type"]).endswith("RemoteProtocolError")
        assert not span.status.is_ok
        assert not span.status.is_unset

    @both
    def test_an_answer_that_is_dropped(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def test(clients: Clients) -> None:
            manager = clients.client.chat.completions.with_streaming_response.create(**STREAM)
            response = await manager.__aenter__() if asynchronous else manager.__enter__()
            await _close(response.__wrapped__.http_response, asynchronous)  # so that no connection is left open
            del manager, response

        _with(provider, asynchronous, test)
        assert instrumented.attributes()[OUTCOME] == "abandoned"

    @both
    @pytest.mark.parametrize(("whole", "outcome"), [(True, "completed"), (False, "closed_early")])
    def test_a_stream_that_is_parsed(
        self, whole: bool, outcome: str, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
    ) -> None:
        async def use(response: Any, clients: Clients) -> None:
            stream = await clients.result(response.parse())
            assert isinstance(stream, openai.AsyncStream if asynchronous else openai.Stream)
            async for chunk in clients.items(stream):
                if not whole and chunk.choices[0].delta.content:
                    break

        _with(provider, asynchronous, _opened(use, **STREAM))
        found = instrumented.attributes()
        assert found[OUTCOME] == outcome
        assert (TOKENS in found) is whole
        assert ("A very hot gas." if whole else "A v") in found[OUTPUT]

    @both
    def test_speech_goes_to_a_file(
        self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider, tmp_path: Any
    ) -> None:
        target = tmp_path / "flame.wav"

        async def test(clients: Clients) -> None:
            manager = clients.client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="alloy", input="Hot gas."
            )
            if asynchronous:
                async with manager as response:
                    await response.stream_to_file(target)
            else:
                with manager as response:
                    response.stream_to_file(target)

        _with(provider, asynchronous, test)
        assert target.read_bytes().startswith(b"RIFF")
        found = instrumented.attributes()
        assert (found[OUTCOME], found["otel_llm.usage.characters"]) == ("completed", 8)
        assert OUTPUT not in found

    def test_a_cancelled_task(self, instrumented: Spans, provider: ScriptedProvider) -> None:
        provider.script(lambda request: Reply("A slow gas.", chunks=5, chunk_delay=30))

        async def read() -> None:
            async with (
                openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client,
                client.chat.completions.with_streaming_response.create(**STREAM) as response,
            ):
                async for _ in response.iter_lines():
                    reading.set()

        async def main() -> None:
            task = asyncio.create_task(read())
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        reading = asyncio.Event()
        asyncio.run(main())
        assert instrumented.attributes()[OUTCOME] == "cancelled"

    @both
    def test_an_answer_that_is_parsed_can_be_refused(
        self, asynchronous: bool, spans: Spans, provider: ScriptedProvider
    ) -> None:
        rule = Pattern(name="gas", pattern="gas", stages=("output",), action="block")
        otel_llm.instrument(tracer_provider=spans.provider, guardrails=[rule])

        async def use(response: Any, clients: Clients) -> None:
            with pytest.raises(otel_llm.GuardrailBlocked):
                await clients.result(response.parse())

        _with(provider, asynchronous, _opened(use))
        assert spans.attributes()["otel_llm.guardrail.blocked"] is True

    @both
    def test_http_errors_are_errors(self, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def use(response: Any, clients: Clients) -> None:
            raise AssertionError("there is no answer")

        with pytest.raises(openai.RateLimitError):
            _with(provider, asynchronous, _opened(use), Reply(status=429))
        found = instrumented.attributes()
        assert found["error.type"] == "429"
        assert found[REQUEST_ID] == "req_000000000000000000000001"


def _opened(use: Callable[[Any, Clients], Awaitable[None]], **kwargs: Any) -> Callable[[Clients], Awaitable[None]]:
    """A test of what is done with a streaming response, inside its ``with``."""

    async def test(clients: Clients) -> None:
        manager = clients.client.chat.completions.with_streaming_response.create(**(kwargs or ASK))
        if clients.asynchronous:
            async with manager as response:
                await use(response, clients)
        else:
            with manager as response:
                await use(response, clients)

    return test


class TestPages:
    """A search whose page is asked for when it is awaited."""

    def _search(self, client: Any) -> Any:
        return client.vector_stores.search(vector_store_id="vs_1", query="flame")

    @pytest.mark.parametrize("way", ["await", "for", "raw"])
    def test_it_is_a_call_when_it_is_awaited(self, way: str, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def main() -> None:
            async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
                if way == "await":
                    found = list((await self._search(client)).data)
                elif way == "for":
                    found = [item async for item in self._search(client)]
                else:
                    raw = await client.vector_stores.with_raw_response.search(vector_store_id="vs_1", query="flame")
                    found = raw.parse().data
                assert [item.filename for item in found] == ["flames.txt"]

        provider.script(lambda request: REPLY)
        asyncio.run(main())
        assert '"score":0.87' in instrumented.attributes()["gen_ai.retrieval.documents"]

    def test_what_is_never_awaited_is_no_call(self, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def main() -> None:
            async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
                self._search(client)

        asyncio.run(main())
        assert instrumented.all() == []

    def test_its_error_is_the_calls(self, instrumented: Spans, provider: ScriptedProvider) -> None:
        async def main() -> None:
            async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
                await self._search(client)

        provider.script(lambda request: Reply(status=400))
        with pytest.raises(openai.BadRequestError):
            asyncio.run(main())
        assert instrumented.attributes()["error.type"] == "400"


def test_a_recorded_stream_has_the_methods_that_the_sdks_has(instrumented: Spans, provider: ScriptedProvider) -> None:
    """No more of them, so that who asks which there are gets the same answer."""

    async def test(clients: Clients) -> None:
        stream = await clients.call("chat.completions.create", **STREAM)
        for name in ("close", "aclose", "__anext__", "__next__", "response"):
            assert hasattr(stream, name) == hasattr(stream.__wrapped__, name), name
        await stream.close()

    _with(provider, True, test)
