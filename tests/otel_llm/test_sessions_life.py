"""The life of sessions: closed, dropped, cancelled, lost, many at once; nothing kept, nothing current, nothing said."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import StatusCode
from websockets.exceptions import ConnectionClosed

import otel_llm
from otel_llm import reaper, session_patches
from otel_llm.guardrails import PII
from otel_llm.prompts import Prompt
from otel_llm.providers import google_live, openai_realtime
from otel_llm.session import MOST
from otel_llm.testing import Reply, Request, ScriptedProvider, Usage
from tests.conftest import Spans
from tests.support.sessions import (
    SILENCE,
    TEXT_ONLY,
    Step,
    answered,
    asked,
    audio,
    connected,
    connected_async,
    live,
    options,
    realtime,
    realtime_async,
    said,
    talk,
    talk_async,
)

WRITTEN: Step = ("session.update", {"session": TEXT_ONLY})
BEGUN: list[Step] = [WRITTEN, said("Count!"), asked(), "response.output_text.delta"]
#: An answer that is not complete before a test is.
COUNT = Reply("one two three four", chunks=4, chunk_delay=0.5, usage=Usage(10, 4))
TRACER = TracerProvider().get_tracer("application")

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_is_left(provider: ScriptedProvider, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No session and no turn outlives a test, no span stays current, and nothing is complained of."""
    provider.script(lambda request: COUNT)
    caplog.set_level(logging.WARNING)
    yield
    if len(session_patches._followed) + len(session_patches._openings):
        gc.collect()
    reaper.settle()
    assert len(session_patches._followed) == len(session_patches._openings) == len(reaper._open) == 0
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert [r.getMessage() for r in caplog.records if r.name.startswith(("opentelemetry", "otel_"))] == []


def _attributes(spans: Spans) -> list[dict[str, Any]]:
    return [dict(span.attributes or {}) for span in spans.all()]


def _outcomes(spans: Spans) -> list[Any]:
    return [attributes["otel_llm.stream.outcome"] for attributes in _attributes(spans)]


async def _ask(session: Any, text: str) -> None:
    await session.send_client_content(turns={"role": "user", "parts": [{"text": text}]})


# How a turn ends that is not complete ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_closing_in_the_middle(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The end of the ``with``; what came until then is kept."""
    realtime(provider, BEGUN) if mode == "sync" else asyncio.run(realtime_async(provider, BEGUN))
    assert _outcomes(instrumented) == ["closed_early"]
    assert '"content":"one t' in _attributes(instrumented)[0]["gen_ai.output.messages"]
    assert instrumented.one().status.status_code is StatusCode.UNSET


def test_closing_live_in_the_middle(instrumented: Spans, provider: ScriptedProvider) -> None:
    """By ``close()``, or by the end of the ``async with``."""

    async def run(close: bool) -> None:
        async with live(provider) as session:
            await _ask(session, "Count!")
            async for message in session.receive():
                if message.text:
                    break
            if close:
                await session.close()
                assert len(instrumented.exporter.get_finished_spans()) == 1

    asyncio.run(run(close=True))
    asyncio.run(run(close=False))
    assert _outcomes(instrumented) == ["closed_early", "closed_early"]


@pytest.mark.parametrize("kind", ["openai", "google"])
def test_a_task_that_is_cancelled(kind: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The session is closed because its task is cancelled, and so are its turns."""
    begun = asyncio.Event()

    async def openai_session() -> None:
        async with connected_async(provider) as connection:
            await talk_async(connection, BEGUN)
            begun.set()
            while True:
                await connection.recv()

    async def google_session() -> None:
        async with live(provider) as session:
            await _ask(session, "Count!")
            async for _ in session.receive():
                begun.set()

    async def run() -> None:
        task = asyncio.create_task(openai_session() if kind == "openai" else google_session())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert _outcomes(instrumented) == ["cancelled"]


def test_receiving_may_be_cancelled(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Giving up one message is not giving up the turn."""
    provider.script([Reply("Yes.", delay=0.5)])

    async def run() -> None:
        async with connected_async(provider) as connection:
            await talk_async(connection, [*BEGUN[:3], "conversation.item.added"])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await connection.recv()
            await talk_async(connection, ["response.done"])

    asyncio.run(run())
    assert _outcomes(instrumented) == ["completed"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_session_that_is_dropped(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """Nobody closes it: its turns end when it is collected, by a thread of the library's."""
    if mode == "sync":
        client = openai.OpenAI(**options(provider))
        connection = client.realtime.connect(model="gpt-realtime").enter()
        talk(connection, BEGUN)
        transport = connection._connection
        del connection
        gc.collect()
        assert _outcomes(instrumented) == ["abandoned"]
        transport.close()
        return

    async def run() -> None:
        client = openai.AsyncOpenAI(**options(provider))
        connection = await client.realtime.connect(model="gpt-realtime").enter()
        await talk_async(connection, BEGUN)
        transport = connection._connection
        del connection
        gc.collect()
        assert _outcomes(instrumented) == ["abandoned"]
        await transport.close()

    asyncio.run(run())


def test_a_session_held_by_its_own_turn_is_collected(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What is followed keeps no session alive, though the application's context and its tools lead to it."""
    from contextvars import ContextVar, copy_context

    held: ContextVar[Any] = ContextVar("held")

    def begin() -> weakref.ref[Any]:
        client = openai.OpenAI(**options(provider))
        connection = client.realtime.connect(model="gpt-realtime").enter()
        held.set(connection)
        talk(connection, BEGUN)
        threading.Thread(target=connection._connection.close).start()
        return weakref.ref(connection)

    kept = copy_context().run(begin)
    gc.collect()
    assert kept() is None
    assert _outcomes(instrumented) == ["abandoned"]


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_connection_that_is_lost(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """The SDK's error is the caller's and that of every turn in flight."""
    provider.script(lambda request: Reply("one two three", chunks=3, fail_after=3, failure="cut", chunk_delay=0.02))
    other = asked(conversation="none", output_modalities=["text"])
    steps = [*BEGUN[:3], other, "response.done"]
    with pytest.raises(ConnectionClosed):
        realtime(provider, steps) if mode == "sync" else asyncio.run(realtime_async(provider, steps))
    assert _outcomes(instrumented) == ["error", "error"]
    assert {attributes["error.type"] for attributes in _attributes(instrumented)} == {
        "websockets.ConnectionClosedError"
    }


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_connection_that_is_refused(mode: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A session that cannot be connected is a call that failed."""
    provider.stop()
    with pytest.raises(ConnectionRefusedError):
        realtime(provider, []) if mode == "sync" else asyncio.run(realtime_async(provider, []))
    (attributes,) = _attributes(instrumented)
    assert attributes["error.type"] == "ConnectionRefusedError"
    assert attributes["gen_ai.request.model"] == "gpt-realtime"


# Many at once ---------------------------------------------------------------------------------------------------------


def _echo(request: Request) -> Reply:
    asked = request.text.strip().splitlines()[-1]
    return Reply(f"{asked} {asked}", chunks=5, chunk_delay=0.002, usage=Usage(int(asked), 2))


def _paired(spans: Spans) -> list[tuple[str, int]]:
    """Of each turn its question, after a look that the answer is its own."""
    found = []
    for attributes in _attributes(spans):
        number = attributes["gen_ai.usage.input_tokens"]
        assert f'"content":"{number}"' in attributes["gen_ai.input.messages"]
        assert f'"content":"{number} {number}"' in attributes["gen_ai.output.messages"]
        found.append((attributes["otel_llm.stream.outcome"], number))
    return sorted(found)


def test_threads_that_send_and_receive(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Several sessions at once, each with a thread that sends and one that receives."""
    provider.script(_echo)

    def converse(first: int) -> None:
        with connected(provider) as connection:
            turn = threading.Semaphore(1)

            def send() -> None:
                for number in range(first, first + 5):
                    turn.acquire()
                    talk(connection, [said(str(number)), asked(output_modalities=["text"])])

            sender = threading.Thread(target=send)
            sender.start()
            for _ in range(5):
                talk(connection, ["response.done"])
                turn.release()
            sender.join()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(converse, range(100, 700, 100)))
    assert _paired(instrumented) == [("completed", first + n) for first in range(100, 700, 100) for n in range(5)]


def test_tasks_that_send_and_receive(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Several sessions of both SDKs at once, each with a task that sends and one that receives."""
    provider.script(_echo)

    async def openai_session(first: int) -> None:
        async with connected_async(provider) as connection:
            for number in range(first, first + 3):
                done = asyncio.create_task(talk_async(connection, ["response.done"]))
                await talk_async(connection, [said(str(number)), asked(output_modalities=["text"])])
                await done

    async def google_session(first: int) -> None:
        async with live(provider) as session:
            for number in range(first, first + 3):
                done = asyncio.create_task(answered(session))
                await asyncio.sleep(0)
                await _ask(session, str(number))
                await done

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for first in range(100, 400, 100):
                group.create_task(openai_session(first))
                group.create_task(google_session(first + 50))

    asyncio.run(run())
    assert _paired(instrumented) == [("completed", first + n) for first in range(100, 400, 50) for n in range(3)]


def test_responses_without_end_are_given_up(instrumented: Spans, provider: ScriptedProvider) -> None:
    """A session has so many turns in flight and no more; the oldest is let go."""
    provider.script(lambda request: Reply(delay=60))
    outside = asked(conversation="none", output_modalities=["text"])
    realtime(provider, [WRITTEN, *[outside] * (MOST + 3)])
    assert _outcomes(instrumented) == ["abandoned"] * 3 + ["closed_early"] * MOST


@pytest.mark.parametrize("kind", ["openai", "google"])
def test_what_is_never_asked_about_is_forgotten(kind: str, instrumented: Spans, provider: ScriptedProvider) -> None:
    """A session keeps so much of what was sent for the next turn, and no more."""
    provider.script(lambda request: Reply("Enough."))

    async def google_session() -> None:
        async with live(provider) as session:
            for number in range(google_live.MOST + 10):
                contents = {"role": "user", "parts": [{"text": str(number)}]}
                await session.send_client_content(turns=contents, turn_complete=False)
            await _ask(session, "last")
            await answered(session)

    if kind == "openai":
        realtime(provider, [WRITTEN, *map(said, map(str, range(openai_realtime.MOST + 11))), asked(), "response.done"])
    else:
        asyncio.run(google_session())
    sent = _attributes(instrumented)[0]["gen_ai.input.messages"]
    assert sent.count('"role"') == google_live.MOST == openai_realtime.MOST
    assert '"content":"10"' not in sent
    assert '"content":"11"' in sent


# Whose a turn is ------------------------------------------------------------------------------------------------------


def test_the_parent_is_where_it_is_asked(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The span that sends; where there is none, the span that connected."""
    provider.script(lambda request: Reply("Yes."))
    with TRACER.start_as_current_span("connecting") as connecting:
        opened = connected(provider)
        connection = opened.__enter__()
    with TRACER.start_as_current_span("asking") as asking:
        talk(connection, [WRITTEN, said("One?"), asked()])
        assert trace.get_current_span() is asking
    talk(connection, ["response.done", said("Two?"), asked(), "response.done"])
    opened.__exit__(None, None, None)
    first, second = (span.parent for span in instrumented.all())
    assert first == asking.get_span_context()
    assert second == connecting.get_span_context()


def test_the_parent_of_what_the_server_begins(instrumented: Spans, provider: ScriptedProvider) -> None:
    """The span that receives its word; where there is none, the span that connected."""
    provider.script(lambda request: Reply("Yes."))
    speech: list[Step] = [("input_audio_buffer.append", {"audio": data}) for data in (audio("Hi"), SILENCE)]
    with TRACER.start_as_current_span("connecting") as connecting:
        opened = connected(provider)
        connection = opened.__enter__()
    with TRACER.start_as_current_span("receiving") as receiving:
        talk(connection, [*speech, "response.done"])
    talk(connection, [*speech, "response.done"])
    opened.__exit__(None, None, None)
    first, second = (span.parent for span in instrumented.all())
    assert first == receiving.get_span_context()
    assert second == connecting.get_span_context()


def test_what_the_application_says(instrumented: Spans, provider: ScriptedProvider) -> None:
    """What is said where the session is connected holds for all its turns; what is said where one is asked, for it."""
    provider.script(lambda request: Reply("Yes."))

    async def run() -> None:
        with otel_llm.context(user_id="ada", tags=["call"]):
            opened = live(provider)
            session = await opened.__aenter__()
        with otel_llm.context(user_id="bob", call_type="chat"):
            await _ask(session, "One?")
        await answered(session)
        await _ask(session, "Two?")
        await answered(session)
        await opened.__aexit__(None, None, None)

    asyncio.run(run())
    first, second = _attributes(instrumented)
    assert (first["user.id"], first["otel_llm.call.type"]) == ("bob", "chat")
    assert (second["user.id"], second["otel_llm.tags"]) == ("ada", ("call",))
    assert "otel_llm.call.type" not in second


def test_a_turn_is_linked_to_its_prompt(instrumented: Spans, provider: ScriptedProvider) -> None:
    """By the text that is sent, or by what is said where it is asked; not where it ends."""
    provider.script(lambda request: Reply("Yes."))
    question = Prompt("question", "What is {{ what }}, in a sentence or two?", version="3")
    with connected(provider) as connection:
        talk(connection, [WRITTEN, said(question.render(what="a flame")), asked(), "response.done"])
        with otel_llm.use_prompt(question):
            talk(connection, [said("Anything"), asked()])
        talk(connection, ["response.done", said("Unlinked"), asked(), "response.done"])
    first, second, third = _attributes(instrumented)
    assert first["gen_ai.prompt.name"] == second["gen_ai.prompt.name"] == "question"
    assert first["gen_ai.prompt.variable.what"] == "a flame"
    assert "gen_ai.prompt.name" not in third


def test_guardrails_observe(spans: Spans, provider: ScriptedProvider) -> None:
    """A rule that blocks elsewhere sees what was sent, heard and said, and blocks nothing."""
    provider.script(lambda request: Reply("Write to bob@example.org"))
    otel_llm.instrument(tracer_provider=spans.provider, guardrails=[PII(action="block")])

    async def run() -> None:
        async with live(provider, input_audio_transcription={}) as session:
            await _ask(session, "I am ada@example.org")
            await answered(session)
            for data in (b"I am eve@example.org", bytes(8)):
                await session.send_realtime_input(audio={"data": data, "mime_type": "audio/pcm"})
            await answered(session)

    asyncio.run(run())
    realtime(provider, [WRITTEN, said("I am ada@example.org"), asked(), "response.done"])
    for attributes in _attributes(spans):
        assert attributes["otel_llm.guardrail.outcome"] == "violated"
        assert attributes["otel_llm.guardrail.results"].count('"action":"observe"') == 2
        assert "otel_llm.guardrail.blocked" not in attributes
        assert "gen_ai.input.messages" not in attributes
    assert len(spans.all()) == 3


# What is not recorded -------------------------------------------------------------------------------------------------


def test_content_is_kept_only_where_it_is_wanted(spans: Spans, provider: ScriptedProvider) -> None:
    """Without capture nothing of what was said, and no digest either."""
    provider.script(lambda request: Reply("Yes.", usage=Usage(5, 1)))
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=False)
    realtime(provider, [said("Secret"), asked(), "response.done"])
    (attributes,) = _attributes(spans)
    assert attributes["gen_ai.usage.output_tokens"] == 1
    assert not [name for name, value in attributes.items() if "messages" in name or "Secret" in str(value)]


def test_the_completion_hook_is_given_a_turn(spans: Spans, provider: ScriptedProvider) -> None:
    """Of audio the digest, which is all that is left of it."""
    pytest.importorskip("opentelemetry.util.genai.types")
    given: list[dict[str, Any]] = []
    hook = SimpleNamespace(on_completion=lambda **said: given.append(said))
    provider.script(lambda request: Reply("Yes."))
    otel_llm.instrument(tracer_provider=spans.provider, completion_hook=hook)
    pieces: list[Step] = [("input_audio_buffer.append", {"audio": data}) for data in (audio("Hi"), SILENCE)]
    realtime(provider, [*pieces, "response.done"])
    (call,) = given
    (heard,) = call["inputs"][0].parts
    assert (heard.type, heard.content["modality"], heard.content["size"]) == ("blob", "audio", 10)
    assert call["outputs"][0].parts[0].content == "Yes."


def test_a_session_that_is_suppressed(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Nothing is recorded of a session that was connected so, nor of a turn that was asked so."""
    provider.script(lambda request: Reply("Yes."))
    with suppress_instrumentation():
        opened = connected(provider)
        connection = opened.__enter__()
    talk(connection, [WRITTEN, said("One?"), asked(), "response.done"])
    opened.__exit__(None, None, None)
    assert instrumented.all() == []
    with connected(provider) as connection:
        with suppress_instrumentation():
            talk(connection, [WRITTEN, said("Two?"), asked()])
        talk(connection, ["response.done", said("Three?"), asked(), "response.done"])
    assert "Three?" in instrumented.attributes()["gen_ai.input.messages"]


def test_an_unsampled_session(spans: Spans, provider: ScriptedProvider) -> None:
    """Nothing is added up of turns that nobody looks at."""
    provider.script(lambda request: Reply("Yes."))
    tracer_provider = TracerProvider(sampler=ALWAYS_OFF)
    otel_llm.instrument(tracer_provider=tracer_provider, capture_content=True)
    with connected(provider) as connection:
        talk(connection, [WRITTEN, said("One?"), asked(), "response.created"])
        ((_, followed),) = session_patches._followed._entries.values()
        assert list(followed._turns.values()) == [None]
        assert len(reaper._open) == 0
        talk(connection, ["response.done"])
        assert followed._turns == {}


def test_sessions_outlive_the_instrumentation(instrumented: Spans, provider: ScriptedProvider) -> None:
    """After ``uninstrument()`` a session goes on, unobserved, and every method is the SDK's again."""
    provider.script(lambda request: Reply("Yes."))
    with connected(provider) as connection:
        kept = connection.send
        talk(connection, [WRITTEN, said("One?"), asked(), "response.done"])
        otel_llm.uninstrument()
        kept({"type": "response.create"})
        talk(connection, ["response.done"])
    assert len(instrumented.all()) == 1
    from google.genai.live import AsyncLive, AsyncSession
    from openai.resources.realtime.realtime import Realtime, RealtimeConnection, RealtimeConnectionManager

    for kind in (AsyncLive, AsyncSession, Realtime, RealtimeConnection, RealtimeConnectionManager):
        ours = [name for name, value in vars(kind).items() if "otel_llm" in str(getattr(value, "__code__", ""))]
        assert ours == []


@pytest.mark.parametrize("method", ["sent", "received"])
def test_a_dialogue_that_fails(
    method: str, spans: Spans, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    """What fails in ours is said once and swallowed: the caller's session goes on."""
    provider.script(lambda request: Reply("Yes."))

    def fails(*_: Any) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr(openai_realtime.RealtimeDialogue, method, fails)
    monkeypatch.setattr(google_live.LiveDialogue, method, fails)
    monkeypatch.setattr("otel_llm.config._said", set())
    otel_llm.instrument(tracer_provider=spans.provider)

    async def run() -> None:
        async with live(provider) as session:
            await _ask(session, "Hi")
            assert (await answered(session))[-1].server_content.turn_complete

    asyncio.run(run())
    assert realtime(provider, [WRITTEN, said("Hi"), asked(), "response.done"])[-1].response.status == "completed"
    said_of_us = [record for record in caplog.records if record.name == "otel_llm"]
    assert [record.getMessage().split(";")[0] for record in said_of_us] == ["otel_llm failed in following a session"]
    caplog.clear()


def test_nothing_is_current_while_the_application_runs(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Neither between messages nor after the session."""
    provider.script([Reply("one two three", chunks=3)])

    async def run() -> None:
        before = otel_context.get_current()
        async with live(provider) as session:
            await _ask(session, "Count!")
            async for _ in session.receive():
                assert otel_context.get_current() is before
        assert otel_context.get_current() is before

    asyncio.run(run())
    assert _outcomes(instrumented) == ["completed"]
