"""What is said of calls travels to other services where that is asked for, and to providers never."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import httpx2
import pytest
from opentelemetry import propagate
from opentelemetry.baggage import get_all
from opentelemetry.context import get_current
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor

import otel_llm
from otel_llm.testing import ScriptedProvider
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_all_that_has_a_name_travels_and_nothing_else() -> None:
    """Below the ``with``, by the keyword's name."""
    said = otel_llm.context(
        user_id="u", session_id="s", conversation_id="c", tenant_id="t", task_id="k", request_id="r",
        call_type="rag_query", tags=["a"], metadata={"page": 7}, baggage=True,
    )  # fmt: skip
    with said:
        assert get_all() == {
            "otel_llm.user_id": "u", "otel_llm.session_id": "s", "otel_llm.conversation_id": "c",
            "otel_llm.tenant_id": "t", "otel_llm.task_id": "k", "otel_llm.request_id": "r",
            "otel_llm.call_type": "rag_query",
        }  # fmt: skip
    assert get_all() == {}


def test_inner_values_win_and_only_what_is_asked_for_travels() -> None:
    """Nesting, and the way out of it."""
    with otel_llm.context(user_id="outer", baggage=True), otel_llm.context(tenant_id="mine"):
        with otel_llm.context(user_id="inner", baggage=True):
            assert get_all() == {"otel_llm.user_id": "inner"}
        assert get_all() == {"otel_llm.user_id": "outer"}
    assert get_all() == {}


@pytest.mark.parametrize("value", ["", "x" * 257, "a\r\nb", "a\0b", "\udcff"], ids=range(5))
def test_a_value_that_cannot_travel_stays(value: str) -> None:
    """It is said of the calls here all the same."""
    with otel_llm.context(user_id=value, session_id="é 1;,=%", baggage=True):
        assert get_all() == {"otel_llm.session_id": "é 1;,=%"}
        assert otel_llm.carrier()["baggage"].isascii()


def test_an_outer_value_does_not_stand_for_one_that_cannot_travel() -> None:
    """It would be another user's."""
    with otel_llm.context(user_id="ada", baggage=True), otel_llm.context(user_id="x" * 257, baggage=True):
        assert get_all() == {}


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    """The very context stays current."""
    before = get_current()
    with otel_llm.context(user_id="u"):
        assert get_current() is before


def test_leaving_where_it_was_not_entered_undoes_nothing() -> None:
    """An async generator that another task closes."""

    async def inside() -> AsyncGenerator[int]:
        with otel_llm.context(user_id="inside", baggage=True):
            yield 1

    async def close(generator: AsyncGenerator[int]) -> None:
        with otel_llm.context(user_id="outside", baggage=True):
            await generator.aclose()
            assert get_all() == {"otel_llm.user_id": "outside"}

    async def run() -> None:
        generator = inside()
        await asyncio.create_task(anext(generator))
        await asyncio.create_task(close(generator))

    asyncio.run(run())
    assert get_all() == {}


def test_never_to_a_provider(
    instrumented: Spans, provider: ScriptedProvider, openai_client: Any, gemini_client: Any
) -> None:
    """By clients that OpenTelemetry instruments: others get it, before a call and between the chunks of one."""
    before = propagate.get_global_textmap()
    instrumentors = (HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=instrumented.provider)
    try:
        with ScriptedProvider() as backend, otel_llm.context(user_id="ada", baggage=True):
            httpx.get(backend.url)
            for _ in openai_client.chat.completions.create(**CHAT, stream=True):
                httpx2.get(backend.url)
            openai_client.chat.completions.create(**CHAT)
            gemini_client.models.generate_content(model="gemini-2.5-flash", contents="hi")
            assert len(backend.requests) > 2
            assert {request.headers["baggage"] for request in backend.requests} == {"otel_llm.user_id=ada"}
    finally:
        for instrumentor in instrumentors:
            instrumentor.uninstrument()
        propagate.set_global_textmap(before)
    assert len(provider.requests) == 3
    for request in provider.requests:
        assert not {"baggage", "traceparent", "tracestate"}.intersection(request.headers)
        assert "ada" not in str(request.headers)
