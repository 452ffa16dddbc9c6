"""Retries of OpenAI's SDK and the provider's ids of its requests: of answers, streams, raw responses and errors."""

from __future__ import annotations

import asyncio
from typing import Any

import openai
import pytest

from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.openai_sdk import Clients

ASK: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is a flame?"}]}
RETRIES = "otel_llm.retry.count"
REQUEST_ID = "otel_llm.provider.request_id"
GOOD = Reply("A hot gas.", usage=Usage(input=10, output=5))
BUSY = Reply(status=429, retry_after=0.001)
BROKEN = Reply(status=500, retry_after=0.001)
CUT = Reply(failure="cut")

both = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is cut says nothing of when to try again."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)


def _ask(provider: ScriptedProvider, asynchronous: bool, way: str, **settings: Any) -> None:
    async def run() -> None:
        clients = Clients(provider, asynchronous, **settings)
        try:
            if way == "raw":
                await clients.call("chat.completions.with_raw_response.create", **ASK)
                return
            answer = await clients.call("chat.completions.create", **ASK | {"stream": way == "stream"})
            if way == "stream":
                assert [chunk async for chunk in clients.items(answer)]
        finally:
            await clients.close()

    asyncio.run(run())


@both
@pytest.mark.parametrize("way", ["plain", "stream", "raw"])
@pytest.mark.parametrize("bad", [[BUSY], [BROKEN, BUSY], [CUT]], ids=["429", "500 and 429", "cut"])
def test_what_succeeds_in_the_end(
    bad: list[Reply], way: str, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """One span, with the times that the request was sent again, and the id of the one that was answered."""
    provider.script([*bad, GOOD])
    _ask(provider, asynchronous, way)
    span = instrumented.one()
    attributes = span.attributes or {}
    assert attributes[RETRIES] == len(bad)
    assert attributes[REQUEST_ID] == f"req_{len(bad) + 1:024x}"
    assert span.status.is_unset
    assert "error.type" not in attributes


@both
@pytest.mark.parametrize("way", ["plain", "stream", "raw"])
def test_what_fails_in_the_end(way: str, asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The error's request id is that of the last try."""
    provider.script([BUSY, BROKEN, BUSY, BUSY])
    with pytest.raises(openai.RateLimitError):
        _ask(provider, asynchronous, way, max_retries=2)
    found = instrumented.attributes()
    assert (found[RETRIES], found["error.type"]) == (2, "429")
    assert found[REQUEST_ID] == "req_000000000000000000000003"


@both
def test_a_connection_that_is_never_made(asynchronous: bool, instrumented: Spans, provider: ScriptedProvider) -> None:
    """There is no request to have an id."""
    provider.script([CUT, CUT])
    with pytest.raises(openai.APIConnectionError):
        _ask(provider, asynchronous, "plain", max_retries=1)
    found = instrumented.attributes()
    assert (found[RETRIES], found["error.type"]) == (1, "openai.APIConnectionError")
    assert REQUEST_ID not in found


@both
def test_without_retries_nothing_is_said_of_them(
    asynchronous: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """Zero is the rule, and left out."""
    provider.script([GOOD])
    _ask(provider, asynchronous, "plain")
    assert RETRIES not in instrumented.attributes()


def test_retries_are_those_of_their_own_call(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Two calls at a time do not mix their retries."""
    busy = {"one": 2, "two": 0}

    def script(request: Any) -> Reply:
        name = request.body["user"]
        busy[name] -= 1
        return BUSY if busy[name] >= 0 else GOOD

    async def main() -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            await asyncio.gather(*(client.chat.completions.create(**ASK, user=name) for name in busy))

    provider.script(script)
    asyncio.run(main())
    counts = sorted((span.attributes or {}).get(RETRIES, 0) for span in instrumented.all())
    assert counts == [0, 2]


def test_an_sdk_without_the_private_function_is_as_good(
    spans: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is only listened to may be missing: then retries are not counted, and all else is as ever."""
    import otel_llm

    base = openai._base_client.SyncAPIClient
    wait = base._sleep_for_retry
    monkeypatch.delattr(base, "_sleep_for_retry")
    report = otel_llm.instrument(tracer_provider=spans.provider)
    assert report.missing == []
    monkeypatch.setattr(base, "_sleep_for_retry", wait, raising=False)
    provider.script([BUSY, GOOD])
    _ask(provider, False, "plain")
    assert RETRIES not in spans.attributes()
