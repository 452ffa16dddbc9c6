"""The flow driven by hand, interceptors, and what happens when something of ours fails: the call goes on."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import warnings
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry import trace
from opentelemetry.context import attach, detach, set_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, StatusCode

import otel_llm
from otel_llm import config
from otel_llm.ambient import suppressed
from otel_llm.interceptor import Answer
from otel_llm.invocation import Invocation
from otel_llm.provider import Endpoint
from otel_llm.testing import Reply, ScriptedProvider
from tests.conftest import Spans
from tests.support.inprocess import Wire

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "What is a flame?"}]}


class Watcher:
    """An interceptor that writes down what it sees."""

    def __init__(self, name: str, log: list[str], policy: bool = False) -> None:
        self.name = name
        self.log = log
        self.policy = policy

    def before(self, call: Invocation) -> Answer | None:
        """Notes the call."""
        self.log.append(f"{self.name} before {call.input_texts()}")
        return None

    def after(self, call: Invocation) -> None:
        """Notes its end."""
        self.log.append(f"{self.name} after {call.output_texts()} {type(call.error).__name__}")


class Cache(Watcher):
    """An interceptor that answers itself."""

    def __init__(self, name: str, log: list[str], response: Any) -> None:
        super().__init__(name, log)
        self.response = response

    def before(self, call: Invocation) -> Answer:
        """Answers."""
        super().before(call)
        return Answer(self.response)


class Broken(Watcher):
    """An interceptor that fails wherever it can."""

    def before(self, call: Invocation) -> Answer | None:
        """Fails."""
        raise ZeroDivisionError("before")

    def after(self, call: Invocation) -> None:
        """Fails."""
        raise ZeroDivisionError("after")


def _refuse(call: Invocation) -> None:
    raise otel_llm.GuardrailBlocked("output", ["mine"], call.handle)


def test_interceptors_see_a_call_inside_out(spans: Spans, openai_client: Any) -> None:
    """``before`` in order, ``after`` in the opposite order."""
    log: list[str] = []
    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[Watcher("outer", log), Watcher("inner", log)])
    text = openai_client.chat.completions.create(**CHAT).choices[0].message.content
    assert log == [
        "outer before ['What is a flame?']",
        "inner before ['What is a flame?']",
        f"inner after {[text]} NoneType",
        f"outer after {[text]} NoneType",
    ]


def test_an_interceptor_may_answer_in_place_of_the_sdk(
    spans: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """The SDK is not called; those outside still see the end, those inside see nothing."""
    log: list[str] = []
    kept = openai_client.chat.completions.create(**CHAT)
    provider.reset()
    otel_llm.instrument(
        tracer_provider=spans.provider,
        interceptors=[Watcher("outer", log), Cache("cache", log, kept), Watcher("inner", log)],
    )
    assert openai_client.chat.completions.create(**CHAT) is kept
    assert provider.requests == []
    assert [line.split()[:2] for line in log] == [
        ["outer", "before"], ["cache", "before"], ["cache", "after"], ["outer", "after"],
    ]  # fmt: skip
    assert spans.attributes()["gen_ai.usage.input_tokens"] > 0


def test_a_refused_answer_is_an_error_of_the_span(
    spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a policy raises after a plain call reaches the caller, and the span tells."""
    watcher = Watcher("policy", [], policy=True)
    monkeypatch.setattr(watcher, "after", _refuse)
    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[watcher])
    with pytest.raises(otel_llm.GuardrailBlocked, match="The answer was refused by guardrail mine") as caught:
        openai_client.chat.completions.create(**CHAT)
    assert caught.value.call == otel_llm.last_call()
    assert spans.one().status.status_code is StatusCode.ERROR
    assert spans.attributes()["error.type"] == "otel_llm.GuardrailBlocked"
    assert spans.attributes()["gen_ai.usage.input_tokens"] > 0


def test_a_fault_of_ours_is_said_once_and_swallowed(
    spans: Spans, openai_client: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken interceptor, and a broken reader of responses: the caller gets the answer, the log one line each."""
    monkeypatch.setattr(config, "_said", set())

    def broken(self: Endpoint, response: Any) -> dict[str, Any]:
        raise ZeroDivisionError(response)

    monkeypatch.setattr(Endpoint, "read", broken)
    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[Broken("broken", [])])
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        for _ in range(3):
            assert openai_client.chat.completions.create(**CHAT).choices
    assert len(spans.all()) == 3
    assert sorted(record.getMessage().partition(";")[0] for record in caplog.records) == [
        "otel_llm failed in Broken.after",
        "otel_llm failed in Broken.before",
        "otel_llm failed in reading a response",
    ]


def test_a_request_that_cannot_be_read_is_still_made(
    spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading the request fails: the call is made untouched."""

    def broken(self: Endpoint, kwargs: Any) -> dict[str, Any]:
        raise ZeroDivisionError(kwargs)

    monkeypatch.setattr(Endpoint, "params", broken)
    otel_llm.instrument(tracer_provider=spans.provider)
    assert openai_client.chat.completions.create(**CHAT).choices


def test_an_error_of_the_sdk_is_the_callers(
    instrumented: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """Same exception, ``error.type`` the status, the description its text."""
    provider.script(lambda request: Reply(status=429, error="slow down"))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        openai_client.chat.completions.create(**CHAT)
    span = instrumented.one()
    assert span.status.status_code is StatusCode.ERROR
    assert str(span.status.description).startswith("RateLimitError: ")
    assert instrumented.attributes()["error.type"] == "429"
    assert instrumented.attributes()["otel_llm.cost.status"] == "unpriced"


def test_a_connection_that_fails_is_named_by_its_class(instrumented: Spans) -> None:
    """No status: the class of the exception."""
    client = openai.OpenAI(api_key="x", base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(openai.APIConnectionError):
        client.chat.completions.create(**CHAT)
    assert instrumented.attributes()["error.type"] == "openai.APIConnectionError"


def test_retries_of_the_sdk_are_one_span(instrumented: Spans, provider: ScriptedProvider) -> None:
    """One logical call, whatever the SDK did below it."""
    provider.script([Reply(status=429, retry_after=0.01), Reply(status=500), Reply("At last.")])
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url, max_retries=3) as client:
        assert client.chat.completions.create(**CHAT).choices[0].message.content == "At last."
    assert len(provider.requests) == 3
    assert instrumented.one().status.status_code is StatusCode.UNSET


def test_the_span_is_current_for_the_sdk_only(spans: Spans, provider: ScriptedProvider) -> None:
    """What the SDK does is below the call, and the call below what is current; afterwards nothing has changed."""
    seen: list[Any] = []

    class Below(Watcher):
        def before(self, call: Invocation) -> Answer | None:
            seen.append(trace.get_current_span())
            return None

    otel_llm.instrument(tracer_provider=spans.provider, interceptors=[Below("below", [])])
    tracer = spans.provider.get_tracer("test")
    with tracer.start_as_current_span("outside") as outside:
        with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            client.chat.completions.create(**CHAT)
        assert trace.get_current_span() is outside
    call, _ = spans.all()
    assert call.parent is not None
    assert call.parent.span_id == outside.get_span_context().span_id
    assert seen == [outside]


@pytest.mark.parametrize("key", ["suppress_instrumentation", None])
def test_suppression_is_honoured_first(key: str | None, instrumented: Spans, openai_client: Any) -> None:
    """Both of OpenTelemetry's keys."""
    from opentelemetry import context

    token = attach(set_value(key or context._SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        assert suppressed()
        openai_client.chat.completions.create(**CHAT)
    finally:
        detach(token)
    assert instrumented.all() == []


def test_unsampled_calls_leave_no_span_but_meet_policies(openai_client: Any, provider: ScriptedProvider) -> None:
    """A sampler may leave a call out of the record, not out of a policy."""
    log: list[str] = []
    unsampled = TracerProvider(sampler=ALWAYS_OFF)
    try:
        otel_llm.instrument(
            tracer_provider=unsampled, interceptors=[Watcher("metric", log), Watcher("policy", log, policy=True)]
        )
        text = openai_client.chat.completions.create(**CHAT).choices[0].message.content
        assert [line.split()[0] for line in log] == ["policy", "policy"]
        assert log[1] == f"policy after {[text]} NoneType"
        otel_llm.instrument(tracer_provider=unsampled)
        stream = openai_client.chat.completions.create(**CHAT, stream=True)
        assert type(stream) is openai.Stream
        stream.close()
    finally:
        otel_llm.uninstrument()
        unsampled.shutdown()


def test_without_a_provider_nothing_is_wrapped(openai_client: Any) -> None:
    """A tracer that does nothing: the stream is the SDK's own object."""
    otel_llm.instrument(tracer_provider=NoOpTracerProvider())
    stream = openai_client.chat.completions.create(**CHAT, stream=True)
    assert type(stream) is openai.Stream
    stream.close()
    otel_llm.uninstrument()


def test_uninstrument_is_complete_for_kept_methods_too(spans: Spans, openai_client: Any) -> None:
    """A bound method that was taken while instrumented passes calls through afterwards."""
    original = openai.resources.chat.completions.Completions.create
    otel_llm.instrument(tracer_provider=spans.provider)
    kept = openai_client.chat.completions.create
    otel_llm.uninstrument()
    assert openai.resources.chat.completions.Completions.create is original
    kept(**CHAT)
    assert spans.all() == []


def test_instrumenting_twice_patches_once(spans: Spans, openai_client: Any) -> None:
    """One span a call however often it is asked for."""
    otel_llm.instrument(tracer_provider=spans.provider)
    report = otel_llm.instrument(tracer_provider=spans.provider)
    openai_client.chat.completions.create(**CHAT)
    assert len(spans.all()) == 1
    assert len(report.patched) == len(set(report.patched))
    assert report.missing == []


def test_only_the_named_providers(spans: Spans, openai_client: Any) -> None:
    """``providers=`` leaves the others alone; an unknown one is an error that names the known."""
    otel_llm.instrument(tracer_provider=spans.provider, providers="google_genai")
    openai_client.chat.completions.create(**CHAT)
    assert spans.all() == []
    with pytest.raises(otel_llm.ConfigError, match="Unknown provider mistral: use google_genai or openai"):
        otel_llm.instrument(providers=["mistral"])


def test_a_method_that_has_vanished_is_said(
    spans: Spans, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An SDK without one of the methods: a sentence, and the rest is instrumented."""
    monkeypatch.delattr(openai.resources.embeddings.Embeddings, "create")
    with caplog.at_level(logging.WARNING, logger="otel_llm"):
        report = otel_llm.instrument(tracer_provider=spans.provider)
    assert report.missing == ["openai.resources.embeddings:Embeddings.create"]
    assert "openai.resources.embeddings:Embeddings.create is not in the installed SDK" in caplog.text
    assert "openai.resources.embeddings:AsyncEmbeddings.create" in report.patched


def test_the_handle_of_a_response(instrumented: Spans, openai_client: Any) -> None:
    """``call_of`` knows the SDK's object, and forgets it with it; anything else is unknown."""
    response = openai_client.chat.completions.create(**CHAT)
    handle = otel_llm.call_of(response)
    assert handle == otel_llm.last_call()
    identity = instrumented.one().get_span_context()
    assert identity is not None
    assert str(handle).split("-")[1:3] == [f"{identity.trace_id:032x}", f"{identity.span_id:016x}"]
    assert otel_llm.call_of(object()) is None


def test_raw_responses_are_read(instrumented: Spans, openai_client: Any) -> None:
    """``with_raw_response`` gives the SDK's raw object; what it holds is on the span."""
    raw = openai_client.chat.completions.with_raw_response.create(**CHAT)
    assert raw.http_response.status_code == 200
    assert instrumented.attributes()["gen_ai.usage.output_tokens"] == raw.parse().usage.completion_tokens


def test_concurrent_calls_keep_their_own_spans(instrumented: Spans, provider: ScriptedProvider) -> None:
    """Twenty calls at once, each with its own user and text."""

    async def one(client: Any, number: int) -> None:
        with otel_llm.context(user_id=f"user {number}"):
            await client.chat.completions.create(
                model="gpt-5-mini", messages=[{"role": "user", "content": f"question {number}"}]
            )

    async def all_at_once() -> None:
        async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            await asyncio.gather(*(one(client, number) for number in range(20)))

    asyncio.run(all_at_once())
    found = {
        (str(span.attributes["user.id"]).split()[1], f"question {str(span.attributes['user.id']).split()[1]}" in str(
            span.attributes["gen_ai.input.messages"]))
        for span in instrumented.all() if span.attributes
    }  # fmt: skip
    assert found == {(str(number), True) for number in range(20)}


def test_a_deprecated_method_warns_of_the_callers_line(spans: Spans, openai_client: Any) -> None:
    """Once, as without us: Python shows such warnings only where they are of the program's own lines."""
    if not hasattr(type(openai_client.videos).create, "__deprecated__"):
        pytest.skip("this SDK deprecates nothing that is patched")
    otel_llm.instrument(tracer_provider=spans.provider)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with contextlib.suppress(openai.APIError):
            openai_client.videos.create(model="sora-2", prompt="A flame.")
    assert [Path(each.filename).name for each in caught if each.category is DeprecationWarning] == ["test_flow.py"]
    assert len(spans.all()) == 1


def test_without_a_provider_of_spans_the_sdk_is_called_at_once(
    spans: Spans, openai_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application may set one later, and its calls are recorded from then on."""

    def run(*args: Any) -> Any:
        raise AssertionError("the call was followed")

    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    otel_llm.instrument(tracer_provider=trace.ProxyTracerProvider())
    with monkeypatch.context() as followed:
        followed.setattr("otel_llm.flow.begin", run)
        assert openai_client.chat.completions.create(**CHAT).choices
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", spans.provider)
    assert openai_client.chat.completions.create(**CHAT).choices
    assert [span.name for span in spans.all()] == ["chat gpt-5-mini"]


class Stepwise:
    """Drives a coroutine, each step in a context of its own, as some schedulers do."""

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Any:
        while True:
            try:
                waits = contextvars.copy_context().run(self._coroutine.send, None)
            except StopIteration as done:
                return done.value
            yield waits


def test_a_call_whose_steps_run_in_several_contexts(spans: Spans) -> None:
    """What one of them has set cannot be taken back in another: the answer comes all the same."""
    wire = Wire()

    async def answer(request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0)
        return wire(request)

    async def ask() -> Any:
        through = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        async with openai.AsyncOpenAI(api_key="x", http_client=through) as client:
            return await Stepwise(client.chat.completions.create(**CHAT))

    otel_llm.instrument(tracer_provider=spans.provider)
    assert asyncio.run(ask()).choices
    assert len(spans.all()) == 1
