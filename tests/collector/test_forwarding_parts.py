"""Requests that are refused: what can be accepted of them is found and sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from otel_llm_collector.settings import Forward
from tests.support.endpoint import Endpoint, GrpcEndpoint, HttpEndpoint, Said, Sent
from tests.support.otlp import body, span
from tests.support.sending import Sending

LIMIT = 20_000
INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
Serve = Callable[..., Endpoint]


@pytest.fixture(params=[HttpEndpoint, GrpcEndpoint], ids=["http", "grpc"])
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Makes endpoints that answer by a rule, of either kind."""
    endpoints: list[Endpoint] = []

    def make(rule: Callable[[Sent], Said]) -> Endpoint:
        endpoints.append(request.param(rule=rule))
        return endpoints[-1]

    yield make
    for endpoint in endpoints:
        endpoint.close()


def _bodies(count: int, text: str = "x" * 3700) -> list[bytes]:
    return [body(span({"text": text})) for _ in range(count)]


def _taken(endpoint: Endpoint) -> bytes:
    return b"".join(sent.body for sent in endpoint.taken)


def _limited(sent: Sent) -> Said:
    return Said(413, code=EXHAUSTED) if len(sent.body) > LIMIT else Said()


def test_one_bad_record_spoils_no_other(tmp_path: Path, serve: Serve) -> None:
    """Whoever sent it, and wherever it stands; the others arrive in order."""
    endpoint = serve(lambda sent: Said(400, code=INVALID) if b"poison" in sent.body else Said())
    bodies, bad = _bodies(20), _bodies(1, "poison")
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*bodies[:13], *bad, *bodies[13:], items=2)
        said = sending.wait(lambda said: not said["segments_waiting"])
    assert _taken(endpoint) == b"".join(bodies)
    assert list(said["given_up"].values()) == [2]
    assert (said["items"], said["last_error"]) == (40, "")
    assert len(endpoint.sent) < 12, "halves, not records one by one"


def test_an_endpoint_gets_requests_of_a_size_that_it_takes(tmp_path: Path, serve: Serve) -> None:
    """And the next ones at once, where they were too large."""
    endpoint = serve(_limited)
    bodies, later, large = _bodies(20), _bodies(20), _bodies(1, "x" * LIMIT)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*bodies)
        said = sending.wait(lambda said: not said["segments_waiting"])
        refused = len(endpoint.sent) - len(endpoint.taken)
        assert (said["given_up"], said["failures"]) == ({}, refused)
        sending.put(*later, *large, items=2)
        said = sending.wait(lambda said: not said["segments_waiting"])
    assert _taken(endpoint) == b"".join((*bodies, *later))
    assert len(endpoint.taken) < 20, "not record by record either"
    assert len(endpoint.sent) - len(endpoint.taken) == refused + 1
    assert list(said["given_up"].values()) == [2]


def test_what_is_through_of_a_divided_request_stays_through(tmp_path: Path, serve: Serve) -> None:
    """In the next run, which has not heard of any limit."""
    bodies = _bodies(16)
    busy = Said(503, {"Retry-After": "3000"}, code=grpc.StatusCode.UNAVAILABLE)
    before: list[Sent] = []
    endpoint = serve(lambda sent: busy if not before and len(endpoint.taken) == 3 else _limited(sent))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*bodies)
        sending.wait(lambda said: said["last_error"].startswith(("HTTP 503", "UNAVAILABLE")))
    before += endpoint.sent
    assert b"".join(bodies).startswith(_taken(endpoint) + before[-1].body)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.wait(lambda said: not said["segments_waiting"])
    assert _taken(endpoint) == b"".join(bodies)
    assert before[-1].body in [sent.body for sent in endpoint.taken], "byte by byte the same again"


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415, 501])
def test_who_takes_nothing_is_not_asked_for_every_part(tmp_path: Path, status: int) -> None:
    """A wrong password is no better for half of a request."""
    endpoint = HttpEndpoint(rule=lambda _: Said(status))
    try:
        with Sending(tmp_path, Forward(endpoint.url)) as sending:
            sending.put(*_bodies(20))
            said = sending.wait(lambda said: not said["segments_waiting"])
    finally:
        endpoint.close()
    assert said["given_up"] == {f"HTTP {status}": 20}
    assert len(endpoint.sent) == 1
