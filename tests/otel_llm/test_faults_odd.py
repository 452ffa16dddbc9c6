"""Odd requests and odd answers by the hundred: whatever a caller or a provider says, a call gives the same with us."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import pytest

import otel_llm
from otel_llm.guardrails import PII
from tests.conftest import Spans
from tests.support import odd
from tests.support.inprocess import ASKED, Ask, Clients, Wire

BOTH = pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])

#: Calls of each kind.
REQUESTS, ANSWERS = 40, 25

#: Parameters that are not among those of every call.
MORE = {
    "openai": (
        "response_format", "seed", "user", "stop", "n", "logprobs", "modalities", "service_tier", "extra_body",
        "extra_headers", "tool_choice", "text", "previous_response_id", "truncation", "background", "unheard_of",
    ),
    "google": ("config", "unheard_of"),
}  # fmt: skip


@pytest.fixture(scope="module")
def clients() -> Clients:
    """Both SDKs, answered in this process."""
    return Clients(Wire())


@pytest.fixture(autouse=True)
def unaltered(clients: Clients) -> Iterator[None]:
    """Answers are as they were recorded."""
    yield
    clients.wire.altered = None


def requests(name: str) -> Iterator[tuple[Ask, dict[str, Any]]]:
    """Odd requests of one kind, made afresh, one when it is its turn."""
    ask = ASKED[name]
    for seed in range(REQUESTS):
        yield ask, odd.request(seed, ask.kwargs, MORE[ask.client])


def answered(clients: Clients, name: str) -> Iterator[tuple[Ask, dict[str, Any]]]:
    """The same request, each time with another odd answer to it."""
    ask = ASKED[name]
    for seed in range(ANSWERS):
        clients.wire.altered = functools.partial(odd.response, seed)
        yield ask, ask.kwargs


def instrumented(spans: Spans) -> None:
    """Everything is read: parameters, content, texts for guardrails."""
    otel_llm.instrument(tracer_provider=spans.provider, capture_content=True, guardrails=[PII()])


def differing(without: list[Any], given: list[Any]) -> list[Any]:
    """What is not the same, by the seed."""
    pairs = zip(without, given, strict=True)
    return [(seed, *both) for seed, both in enumerate(pairs) if both[0] != both[1]]


@BOTH
@pytest.mark.parametrize("name", ASKED)
def test_odd_requests(name: str, asynchronous: bool, spans: Spans, clients: Clients) -> None:
    """The same answer or error, the same request to the provider, and arguments neither changed nor used up."""
    without = clients.try_all(requests(name), asynchronous)
    instrumented(spans)
    assert differing(without, clients.try_all(requests(name), asynchronous)) == []
    assert len(spans.all()) == REQUESTS
    assert len({str(each[2]) for each in without}) > 3


@BOTH
@pytest.mark.parametrize("name", ASKED)
def test_odd_answers(name: str, asynchronous: bool, spans: Spans, clients: Clients) -> None:
    """The same objects, the same chunks, the same error where the SDK cannot read it, and a span for each call."""
    without = clients.try_all(answered(clients, name), asynchronous)
    instrumented(spans)
    assert differing(without, clients.try_all(answered(clients, name), asynchronous)) == []
    assert len(spans.all()) == ANSWERS
