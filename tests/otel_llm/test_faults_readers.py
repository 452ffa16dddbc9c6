"""Readers and hooks of the SDKs that fail, each of them: the call gives what it would have given without us."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Generator, Iterator
from types import ModuleType
from typing import Any

import pytest

import otel_llm
from otel_llm import config
from otel_llm.flow import Patch
from otel_llm.guardrails import PII
from otel_llm.hooks import HookPatch
from otel_llm.invocation import Invocation
from otel_llm.others import OTHERS
from otel_llm.patches import STATE
from otel_llm.provider import Server
from otel_llm.providers import PROVIDERS
from tests.conftest import Spans
from tests.support.faults import afresh, cases, complaints, fail, unaffected
from tests.support.inprocess import ASKED, Clients, Wire

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
ENDPOINTS = [(provider, endpoint) for provider in PROVIDERS for endpoint in provider.endpoints]
HOOKS = [(provider, hook) for provider in PROVIDERS for hook in provider.hooks]


SERVER = Server("p", None, None)


@pytest.fixture(scope="module")
def clients() -> Clients:
    """Both SDKs, answered in this process."""
    return Clients(Wire())


@pytest.fixture(scope="module")
def without(clients: Clients) -> dict[bool, Any]:
    """What calls give without us, sync and async."""
    return {asynchronous: unaffected(clients, asynchronous) for asynchronous in (False, True)}


@pytest.fixture(autouse=True)
def as_new(monkeypatch: pytest.MonkeyPatch, clients: Clients) -> Iterator[None]:
    """Nothing has failed yet; at the end nothing is current."""
    with afresh(monkeypatch, clients):
        yield


def fail_around(call: Any, args: Any, kwargs: Any) -> Generator[None, Any, None]:
    """A hook that fails at once."""
    fail()
    yield


def fail_after(call: Any, args: Any, kwargs: Any) -> Generator[None, Any, None]:
    """A hook that fails when the function has ended."""
    try:
        yield
    finally:
        fail()


class Answer:
    """What an SDK gives that nobody wrote a reader for."""


def failing(described: Any, field: str) -> Any:
    """A description one of whose functions fails."""
    return dataclasses.replace(described, **{field: fail})


def callables(described: Any) -> list[str]:
    """The fields of a dataclass that are functions."""
    return [field.name for field in dataclasses.fields(described) if callable(getattr(described, field.name))]


def completed(coroutine: Any) -> Any:
    """What a coroutine gives that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


# Readers -------------------------------------------------------------------------------------------------------------


def ended_by(patch: Patch, outcome: str) -> tuple[Any, Any]:
    """Drives a patch around a function of the test's; what came out, and what should have."""
    answer, error = Answer(), KeyError("of the SDK")

    def function(*args: Any, **kwargs: Any) -> Any:
        if outcome == "error":
            raise error
        return (each for each in ["one", "two"]) if outcome == "stream" else answer

    async def function_async(*args: Any, **kwargs: Any) -> Any:
        return function()

    params: dict[str, Any] = {"model": "m", "messages": [], "contents": "hi", "input": "hi"}
    if outcome == "stream":
        params["stream"] = True
    if patch.endpoint.agent:
        params[patch.endpoint.agent] = "a"
    made = Patch(patch.provider, patch.endpoint, function_async if patch.asynchronous else function, patch.asynchronous)
    made.scope = patch.scope
    try:
        given = made.method()(object(), **params)
        given = completed(given) if patch.asynchronous else given
    except KeyError as raised:
        return raised, error
    return (list(given), ["one", "two"]) if outcome == "stream" else (given, answer)


@BOTH
@pytest.mark.parametrize("outcome", ["answer", "error", "stream"])
@pytest.mark.parametrize("field", sorted({name for _, endpoint in ENDPOINTS for name in callables(endpoint)}))
def test_a_reader_that_fails(
    field: str, outcome: str, asynchronous: bool, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """Any function of any endpoint: the function's own object or error comes out, and its span is ended."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True, include_usage=True, guardrails=[PII()])
    wrong, tried = [], 0
    for provider, endpoint in ENDPOINTS:
        if field not in callables(endpoint) or (outcome == "stream" and endpoint.fold is None):
            continue
        spans.exporter.clear()
        config._said.clear()
        caplog.clear()
        broken = failing(endpoint, field)
        quiet = dataclasses.replace(provider, server=lambda resource: SERVER, requests=lambda resource: None)
        patch = Patch(quiet, broken, fail, asynchronous)
        patch.scope = STATE.scope
        tried += 1
        given, expected = ended_by(patch, outcome)
        ours = complaints(caplog)
        same = given is expected or (outcome == "stream" and given == expected)
        if not same or len(ended := spans.exporter.get_finished_spans()) != 1 or len(ours) != len(set(ours)):
            wrong.append((f"{endpoint.module}:{endpoint.method}", given, ended, ours))
    assert wrong == []
    assert tried or outcome == "stream"


@BOTH
@pytest.mark.parametrize("field", ["server", "request_id", "requests"])
def test_a_provider_that_cannot_be_told(
    field: str, asynchronous: bool, spans: Spans, clients: Clients, without: dict[bool, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Who is talked to, and by which id: one line in the log, every span ended."""
    assert {name for each in PROVIDERS for name in callables(each)} == {"server", "request_id", "requests"}
    other = next(iter(OTHERS))
    monkeypatch.setitem(sys.modules, other, ModuleType(other))  # clients are looked at where one may sit in them
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True)
    for patch in STATE.patches.values():
        broken = failing(patch.provider, field)
        monkeypatch.setattr(patch, "provider", broken)
    assert clients.try_all(cases(), asynchronous) == without[asynchronous]
    assert len(complaints(caplog)) == 1
    assert len(spans.all()) == len(ASKED)


@BOTH
@pytest.mark.parametrize("field", sorted({name for _, endpoint in ENDPOINTS for name in callables(endpoint)}))
def test_a_reader_that_fails_in_the_sdk(
    field: str,
    asynchronous: bool,
    spans: Spans,
    clients: Clients,
    without: dict[bool, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same with the real SDKs: the same objects, the same chunks, the same requests; every span is ended."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True, guardrails=[PII()])
    for patch in STATE.patches.values():
        if isinstance(patch, Patch) and field in callables(patch.endpoint):
            broken = failing(patch.endpoint, field)
            monkeypatch.setattr(patch, "endpoint", broken)
    assert clients.try_all(cases(), asynchronous) == without[asynchronous]
    assert len(spans.all()) == len(ASKED)


@BOTH
@pytest.mark.parametrize(
    ("side", "broken"),
    [("around", fail_around), ("around", fail_after), ("around", fail), ("before", fail), ("after", fail)],
    ids=["around, before", "around, after", "around, at once", "before", "after"],
)
@pytest.mark.parametrize("fails", [False, True], ids=["answer", "error"])
def test_a_hook_that_fails(
    side: str, broken: Any, fails: bool, asynchronous: bool, spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    """Any hook of any SDK, around a function that answers and one that raises: what it gave is what comes out."""
    otel_llm.instrument(tracer_provider=spans.provider)
    scope = STATE.scope
    assert scope is not None
    answer, error = Answer(), KeyError("of the SDK")

    def function(*args: Any) -> Any:
        if fails:
            raise error
        return answer

    async def function_async(*args: Any) -> Any:
        return function()

    for provider, hook in HOOKS:
        patch = HookPatch(
            provider,
            dataclasses.replace(hook, **{"around": None, "before": None, "after": None, side: broken}),
            function_async if asynchronous else function,
            asynchronous,
        )
        patch.scope = scope
        call = Invocation(scope, provider.endpoints[0], None, {})
        place = call.enter()
        try:
            given = patch.method()()
            given = completed(given) if asynchronous else given
        except KeyError as raised:
            given = raised
        finally:
            call.leave(place)
        assert given is (error if fails else answer), hook.module
    assert len(complaints(caplog)) == (0 if fails and side == "after" else 1)


@BOTH
def test_a_hook_that_cannot_tell_its_call(asynchronous: bool, spans: Spans, caplog: pytest.LogCaptureFixture) -> None:
    """``Hook.of`` where no call is in flight."""
    otel_llm.instrument(tracer_provider=spans.provider)
    answer = Answer()

    async def function_async(*args: Any) -> Any:
        return answer

    tried = 0
    for provider, hook in HOOKS:
        if hook.of is None:
            continue
        broken = dataclasses.replace(hook, of=fail)
        patch = HookPatch(provider, broken, function_async if asynchronous else lambda *args: answer, asynchronous)
        patch.scope = STATE.scope
        given = patch.method()()
        assert (completed(given) if asynchronous else given) is answer
        tried += 1
    assert tried
    assert len(complaints(caplog)) == 1
