"""What docs/manual.md shows runs, against clients that answer as the real ones do."""

from __future__ import annotations

import asyncio
import queue
import re
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import otel_llm
from otel_llm import kinds
from tests.conftest import Spans
from tests.otel_llm.test_manual_shapes import ANTHROPIC

PAGE = Path(__file__).parents[2] / "docs" / "manual.md"
BLOCKS = re.findall(r"## ([^\n]*)\n|```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


class Anthropic:
    """A client that is not patched."""

    def create(self, **asked: Any) -> dict[str, Any]:
        """An answer."""
        return ANTHROPIC

    async def create_async(self, **asked: Any) -> dict[str, Any]:
        """An answer."""
        return ANTHROPIC

    @contextmanager
    def stream(self, **asked: Any) -> Iterator[Any]:
        """A stream of texts, and the message that they make."""
        message = SimpleNamespace(usage=SimpleNamespace(**ANTHROPIC["usage"]))
        yield SimpleNamespace(text_stream=iter(["A hot ", "gas."]), get_final_message=lambda: message)


class Llama:
    """A client of the house."""

    async def generate(self, messages: Any, tools: Any) -> Any:
        """An answer."""
        return SimpleNamespace(text="A hot gas.", prompt_tokens=100, tokens=50, cached=40)


class App:
    """Celery's, as far as the page goes: a task is run at once."""

    def task(self, bind: bool) -> Any:
        """The decorator."""

        def decorate(function: Any) -> Any:
            request = SimpleNamespace(request=SimpleNamespace(id="task-7"))
            return SimpleNamespace(delay=lambda *args, **kwargs: function(request, *args, **kwargs))

        return decorate


@pytest.fixture
def names(openai_client: Any) -> dict[str, Any]:
    """What the page takes for granted."""
    anthropic = Anthropic()
    return {
        "otel_llm": otel_llm,
        "kinds": kinds,
        "question": "What is a flame?",
        "messages": [{"role": "user", "content": "What is a flame?"}],
        "tools": [{"name": "burn", "input_schema": {}}],
        "anthropic": SimpleNamespace(messages=anthropic),
        "anthropic_async": SimpleNamespace(messages=SimpleNamespace(create=anthropic.create_async)),
        "llama": Llama(),
        "client": openai_client,
        "ask": lambda question: ANTHROPIC,
        "jobs": queue.Queue(),
        "app": App(),
        "index": SimpleNamespace(search=lambda query, top_k: [{"id": "1", "content": "A city."}]),
        "row": {
            "began": datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "ended": datetime(2026, 3, 4, 5, 6, 9, tzinfo=UTC),
            "prompt": "p", "answer": "a", "tokens_in": 100, "tokens_out": 50, "error": None,
        },
    }  # fmt: skip


def _run(section: str, names: dict[str, Any], *then: str) -> None:
    """Runs the blocks of a section, and what a reader would do next."""
    heading, blocks = "", []
    for found, block in BLOCKS:
        heading = found or heading
        if block and heading == section:
            blocks.append(block)
    code = "\n".join([*blocks, *then])
    body = "async def main():\n" + textwrap.indent(code, "    ") + "\n"
    exec(compile(body, str(PAGE), "exec"), names)
    asyncio.run(names["main"]())


def _used(span: Any) -> tuple[Any, Any]:
    said = span.attributes or {}
    return said.get("gen_ai.usage.input_tokens"), said.get("gen_ai.usage.output_tokens")


def test_every_section_with_code_is_run() -> None:
    """Those below, and no other."""
    heading, found = "", set()
    for name, block in BLOCKS:
        heading = name or heading
        if block:
            found.add(heading)
    run = set(re.findall(r'_run\("([^"]+)"', Path(__file__).read_text())) - {"([^"}
    assert run == found


def test_a_client_that_is_not_patched(names: dict[str, Any], instrumented: Spans) -> None:
    """Each way, with its usage and its price."""
    _run("A client that is not patched", names, 'await translate("x")')
    read, said, decorated = instrumented.all()
    assert _used(read) == _used(decorated) == (110, 50)
    assert (said.name, _used(said)) == ("chat llama-3.3-70b", (100, 50))
    assert {(span.attributes or {})["otel_llm.cost.status"] for span in (read, decorated)} == {"priced"}


def test_a_streaming_client(names: dict[str, Any], instrumented: Spans) -> None:
    """By chunks and by a generator."""
    _run("A streaming client", names, 'assert list(answer("x")) == ["A hot ", "gas."]')
    marked, decorated = instrumented.all()
    assert _used(marked) == (110, 50)
    for span in (marked, decorated):
        assert (span.attributes or {})["otel_llm.stream.chunks"] == 2
        assert "A hot gas." in str((span.attributes or {})["gen_ai.output.messages"])


def test_a_queue(names: dict[str, Any], instrumented: Spans) -> None:
    """A worker, and a callback that is told of an answer or of an error."""
    then = (
        'submit("x")\nwork()',
        "for error in (None, ValueError('no')):",
        "    on_answer(otel_llm.call(model='m').start(), ask('x'), error)",
    )
    _run("A queue, a callback", names, *then)
    assert [_used(span)[0] for span in instrumented.all()] == [110, 110, None]


def test_celery(names: dict[str, Any], instrumented: Spans) -> None:
    """One trace, with the id of the task."""
    _run("Celery, and any other process", names)
    call, step = instrumented.all()
    assert call.parent is not None
    assert (call.parent.span_id, (call.attributes or {})["otel_llm.task.id"]) == (step.context.span_id, "task-7")


def test_a_pipeline(names: dict[str, Any], instrumented: Spans) -> None:
    """One trace; the patched call is the classification."""
    _run("A pipeline", names, 'assert weather("Rome") == "sunny"')
    assert [span.name for span in instrumented.all()] == [
        "rules", "retrieval handbook", "chat gpt-5-mini", "chat claude-sonnet-4-5", "invoke_workflow answering",
        "execute_tool weather",
    ]  # fmt: skip


def test_after_the_fact(names: dict[str, Any], instrumented: Spans) -> None:
    """With its times."""
    _run("After the fact", names)
    span = instrumented.one()
    assert (span.end_time or 0) - (span.start_time or 0) == 2_000_000_000
    assert _used(span) == (100, 50)
