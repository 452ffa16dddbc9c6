"""What the application says of its calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextvars import copy_context
from typing import Any

import pytest

import otel_llm
from otel_llm.context import context, current
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_every_key_lands_on_the_span(instrumented: Spans, openai_client: Any) -> None:
    """All that can be said, by its standard name."""
    with otel_llm.context(
        user_id="u", session_id="s", conversation_id="c", tenant_id="t", task_id="k", request_id="r",
        call_type="rag_query", tags=["a", "b"], metadata={"page": 7},
    ):  # fmt: skip
        openai_client.chat.completions.create(**CHAT)
    said = instrumented.attributes()
    assert {name: said[name] for name in said if name.startswith(("user", "session", "otel_llm.metadata"))} == {
        "user.id": "u", "session.id": "s", "otel_llm.metadata.page": "7",
    }  # fmt: skip
    assert said["gen_ai.conversation.id"] == "c"
    assert said["otel_llm.tenant.id"] == "t"
    assert said["otel_llm.task.id"] == "k"
    assert said["otel_llm.request.id"] == "r"
    assert said["otel_llm.call.type"] == "rag_query"
    assert said["otel_llm.tags"] == ("a", "b")


def test_inner_values_win_and_tags_add_up() -> None:
    """Nesting, and the way out of it."""
    with context(user_id="outer", session_id="kept", tags=["one"]):
        with context(user_id="inner", tags="two"):
            assert current() == {"user.id": "inner", "session.id": "kept", "otel_llm.tags": ["one", "two"]}
        assert current() == {"user.id": "outer", "session.id": "kept", "otel_llm.tags": ["one"]}
    assert current() == {}


def test_an_unknown_call_type_is_other() -> None:
    """The kinds of call are a closed list."""
    with context(call_type="poetry"):
        assert current() == {"otel_llm.call.type": "other"}


def test_as_a_decorator_of_functions_and_coroutines() -> None:
    """A decorated function runs in its context, however many at once."""

    @context(user_id="plain")
    def plain() -> dict[str, Any]:
        return current()

    @context(user_id="coroutine")
    async def coroutine() -> dict[str, Any]:
        await asyncio.sleep(0)
        return current()

    async def both() -> list[dict[str, Any]]:
        return list(await asyncio.gather(coroutine(), coroutine()))

    assert plain() == {"user.id": "plain"}
    assert asyncio.run(both()) == [{"user.id": "coroutine"}] * 2
    assert current() == {}


def test_a_generator_is_not_decorated() -> None:
    """It would run after its context has been left, and nothing would say so."""

    def words() -> Iterator[str]:
        yield "a"

    async def words_async() -> AsyncGenerator[str]:
        yield "a"

    for function in (words, words_async):
        with pytest.raises(TypeError, match=rf"cannot decorate the generator .*{function.__name__}: use `with` inside"):
            context(user_id="u")(function)


def test_nothing_may_be_said_of_everything() -> None:
    """None is no value, of tags too."""
    with context(user_id=None, tags=None, metadata=None):
        assert current() == {}


def test_async_with_and_errors() -> None:
    """The way out by an exception too."""

    async def fail() -> None:
        async with context(user_id="u"):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        asyncio.run(fail())
    assert current() == {}


def test_one_object_is_entered_by_many_at_once() -> None:
    """A context that a module keeps, entered by tasks whose stays overlap, and again by one that is in it."""
    shared = context(tenant_id="acme", tags=["a"])
    said = {"otel_llm.tenant.id": "acme", "otel_llm.tags": ["a"]}
    first, second = copy_context(), copy_context()
    first.run(shared.__enter__)
    second.run(shared.__enter__)
    first.run(shared.__enter__)
    second.run(shared.__exit__, None, None, None)
    assert second.run(current) == {}
    assert first.run(current)["otel_llm.tags"] == ["a", "a"]
    first.run(shared.__exit__, None, None, None)
    assert first.run(current) == said
    first.run(shared.__exit__, None, None, None)
    assert first.run(current) == {}


def test_leaving_where_it_was_not_entered_undoes_nothing() -> None:
    """An async generator is closed by another task than the one that ran it: no error, nothing of that task is lost."""

    async def inside() -> AsyncGenerator[int]:
        with context(user_id="inside"):
            yield 1
            yield 2

    async def close(generator: AsyncGenerator[int]) -> None:
        with context(user_id="outside"):
            await generator.aclose()
            assert current() == {"user.id": "outside"}

    async def run() -> None:
        generator = inside()
        await asyncio.create_task(anext(generator))
        await asyncio.create_task(close(generator))

    asyncio.run(run())
    assert current() == {}
