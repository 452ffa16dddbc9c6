"""Requests that Google's SDK sends again are counted; what headers say of a request and of its tier is kept."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from google.genai import errors, types

from otel_llm.testing import Reply, ScriptedProvider, ToolCall, Usage
from tests.conftest import Spans
from tests.support.google_sdk import Api, call, call_async, has, needs, opened, opened_async
from tests.support.google_tools import weather

BUSY = Reply(status=503)
FINE = Reply("Hot.", usage=Usage(input=1_000_000))
ASKED: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "A flame?"}
RETRIES = {"retry_options": types.HttpRetryOptions(attempts=4, initial_delay=0.001, max_delay=0.002, jitter=0.001)}
PATHS = ["models.generate_content", "models.generate_content_stream", "models.embed_content"]


def _run(provider: ScriptedProvider, mode: str, path: str, asked: dict[str, Any], **http: Any) -> None:
    async def run_async() -> None:
        async with opened_async(provider, **http) as client:
            await call_async(client, path, asked)

    if mode == "async":
        asyncio.run(run_async())
    else:
        with opened(provider, **http) as client:
            call(client, path, asked)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS)
def test_requests_that_are_sent_again(path: str, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """One call, with how often it was sent again, if it was."""
    provider.script([BUSY, BUSY, FINE, FINE])
    _run(provider, mode, path, ASKED, **RETRIES)
    _run(provider, mode, path, ASKED, **RETRIES)
    assert [(span.attributes or {}).get("otel_llm.retry.count") for span in instrumented.all()] == [2, None]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_call_with_options_of_its_own(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([BUSY, FINE])
    config = {"http_options": types.HttpOptions(**RETRIES)}
    _run(provider, mode, "models.generate_content", ASKED | {"config": config})
    assert instrumented.attributes()["otel_llm.retry.count"] == 1


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS)
def test_requests_that_are_sent_in_vain(path: str, mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script(lambda request: BUSY)
    with pytest.raises(errors.ServerError):
        _run(provider, mode, path, ASKED, **RETRIES)
    assert len(provider.requests) == 4
    assert instrumented.attributes()["otel_llm.retry.count"] == 3
    assert instrumented.attributes()["error.type"] == "503"


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS[:2])
def test_rounds_of_functions_are_not_sent_again(
    path: str, mode: str, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """A second round is another request; it may be sent again like the first."""
    calling = Reply(tool_calls=[ToolCall("weather", {"city": "Rome"})])
    provider.script([BUSY, calling, BUSY, FINE])
    _run(provider, mode, path, ASKED | {"config": {"tools": [weather]}}, **RETRIES)
    counts = {span.name: (span.attributes or {}).get("otel_llm.retry.count") for span in instrumented.all()}
    assert counts == {"generate_content gemini-2.5-flash": 2, "execute_tool weather": None}


def test_calls_at_the_same_time_are_counted_apart(instrumented: Spans, provider: ScriptedProvider) -> None:
    seen: dict[str, int] = {}

    def script(request: Any) -> Reply:
        text = request.text
        seen[text] = seen.get(text, 0) + 1
        return BUSY if seen[text] <= int(text) else FINE

    async def several() -> None:
        async with opened_async(provider, **RETRIES) as client:
            await asyncio.gather(*(
                client.models.generate_content(model="gemini-2.5-flash", contents=str(count)) for count in (0, 1, 2, 3)
            ))  # fmt: skip

    provider.script(script)
    asyncio.run(several())
    for span in instrumented.all():
        attributes = span.attributes or {}
        count = next(number for number in "0123" if f'"{number}"' in str(attributes["gen_ai.input.messages"]))
        assert attributes.get("otel_llm.retry.count", 0) == int(count)


def test_a_connection_that_was_lost(
    instrumented: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp's requests are sent a second time by the SDK itself, after a while that is chance."""
    aiohttp = pytest.importorskip("aiohttp", reason="without aiohttp the SDK does not do so")
    assert aiohttp
    monkeypatch.setattr(random, "randint", lambda *_: -1)
    provider.script([Reply(failure="cut"), FINE])
    _run(provider, "async", "models.generate_content", ASKED)
    assert instrumented.attributes()["otel_llm.retry.count"] == 1


@pytest.mark.filterwarnings("ignore:.*experimental.*", "ignore:.*cannot use aiohttp.*", "ignore:.*retry options.*")
@needs("interactions.create")
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_interactions_that_are_sent_again(
    mode: str, streamed: bool, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """With the id of the request that was answered."""
    asked = {"model": "gemini-2.5-flash", "input": "A flame?", "stream": streamed}
    provider.script([Reply(status=503, headers={"retry-after-ms": "1"}), FINE])
    _run(provider, mode, "interactions.create", asked, **RETRIES)
    attributes = instrumented.attributes()
    assert attributes["otel_llm.retry.count"] == 1
    assert attributes["otel_llm.provider.request_id"] == "interaction-request-2"


@pytest.mark.filterwarnings("ignore:.*experimental.*", "ignore:.*cannot use aiohttp.*")
@needs("interactions.create")
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_an_interaction_that_fails_says_its_request(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    provider.script([Reply(status=400, error="No.")])
    with pytest.raises(Exception, match="No"):
        _run(provider, mode, "interactions.create", {"model": "gemini-2.5-flash", "input": "A flame?"})
    attributes = instrumented.attributes()
    assert attributes["otel_llm.provider.request_id"] == "interaction-request-1"
    assert attributes["error.type"] == "400"


def test_a_gateway_may_say_an_id_of_the_request(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Google's own API has none; the error of a gateway that does is kept."""
    provider.script([Reply(status=429, headers={"x-request-id": "gateway-1"})])
    with pytest.raises(errors.ClientError):
        _run(provider, "sync", "models.generate_content", ASKED)
    assert instrumented.attributes()["otel_llm.provider.request_id"] == "gateway-1"


# Service tiers ---------------------------------------------------------------------------------------------------


def _tiers(spans: Spans) -> dict[str, Any]:
    found = spans.attributes()
    return {name.rpartition(".")[2]: value for name, value in found.items() if ".service_tier." in name} | {
        "total": found["otel_llm.cost.total"],
        "status": found["otel_llm.cost.status"],
    }


@pytest.mark.filterwarnings("ignore:ON_DEMAND_FLEX is not a valid TrafficType")
@pytest.mark.parametrize("path", PATHS[:2])
@pytest.mark.parametrize(
    ("api", "traffic", "model", "total", "status"),
    [
        ("vertex", "ON_DEMAND", "gemini-2.5-flash", 0.3, "priced"),
        ("vertex", "ON_DEMAND_FLEX", "gemini-3.8-flash-tts", 0.25, "priced"),
        ("vertex", "PROVISIONED_THROUGHPUT", "gemini-2.5-flash", 0.3, "partial"),
    ],
)
def test_the_traffic_that_vertex_says(
    path: str, api: Api, traffic: str, model: str, total: float, status: str,
    instrumented: Spans, provider: ScriptedProvider,
) -> None:  # fmt: skip
    """What served the call is priced, where its price is known."""
    provider.script(lambda request: Reply("Hot.", usage=Usage(1_000_000), extra={"usage": {"trafficType": traffic}}))
    headers = {"X-Vertex-AI-LLM-Shared-Request-Type": "flex"}
    with opened(provider, api) as client:
        call(client, path, ASKED | {"model": model, "config": {"http_options": {"headers": headers}}})
    assert _tiers(instrumented) == {
        "requested": "flex", "given": traffic.lower(), "total": pytest.approx(total), "status": status,
    }  # fmt: skip


@pytest.mark.parametrize("given", ["flex", "standard"])
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("path", PATHS[:2])
def test_the_tier_that_a_header_says(
    path: str, mode: str, given: str, instrumented: Spans, provider: ScriptedProvider
) -> None:
    """The Developer API may give another tier than the one that was asked for; it is the given one that is paid."""
    config = {"service_tier": "flex"} if has("GenerateContentConfig.service_tier") else {}
    reply = Reply("Hot.", usage=Usage(1_000_000), headers={"x-gemini-service-tier": given})
    provider.script(lambda request: reply)
    _run(provider, mode, path, ASKED | {"model": "gemini-3.8-flash-tts", "config": config})
    asked = {"requested": "flex"} if config else {}
    assert _tiers(instrumented) == asked | {
        "given": given, "total": pytest.approx(0.25 if given == "flex" else 0.5), "status": "priced",
    }  # fmt: skip
