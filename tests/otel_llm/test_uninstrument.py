"""``uninstrument()`` takes everything back, whatever was kept, is open or is under way; and it can be done for ever."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from opentelemetry import propagate
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import otel_llm
from otel_llm import fork, patches, switches
from otel_llm.providers import PROVIDERS
from otel_llm.targets import targets
from otel_llm.testing import Reply, Request, ScriptedProvider
from tests.conftest import Spans

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
GEMINI: dict[str, Any] = {"model": "gemini-2.5-flash", "contents": "hi"}


def _functions() -> dict[str, Any]:
    """Everything that is patched where it is imported, and what else is put in place."""
    found = {
        target.label: vars(owner).get(name)
        for provider in PROVIDERS
        for module, those in targets(provider).items()
        for target in those
        if module in sys.modules and (place := patches._find(sys.modules[module], target.name)) is not None
        for owner, name, _ in [place]
    }
    switched = {name: vars(BaseInstrumentor)[name] for name in ("instrument", "uninstrument")}
    return {**found, **switched, "propagator": propagate.get_global_textmap()}


def test_everything_is_put_back(spans: Spans, openai_client: Any, gemini_client: Any) -> None:
    """Each function is the very object that was there: methods, those of sessions, hooks, switches, the propagator."""
    for provider in PROVIDERS:
        for module in targets(provider):
            with contextlib.suppress(ModuleNotFoundError):  # some are of other versions
                importlib.import_module(module)
    before = _functions()
    assert len(before) > 100
    otel_llm.instrument(tracer_provider=spans.provider)
    openai_client.chat.completions.create(**CHAT)
    gemini_client.models.generate_content(**GEMINI)
    changed = {label for label, function in _functions().items() if function is not before[label]}
    assert len(changed) > 100
    assert {"instrument", "propagator"} <= changed
    otel_llm.uninstrument()
    assert _functions() == before
    assert len(spans.all()) == 2
    otel_llm.uninstrument()
    assert _functions() == before


@pytest.fixture
def kept(spans: Spans, openai_client: Any, gemini_client: Any, provider: ScriptedProvider) -> Iterator[dict[str, Any]]:
    """Calls by what a program may keep of a client that was instrumented when it took it."""
    client = openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url)
    otel_llm.instrument(tracer_provider=spans.provider)
    chat, embed = openai_client.chat.completions, openai_client.embeddings
    with asyncio.Runner() as runner:
        create_async = client.chat.completions.create
        stream_async = client.chat.completions.with_streaming_response

        async def stream() -> None:
            async with stream_async.create(**CHAT) as response:
                await response.read()

        with_bytes, method = chat.with_streaming_response, functools.partialmethod(type(chat).create, **CHAT)
        yield {
            "a bound method": functools.partial(chat.create, **CHAT),
            "a partial": functools.partial(functools.partial(embed.create, model="m"), input="hi"),
            "the function of the class": functools.partial(type(chat).create, chat, **CHAT),
            "a partial method": functools.partial(method.__get__(chat)),
            "raw responses": functools.partial(chat.with_raw_response.create, **CHAT),
            "streamed responses": lambda: with_bytes.create(**CHAT).__enter__().read(),
            "Gemini's method": functools.partial(gemini_client.models.generate_content, **GEMINI),
            "a coroutine function": lambda: runner.run(create_async(**CHAT)),
            "asynchronous responses": lambda: runner.run(stream()),
        }
        runner.run(client.close())


def test_what_a_client_has_kept_calls_through(kept: dict[str, Callable[[], Any]], spans: Spans) -> None:
    """Recorded while it is instrumented, and by the same afterwards nothing is."""
    for call in kept.values():
        call()
    assert len(spans.all()) == len(kept)
    spans.exporter.clear()
    otel_llm.uninstrument()
    for name, call in kept.items():
        assert call() is not None or name == "asynchronous responses"
    assert spans.all() == []


def test_streams_that_are_open_still_end_their_spans(
    spans: Spans, openai_client: Any, gemini_client: Any, provider: ScriptedProvider
) -> None:
    """They were begun while it was on, and end as any other: read on, closed or dropped."""
    provider.script(lambda request: Reply("one two three", chunks=3))
    otel_llm.instrument(tracer_provider=spans.provider)
    read, closed, dropped = (openai_client.responses.create(model="m", input="hi", stream=True) for _ in range(3))
    lazy = gemini_client.models.generate_content_stream(**GEMINI)
    for stream in (read, closed, dropped):
        next(stream)
    otel_llm.uninstrument()
    list(read)
    closed.close()
    del dropped, stream
    gc.collect()
    list(lazy)
    outcomes = sorted(str((span.attributes or {})["otel_llm.stream.outcome"]) for span in spans.all())
    assert outcomes == ["abandoned", "closed_early", "completed", "completed"]


def test_calls_that_are_under_way_end_their_spans(spans: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
    """Other threads are in the middle of theirs: each gets its answer, and a span."""
    arrived, go = threading.Semaphore(0), threading.Event()
    answers: list[Any] = []

    class Waiting:
        """Holds calls up before they are made."""

        policy = False

        def before(self, call: Any) -> None:
            """Waits."""
            arrived.release()
            go.wait(30)

        def after(self, call: Any) -> None:
            """Nothing."""

    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[Waiting()])
    ask = functools.partial(openai_client.chat.completions.create, **CHAT)
    threads = [threading.Thread(target=lambda: answers.append(ask())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert arrived.acquire(timeout=30)
    otel_llm.uninstrument()
    go.set()
    for thread in threads:
        thread.join()
    assert len(answers) == len(spans.all()) == 4
    assert {(span.attributes or {})["otel_llm.cost.status"] for span in spans.all()} == {"priced"}
    otel_llm.uninstrument()
    assert type(propagate.get_global_textmap()).__module__.startswith("opentelemetry")


def test_instrumenting_again_has_the_new_settings(spans: Spans, openai_client: Any) -> None:
    """For every method, also one that was kept since; without uninstrumenting too."""
    ask = openai_client.chat.completions.create
    captured = []
    for between in (lambda: None, otel_llm.uninstrument):
        for capture in (True, False):
            between()
            otel_llm.instrument(tracer_provider=spans.provider, capture_content=capture)
            ask(**CHAT)
            openai_client.chat.completions.create(**CHAT)
            captured += ["gen_ai.input.messages" in (span.attributes or {}) for span in spans.all()]
            spans.exporter.clear()
    assert captured == [True, False, True, False]  # what was kept before anything was patched is never seen


def test_a_thousand_times_leaks_nothing(spans: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
    """Neither memory nor hooks: on and off for as long as a program runs, with metrics and a call now and then."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], shutdown_on_exit=False)

    def blocks_after(times: int) -> int:
        for number in range(times):
            otel_llm.instrument(tracer_provider=spans.provider, meter_provider=meters)
            if number % 20 == 0:
                openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
            otel_llm.uninstrument()
        spans.exporter.clear()
        provider.reset()
        gc.collect()
        return sys.getallocatedblocks()

    def hooks() -> list[int]:
        return [len(each) for each in (patches.STATE.hooked, switches._hooked, fork._after, fork._at_end, fork._locks)]

    before = _functions()
    blocks, known = blocks_after(100), hooks()
    assert blocks_after(900) - blocks < 900
    assert hooks() == known
    assert _functions() == before
    meters.shutdown()


def test_a_kept_method_that_is_deprecated_warns_once(spans: Spans, openai_client: Any) -> None:
    """As without us, while it is on and afterwards."""
    if not hasattr(type(openai_client.videos).create, "__deprecated__"):
        pytest.skip("this SDK deprecates nothing that is patched")
    otel_llm.instrument(tracer_provider=spans.provider)
    create = openai_client.videos.create
    for turn in (lambda: None, otel_llm.uninstrument):
        turn()
        with warnings.catch_warnings(record=True) as caught, contextlib.suppress(openai.APIError):
            warnings.simplefilter("always")
            create(model="sora-2", prompt="A flame.")
        assert len([each for each in caught if each.category is DeprecationWarning]) == 1
    assert len(spans.all()) == 1


def test_a_script_may_take_it_back_in_the_middle_of_a_request(
    spans: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """While the provider is asked: the answer comes, and the span."""

    def answer(request: Request) -> Reply:
        otel_llm.uninstrument()
        return Reply("Hello.")

    provider.script(answer)
    otel_llm.instrument(tracer_provider=spans.provider)
    assert openai_client.chat.completions.create(**CHAT).choices[0].message.content == "Hello."
    assert spans.attributes()["otel_llm.cost.status"] == "priced"
    openai_client.chat.completions.create(**CHAT)
    assert len(spans.all()) == 1
