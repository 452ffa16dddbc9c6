"""Self-linking: a call that carries what a prompt rendered is stamped with that prompt, and no other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import hashlib
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from otel_llm import attributes as a
from otel_llm.content import Content, Kept
from otel_llm.prompts import Prompt, PromptLink, use_prompt
from otel_llm.prompts import link as module
from otel_llm.prompts.link import TABLE_ENTRIES, TABLE_SIZE, Table

TOPIC = Prompt("topic", "What is the topic of the question {{ question }}?", version="2", source="file")
SYSTEM = Prompt("system", "You are a patient teacher of {{ subject }}. Answer briefly and kindly.", version="5")


class Call:
    """What PromptLink sees of an invocation."""

    def __init__(self, *texts: str, keeps: bool = False) -> None:
        self.values: dict[str, Any] = {}
        self.texts = texts
        self.kept = Kept(Content()) if keeps else None

    def input_texts(self) -> tuple[str, ...]:
        return self.texts


def stamped(*texts: str, capture_content: bool = False) -> dict[str, Any]:
    call = Call(*texts, keeps=capture_content)
    link = PromptLink()
    link.before(cast(Any, call))
    link.after(cast(Any, call))
    if call.kept:
        call.kept.done()
    return {**call.values, **(call.kept.values if call.kept else {})}


def linked(*texts: str) -> str | None:
    """Name and version of the linked prompt."""
    values = stamped(*texts)
    return f"{values[a.PROMPT_NAME.name]}@{values[a.PROMPT_VERSION.name]}" if values else None


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test in a context and with a table of its own."""
    monkeypatch.setattr(module, "_table", Table())
    before = module._recent.set(())
    yield
    module._recent.reset(before)


def copy(text: str) -> str:
    """The same text as another object, as SDKs make it."""
    return "".join(list(text))


def in_fresh_context(function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs in a context that remembers nothing."""
    return contextvars.Context().run(function, *arguments)


def test_the_call_that_carries_the_text_is_stamped() -> None:
    text = TOPIC.render(question="What is a prime?")
    assert stamped(copy(text)) == {
        a.PROMPT_NAME.name: "topic",
        a.PROMPT_VERSION.name: "2",
        a.PROMPT_SOURCE.name: "file",
        a.TEMPLATE_HASH.name: hashlib.sha256(TOPIC.template.encode()).hexdigest(),
        a.VARIABLES_HASH.name: hashlib.sha256(b'{"question":"What is a prime?"}').hexdigest(),
    }


def test_a_text_around_the_rendered_one_links_too() -> None:
    text = TOPIC.render(question="What is a prime?")
    assert linked("Be brief.", f"Context: numbers.\n\n{text}\n\nThank you.") == "topic@2"


def test_another_text_does_not_link() -> None:
    TOPIC.render(question="What is a prime?")
    assert linked("What is the topic of the question What is a prime") is None
    assert linked() is None
    assert linked("") is None


def test_a_short_text_links_only_as_a_whole() -> None:
    word = Prompt("word", "{{ x }}").render(x="prime")
    assert linked("Is 7 prime?") is None
    assert linked(word) == "word@1"


def test_an_empty_render_links_nothing() -> None:
    Prompt("empty", "{{ x }}").render(x="")
    assert linked("", "anything") is None


def test_the_longest_of_several_wins() -> None:
    system = SYSTEM.render(subject="mathematics, physics and chemistry")
    question = TOPIC.render(question="What is a prime?")
    assert linked(system, question) == linked(question, system) == "system@5"
    assert linked(question) == "topic@2"


def test_of_two_prompts_with_the_same_text_the_last_one_wins() -> None:
    older = Prompt("topic", TOPIC.template, version="1")
    TOPIC.render(question="What is a prime?")
    assert linked(older.render(question="What is a prime?")) == "topic@1"


def test_variables_are_recorded_only_as_content() -> None:
    text = Prompt("p", "{{ name }} asks {{ asked }} about {{ topics }}").render(name="Ada", asked=2, topics=["a", "b"])
    assert not any(name.startswith(a.PROMPT_VARIABLE.name) for name in stamped(text))
    values = stamped(text, capture_content=True)
    assert {name: value for name, value in values.items() if name.startswith(a.PROMPT_VARIABLE.name)} == {
        "gen_ai.prompt.variable.name": "Ada",
        "gen_ai.prompt.variable.asked": "2",
        "gen_ai.prompt.variable.topics": '["a","b"]',
    }


def test_the_hash_of_variables_does_not_depend_on_their_order_or_size() -> None:
    prompt = Prompt("p", "{{ first }} and {{ second }}, at length")
    one = stamped(prompt.render(first="a", second="b"))[a.VARIABLES_HASH.name]
    assert stamped(prompt.render(second="b", first="a"))[a.VARIABLES_HASH.name] == one
    long = {"first": "a" * 100_000, "second": "b"}
    values = stamped(prompt.render(**long), capture_content=True)
    canonical = '{"first":"' + "a" * 100_000 + '","second":"b"}'
    assert values[a.VARIABLES_HASH.name] == hashlib.sha256(canonical.encode()).hexdigest()
    assert not any(name.startswith(a.PROMPT_VARIABLE.name) for name in values), "too long to keep"


def test_variables_that_are_not_json_never_break_a_render() -> None:
    circle: dict[Any, Any] = {(1, 2): "a tuple as key"}
    circle["self"] = circle

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    prompt = Prompt("odd", "A sentence that is long enough, whatever the variable.")
    for odd in (circle, object(), b"bytes", {1, 2}):
        assert linked(prompt.render(x=odd)) == "odd@1"
    assert prompt.render(x=Broken()) == prompt.template


def test_nothing_of_the_application_is_kept_alive() -> None:
    class Document:
        title = "a title"

    document = Document()
    alive = weakref.ref(document)
    Prompt("p", "Summarise {{ document.title }} in one sentence.").render(document=document)
    del document
    gc.collect()
    assert alive() is None


class TestExplicit:
    def test_wins_over_the_texts(self) -> None:
        text = TOPIC.render(question="What is a prime?")
        with use_prompt(SYSTEM) as used:
            assert used is SYSTEM
            assert linked(text) == "system@5"
            assert a.VARIABLES_HASH.name not in stamped(text)
        assert linked(text) == "topic@2"

    def test_keeps_the_variables_of_the_same_prompt(self) -> None:
        text = TOPIC.render(question="What is a prime?")
        with use_prompt(TOPIC):
            assert a.VARIABLES_HASH.name in stamped(text)
            assert linked("cut up") == "topic@2"

    def test_the_inner_one_wins_and_the_outer_one_comes_back(self) -> None:
        with use_prompt(SYSTEM):
            with use_prompt(TOPIC):
                assert linked("text") == "topic@2"
            assert linked("text") == "system@5"
        assert linked("text") is None

    def test_ends_with_an_error(self) -> None:
        with pytest.raises(RuntimeError), use_prompt(SYSTEM):
            raise RuntimeError
        assert linked("text") is None

    def test_does_not_reach_other_tasks(self) -> None:
        async def one(prompt: Prompt) -> str | None:
            async with use_prompt(prompt):
                await asyncio.sleep(0)
                return linked("text")

        async def main() -> list[str | None]:
            return await asyncio.gather(one(SYSTEM), one(TOPIC), asyncio.to_thread(linked, "text"))

        assert asyncio.run(main()) == ["system@5", "topic@2", None]

    def test_left_in_another_context_undoes_nothing(self) -> None:
        use = use_prompt(SYSTEM)
        in_fresh_context(use.__enter__)
        with use_prompt(TOPIC):
            use.__exit__(None, None, None)
            assert linked("text") == "topic@2"


class TestConcurrency:
    def test_requests_side_by_side_are_never_mixed(self) -> None:
        """The same text out of different prompts, and different texts: each task gets its own."""

        async def request(number: int) -> tuple[str | None, str | None]:
            prompt = Prompt(f"p{number}", "The very same text in every request.")
            other = Prompt(f"q{number}", "Some text of request number {{ n }} and of no other.")
            same = prompt.render()
            await asyncio.sleep(0)
            own = other.render(n=number)
            await asyncio.sleep(0)
            return linked(copy(same)), linked(copy(own))

        async def main() -> list[tuple[str | None, str | None]]:
            return await asyncio.gather(*(request(number) for number in range(50)))

        assert asyncio.run(main()) == [(f"p{number}@1", f"q{number}@1") for number in range(50)]

    def test_a_call_that_carries_the_text_of_nobody_is_not_linked(self) -> None:
        async def renders() -> None:
            TOPIC.render(question="What is a prime?")
            await asyncio.sleep(0)

        async def calls() -> str | None:
            await asyncio.sleep(0)
            return linked("What is the topic of the question What is a prime number?")

        async def main() -> str | None:
            return (await asyncio.gather(renders(), calls()))[1]

        assert asyncio.run(main()) is None

    def test_a_render_in_a_worker_thread_links_by_its_text(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            text = pool.submit(TOPIC.render, question="What is a prime?").result()
        assert module._recent.get() == ()
        assert linked(copy(text)) == "topic@2"

    def test_a_text_sent_to_another_thread_links(self) -> None:
        text = TOPIC.render(question="What is a prime?")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(linked, copy(text)).result() == "topic@2"

    def test_many_threads_at_once(self) -> None:
        wrong: list[str] = []

        def work(number: int) -> None:
            prompt = Prompt(f"p{number}", "Text number {{ n }} of thread {{ t }}, long enough.")
            found = [linked(copy(prompt.render(n=n, t=number))) for n in range(200)]
            wrong.extend(f"{number}: {each}" for each in found if each != f"p{number}@1")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


class TestBounds:
    def test_a_context_remembers_the_last_renders_only(self) -> None:
        texts = [TOPIC.render(question=f"number {number}") for number in range(module.RECENT + 1)]
        assert [rendered.text for rendered in module._recent.get()] == texts[:0:-1]

    def test_a_context_remembers_few_long_renders(self) -> None:
        for number in range(10):
            Prompt("long", "{{ x }}").render(x=f"{number}" * (module.LARGE + 1))
        assert len(module._recent.get()) == 4

    def test_the_table_is_bounded_in_entries(self) -> None:
        texts = [TOPIC.render(question=f"number {number}") for number in range(TABLE_ENTRIES + 10)]
        assert len(module._table) == TABLE_ENTRIES
        assert module._table.get(texts[9]) is None
        assert module._table.get(texts[10]) is not None

    def test_the_table_is_bounded_in_size(self) -> None:
        texts = [Prompt("long", "{{ x }}").render(x=f"{n:06}" + "x" * (TABLE_SIZE // 10)) for n in range(30)]
        assert 0 < len(module._table) < 10
        assert module._table.get(texts[-1]) is not None
        Prompt("huge", "{{ x }}").render(x="y" * TABLE_SIZE)
        assert len(module._table) == 0
        assert module._table._size == 0
        assert not module._table._lengths

    def test_the_same_text_takes_one_entry(self) -> None:
        for _ in range(5):
            TOPIC.render(question="again")
        assert len(module._table) == 1
