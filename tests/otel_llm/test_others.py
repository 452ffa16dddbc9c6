"""Other instrumentations and frameworks are active too: a call is one span with a cost, and that is said once.

The others are stand-ins that patch as the real ones do; ``tests/peers`` asks the real ones the same.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import openai
import pytest
import wrapt
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_llm
from otel_llm import others, patches, runs, switches
from otel_llm.testing import Reply, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support import standins
from tests.support.standins import StandIn, owner

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
SWITCHED = (standins.official, standins.late, standins.unseen, standins.restoring, standins.in_client)

Turn = Callable[[], None]


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing has been said yet, and in the end every method is the SDK's own again."""
    monkeypatch.setattr(others, "_said", set())
    for name in others.OTHERS.keys() - others.AT_IMPORT:  # the real ones have been imported by then
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(switches, "_hooked", set())  # a module is imported once, a stand-in for it many times
    places = [owner(*method) for method in (*standins.METHODS, standins.ASYNC_CHAT)]
    before = {place: vars(place[0])[place[1]] for place in places}
    yield
    otel_llm.uninstrument()
    for (of, name), original in before.items():
        setattr(of, name, original)
    if "request" in vars(openai.OpenAI):
        del openai.OpenAI.request


@pytest.fixture
def ask(provider: ScriptedProvider, openai_client: Any, gemini_client: Any) -> Iterator[Callable[[], None]]:
    """One call of each method that the stand-ins patch: seven."""
    provider.script(lambda request: Reply("Hello.", usage=Usage(10, 5)))
    client_async = openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url)

    with asyncio.Runner() as runner:

        def ask() -> None:
            chat = openai_client.chat.completions
            chat.create(**CHAT)
            assert list(chat.create(**CHAT, stream=True, stream_options={"include_usage": True}))
            openai_client.responses.create(model="gpt-5-mini", input="hi")
            with openai_client.responses.stream(model="gpt-5-mini", input="hi") as stream:
                assert list(stream)
            openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
            gemini_client.models.generate_content(model="gemini-2.5-flash", contents="hi")
            runner.run(ask_async())

        async def ask_async() -> None:
            await client_async.chat.completions.create(**CHAT)

        yield ask
        runner.run(client_async.close())


CALLS = 7


def _ours(spans: Spans) -> list[ReadableSpan]:
    return [span for span in spans.all() if getattr(span.instrumentation_scope, "name", "") == "otel_llm"]


def _all_ours(spans: Spans) -> bool:
    """Whether every call so far is one span, ours, with a cost; forgets them."""
    found = spans.all()
    spans.exporter.clear()
    return [(span.attributes or {}).get("otel_llm.cost.status") for span in found] == ["priced"] * CALLS


def _original(method: tuple[str, str]) -> Any:
    of, name = owner(*method)
    return vars(of)[name]


# Instrumentations of the same SDK -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", SWITCHED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_one_span_whoever_came_first(
    first: str, make: Callable[..., StandIn], spans: Spans, ask: Turn, caplog: pytest.LogCaptureFixture
) -> None:
    """Before us or after us; it is said, once; and without us the other one records as ever."""
    ask()
    other = make(spans.provider)
    turns = [lambda: otel_llm.instrument(tracer_provider=spans.provider), other.on]
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        for turn in turns if first == "ours" else reversed(turns):
            turn()
        ask()
        ask()
    assert len(_ours(spans)) == len(spans.all()) == 2 * CALLS
    assert {(span.attributes or {})["otel_llm.cost.status"] for span in spans.all()} == {"priced"}
    assert len(caplog.records) == len(patches.STATE.report.others) == 1
    assert patches.STATE.report.others[0] in caplog.text
    assert "otel_llm is active its patches are passed by" in caplog.text or "patched the client" in caplog.text
    spans.exporter.clear()
    otel_llm.uninstrument()
    ask()
    assert spans.all()
    assert {span.name for span in spans.all()} <= {"theirs"}
    other.off()


@pytest.mark.parametrize("make", SWITCHED, ids=lambda make: make.__name__)
@pytest.mark.parametrize("turns", ["AaBb", "ABab", "ABba", "BbAa", "BAba", "BAab"])
def test_on_and_off_in_all_orders(turns: str, make: Callable[..., StandIn], spans: Spans, ask: Turn) -> None:
    """``A`` is ours, ``B`` theirs, small letters are the end of it: who is on records, ours alone while it is on."""
    before = {method: inspect.unwrap(_original(method)) for method in standins.METHODS}
    other = make(spans.provider)
    does: dict[str, Turn] = {
        "A": lambda: otel_llm.instrument(tracer_provider=spans.provider) and None,
        "a": otel_llm.uninstrument,
        "B": other.on,
        "b": other.off,
    }
    on = set()
    for turn in turns:
        does[turn]()
        on = on | {turn} if turn.isupper() else on - {turn.upper()}
        ask()
        if "A" in on:
            assert _all_ours(spans), on
        else:
            assert {span.name for span in spans.all()} <= ({"theirs"} if on else set())
            assert bool(spans.all()) is bool(on)
            spans.exporter.clear()
    assert {method: inspect.unwrap(_original(method)) for method in standins.METHODS} == before


def test_one_that_patches_while_it_is_imported(spans: Spans, ask: Turn) -> None:
    """As Langfuse's module, which has no switch."""
    otel_llm.instrument(tracer_provider=spans.provider)
    standins.at_import(spans.provider)
    ask()
    assert _all_ours(spans)


def test_where_we_record_nothing_the_others_do(spans: Spans, ask: Turn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application has no provider of spans that we know of, and another instrumentation has one of its own."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    other = standins.unseen(spans.provider)
    other.on()
    otel_llm.instrument(tracer_provider=trace.ProxyTracerProvider())
    ask()
    found = {span.name for span in spans.all()}
    otel_llm.instrument(tracer_provider=trace.NoOpTracerProvider())
    ask()
    other.off()
    assert found == {span.name for span in spans.all()} == {"theirs"}


def test_one_that_patches_a_single_client(spans: Spans, openai_client: Any, provider: ScriptedProvider) -> None:
    """As Logfire may: it is quiet while that client is recorded, and others are as they were."""
    theirs = standins.module("logfire._internal.integrations.llm_providers.llm_provider")
    wrapper = theirs.in_client(spans.provider.get_tracer("logfire"))
    original = openai_client.request

    @functools.wraps(original)
    def request(*args: Any, **kwargs: Any) -> Any:
        return wrapper(original, None, args, kwargs)

    vars(openai_client)["request"] = FunctionType(
        request.__code__, theirs.__dict__ | {"wrapper": wrapper, "original": original}, closure=request.__closure__
    )
    openai_client.request.__wrapped__ = original
    otel_llm.instrument(tracer_provider=spans.provider)
    openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
    assert spans.one().name == "embeddings text-embedding-3-small"
    assert patches.STATE.report.others == ["logfire"]
    otel_llm.uninstrument()
    openai_client.embeddings.create(model="text-embedding-3-small", input="hi")
    assert [span.name for span in spans.all()][1:] == ["theirs"]


def test_several_at_once(spans: Spans, ask: Turn) -> None:
    """All of them, some before us and some after."""
    made = [make(spans.provider) for make in SWITCHED]
    for other in made[:3]:
        other.on()
    otel_llm.instrument(tracer_provider=spans.provider)
    for other in made[3:]:
        other.on()
    standins.at_import(spans.provider)
    ask()
    assert _all_ours(spans)
    for other in made:
        other.off()
    ask()
    assert _all_ours(spans)


def test_their_methods_that_are_not_ours_stay(spans: Spans, openai_client: Any) -> None:
    """A provider that is left out is left alone: what others patch there records."""
    other = standins.official(spans.provider)
    other.on()
    otel_llm.instrument(tracer_provider=spans.provider, providers="google_genai")
    openai_client.chat.completions.create(**CHAT)
    assert spans.one().name == "theirs"
    otel_llm.instrument(tracer_provider=spans.provider)
    otel_llm.instrument(tracer_provider=spans.provider, providers="google_genai")
    openai_client.chat.completions.create(**CHAT)
    assert [span.name for span in spans.all()] == ["theirs", "theirs"]
    other.off()


def test_the_applications_own_wrapper_is_called(spans: Spans, openai_client: Any) -> None:
    """A wrapper that nobody knows is the application's: it sees every call, put there before us or after us."""
    seen = []

    def wrapper(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
        seen.append(kwargs["model"])
        return wrapped(*args, **kwargs)

    wrapt.wrap_function_wrapper(*standins.CHAT, wrapper)
    otel_llm.instrument(tracer_provider=spans.provider)
    wrapt.wrap_function_wrapper(*standins.CHAT, wrapper)
    openai_client.chat.completions.create(**CHAT)
    assert seen == ["gpt-5-mini"] * 2
    assert len(_ours(spans)) == 1


# Frameworks -----------------------------------------------------------------------------------------------------------


def _framework(spans: Spans) -> Any:
    return spans.provider.get_tracer("a-framework")


def test_a_span_that_is_begun_for_the_call_is_adopted(
    spans: Spans, openai_client: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """As pydantic-ai and OpenAI's agents have it: one span, theirs, with what it lacked; cost and prompt are ours."""
    (tmp_path / "greeting.yaml").write_text('{"versions": {"3": {"template": "Hi"}}, "labels": {"production": "3"}}')
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True, prompts=tmp_path)
    theirs = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "their word for it",
        "gen_ai.input.messages": "their messages",
        "otel_llm.cost.total": 7.0,
    }
    with (
        caplog.at_level(logging.WARNING, logger="otel_llm"),
        otel_llm.use_prompt("greeting"),
        _framework(spans).start_as_current_span("chat of theirs", attributes=theirs) as span,
    ):
        openai_client.chat.completions.create(**CHAT)
    found = spans.attributes()
    assert spans.one().name == "chat of theirs"
    assert (found["gen_ai.request.model"], found["gen_ai.input.messages"]) == ("their word for it", "their messages")
    assert found["otel_llm.cost.status"] == "priced"
    assert 0 < found["otel_llm.cost.total"] < 1
    assert found["gen_ai.prompt.name"] == "greeting"
    assert found["gen_ai.provider.name"] == "openai"
    assert "gen_ai.output.messages" in found
    assert otel_llm.last_call() is not None
    assert f"{span.get_span_context().span_id:016x}" in str(otel_llm.last_call())
    assert [record.getMessage() for record in caplog.records] == [
        "a-framework records model calls too: otel_llm adds to its spans and makes none of its own for the same calls."
    ]


def test_a_stream_adds_to_an_adopted_span(spans: Spans, openai_client: Any) -> None:
    """What is known when the stream ends, where the span has not ended by then."""
    otel_llm.instrument(tracer_provider=spans.provider)
    with _framework(spans).start_as_current_span("theirs", attributes={"openinference.span.kind": "LLM"}):
        assert list(openai_client.responses.create(model="gpt-5-mini", input="hi", stream=True))
    assert spans.attributes()["otel_llm.cost.status"] == "priced"
    assert spans.attributes()["otel_llm.stream.outcome"] == "completed"


def test_an_adopted_span_that_ends_early_is_said(
    spans: Spans, openai_client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing can be added to it then: a sentence, and no warning of OpenTelemetry's."""
    otel_llm.instrument(tracer_provider=spans.provider)
    with caplog.at_level(logging.WARNING):
        with _framework(spans).start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
            stream = openai_client.responses.create(model="gpt-5-mini", input="hi", stream=True)
        assert list(stream)
    assert "otel_llm.cost.status" not in spans.attributes()
    assert [record.name for record in caplog.records] == ["otel_llm", "otel_llm"]
    assert "had ended before the call did" in caplog.text


def test_an_error_leaves_an_adopted_spans_status_alone(spans: Spans, provider: ScriptedProvider) -> None:
    """The status is theirs to set; what failed is said where they did not."""
    provider.script([Reply(status=429)])
    otel_llm.instrument(tracer_provider=spans.provider)
    with (
        openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=0) as client,
        _framework(spans).start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}),
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(**CHAT)
    assert spans.one().status.status_code is trace.StatusCode.UNSET
    assert spans.attributes()["error.type"] == "429"


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"gen_ai.operation.name": "invoke_agent"},
        {"gen_ai.operation.name": "embeddings"},
        {"openinference.span.kind": "CHAIN"},
    ],
    ids=str,
)
def test_other_spans_around_a_call_are_its_parents(
    attributes: dict[str, str], spans: Spans, openai_client: Any
) -> None:
    """An agent, a chain, a call of another kind: the call is a span below it."""
    otel_llm.instrument(tracer_provider=spans.provider)
    with _framework(spans).start_as_current_span("theirs", attributes=attributes):
        openai_client.chat.completions.create(**CHAT)
    ours, theirs = spans.all()
    assert (ours.name, theirs.name) == ("chat gpt-5-mini", "theirs")
    assert ours.parent is not None
    assert theirs.context is not None
    assert ours.parent.span_id == theirs.context.span_id


def test_a_span_is_adopted_by_one_call(spans: Spans, openai_client: Any) -> None:
    """A second call in the same span is a span of its own, below it."""
    otel_llm.instrument(tracer_provider=spans.provider)
    with _framework(spans).start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}):
        openai_client.chat.completions.create(**CHAT)
        openai_client.chat.completions.create(**CHAT)
    assert [span.name for span in spans.all()] == ["chat gpt-5-mini", "theirs"]


def test_a_span_that_goes_elsewhere_is_not_adopted(spans: Spans, openai_client: Any) -> None:
    """With providers of their own, each place gets one span of the call."""
    elsewhere = TracerProvider()
    kept = InMemorySpanExporter()
    elsewhere.add_span_processor(SimpleSpanProcessor(kept))
    otel_llm.instrument(tracer_provider=spans.provider)
    with elsewhere.get_tracer("a-framework").start_as_current_span(
        "theirs", attributes={"gen_ai.operation.name": "chat"}
    ):
        openai_client.chat.completions.create(**CHAT)
    assert spans.one().name == "chat gpt-5-mini"
    assert [span.name for span in kept.get_finished_spans()] == ["theirs"]
    elsewhere.shutdown()


def test_metrics_and_guardrails_have_adopted_calls_too(spans: Spans, openai_client: Any) -> None:
    """A policy must see every call, whoever records it."""
    otel_llm.instrument(tracer_provider=spans.provider, guardrails=[otel_llm.guardrails.PII(action="block")])
    secret = [{"role": "user", "content": "Write to ada@example.org"}]
    with (
        _framework(spans).start_as_current_span("theirs", attributes={"gen_ai.operation.name": "chat"}),
        pytest.raises(otel_llm.GuardrailBlocked),
    ):
        openai_client.chat.completions.create(model="gpt-5-mini", messages=secret)
    assert spans.attributes()["otel_llm.guardrail.blocked"] is True


# LangChain ------------------------------------------------------------------------------------------------------------


class Tracer:
    """Traces runs by callbacks, and keeps a span for each: as OpenInference does, or as Traceloop does."""

    def __init__(self, tracer: Any, asked: bool) -> None:
        self.spans: dict[int, Any] = {}
        self._tracer = tracer
        if asked:
            self.get_span = lambda run: getattr(self.spans.get(run), "span", None)

    def begin(self, run: int) -> Any:
        """A run of a model begins; nothing is said of its kind, and it is not current."""

        class Holder:
            span = self._tracer.start_span("run of a model")

        self.spans[run] = Holder
        return Holder.span


@pytest.fixture
def langchain(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """LangChain, as far as it takes part in this."""

    class Manager:
        """Handlers put themselves into every manager."""

        def __init__(self) -> None: ...

    class Handler:
        """The base of all handlers."""

        run_inline = False

    made: dict[str, Any] = {"manager": Manager, "handlers": []}
    base, callbacks, context, tracer = map(
        ModuleType,
        (
            "langchain_core.callbacks.base",
            "langchain_core.callbacks",
            "langchain_core.tracers.context",
            "openinference.instrumentation.langchain",
        ),
    )
    base.__dict__["BaseCallbackHandler"] = Handler
    callbacks.__dict__["BaseCallbackManager"] = Manager
    context.__dict__["register_configure_hook"] = lambda variable, _: made["handlers"].append(variable.get())
    for module in (base, callbacks):
        monkeypatch.setitem(__import__("sys").modules, module.__name__, module)
    monkeypatch.setattr(runs, "_awaited", set())
    runs.listen()
    wrapt.notify_module_loaded(tracer)
    wrapt.notify_module_loaded(context)
    yield made
    runs.begun.set(())


@pytest.mark.parametrize("asked", [True, False])
def test_a_run_of_a_model_is_adopted(asked: bool, langchain: dict[str, Any], spans: Spans, openai_client: Any) -> None:
    """Its span is never current: the run is noted by a handler of ours, and its span asked for."""
    otel_llm.instrument(tracer_provider=spans.provider)
    tracer = Tracer(_framework(spans), asked)

    class Wrapper:
        def __init__(self) -> None:
            setattr(self, "_tracer" if asked else "_callback_handler", tracer)

        def __call__(self, wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return wrapped(*args, **kwargs)

    manager = langchain["manager"]
    manager.__init__ = wrapt.FunctionWrapper(manager.__init__, Wrapper())
    (handler,) = langchain["handlers"]
    assert handler.run_inline
    both = [tracer.begin(1), tracer.begin(2)]
    handler.on_chat_model_start({}, [], run_id=1)
    handler.on_llm_start({}, [], run_id=2)
    for span in both:
        openai_client.chat.completions.create(**CHAT)
        span.end()
    openai_client.chat.completions.create(**CHAT)
    assert [(span.name, "otel_llm.cost.status" in (span.attributes or {})) for span in spans.all()] == [
        ("run of a model", True),
        ("run of a model", True),
        ("chat gpt-5-mini", True),
    ]
