"""What waits to be forwarded: kept over restarts, bounded, and past what is damaged."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_llm_collector.forwarding import lane
from otel_llm_collector.settings import Forward
from otel_llm_collector.signals import LOGS
from tests.support.endpoint import GrpcEndpoint, HttpEndpoint, Said, free_port
from tests.support.otlp import body, span
from tests.support.sending import Sending

Open = Callable[..., HttpEndpoint]
LOG_BODY = b"\x0a\x02\x12\x00"


@pytest.fixture
def http() -> Iterator[Open]:
    """Makes endpoints that answer what they are told to, and closes them."""
    endpoints: list[HttpEndpoint] = []

    def serve(*answers: Said, port: int = 0) -> HttpEndpoint:
        endpoints.append(HttpEndpoint(*answers, port=port))
        return endpoints[-1]

    yield serve
    for endpoint in endpoints:
        endpoint.close()


def _bodies(count: int, size: int = 10) -> list[bytes]:
    return [body(span({"text": "x" * size})) for _ in range(count)]


def test_the_next_run_goes_on_where_this_one_was(tmp_path: Path, http: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a segment too: what was accepted is not sent again."""
    monkeypatch.setattr(lane, "REQUEST_BYTES", 1000)
    endpoint = http(Said(), Said(), Said(503, {"Retry-After": "3000"}))
    bodies = _bodies(10, 600)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*bodies)
        sending.wait(lambda said: said["failures"] == 1)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        assert sending.status()["segments_waiting"] == 1
        sending.wait(lambda said: not said["segments_waiting"])
    assert [sent.body for sent in endpoint.taken] == bodies


@pytest.mark.parametrize("damage", ["torn", "flipped", "gone"])
def test_a_position_that_is_damaged_costs_a_resend(
    tmp_path: Path, http: Open, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """From the start of the segment, with the same requests; never a loss."""
    monkeypatch.setattr(lane, "REQUEST_BYTES", 1000)
    endpoint = http(Said(), Said(), Said(503, {"Retry-After": "3000"}))
    bodies = _bodies(5, 600)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*bodies)
        sending.wait(lambda said: said["failures"] == 1)
    (position,) = tmp_path.glob("log/forward/*/traces/position")
    match damage:
        case "torn":
            os.truncate(position, position.stat().st_size - 3)
        case "flipped":
            data = bytearray(position.read_bytes())
            data[20] ^= 1
            position.write_bytes(data)
        case _:
            position.unlink()
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.wait(lambda said: not said["segments_waiting"])
    assert [sent.body for sent in endpoint.taken] == [*bodies[:2], *bodies]


def test_damage_does_not_keep_the_rest(tmp_path: Path, http: Open) -> None:
    """A flipped record and a torn tail are left out; records on either side arrive."""
    port = free_port()
    bodies = _bodies(5, 200)
    with Sending(tmp_path, Forward(f"http://127.0.0.1:{port}")) as sending:
        sending.put(*bodies)
    (path,) = sending.left
    data = bytearray(path.read_bytes())
    data[data.index(bodies[1]) + 50] ^= 1
    path.write_bytes(data[:-5])
    endpoint = http(port=port)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        said = sending.wait(lambda said: not said["segments_waiting"])
    assert [sent.body for sent in endpoint.taken] == [bodies[0] + bodies[2] + bodies[3]]
    assert said["given_up"] == {"damaged": 1}, "a place, and nobody was promised what is torn"


def test_damage_is_counted_in_items(tmp_path: Path, http: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Where this run wrote them: of a record that flipped, and of a segment that is gone."""
    release = threading.Event()
    endpoint = http(Said(before=release.wait))
    bodies = _bodies(4, 200)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(bodies[0])
        endpoint.wait(lambda: len(endpoint.sent) == 1)
        sending.put(bodies[1], bodies[2], items=3)
        sending.put(bodies[3], items=5)
        _, flipped, gone = sending.left
        data = bytearray(flipped.read_bytes())
        data[data.index(bodies[1]) + 50] ^= 1
        flipped.write_bytes(data)
        gone.unlink()
        release.set()
        said = sending.wait(lambda said: not said["segments_waiting"])
    assert [sent.body for sent in endpoint.taken] == [bodies[0], bodies[2]]
    assert said["given_up"] == {"damaged": 8}
    assert "is missing or damaged: 3 spans in it are not sent" in caplog.text


def test_a_backlog_is_bounded(tmp_path: Path, http: Open, caplog: pytest.LogCaptureFixture) -> None:
    """The oldest is given up, counted and said; the newest arrives."""
    port = free_port()
    bodies = _bodies(10, 5000)
    forward = Forward(f"http://127.0.0.1:{port}", backlog_bytes=4 * 8192)
    with Sending(tmp_path, forward) as sending:
        for sent in bodies:
            sending.put(sent, items=3)
        said = sending.wait(lambda said: said["given_up"].get("backlog") == 18)
        assert (said["segments_waiting"], said["bytes_waiting"]) == (4, 4 * 8192)
        assert len(sending.left) == 4
        endpoint = http(port=port)
        endpoint.wait(lambda: len(endpoint.taken) == 4)
    assert [sent.body for sent in endpoint.taken] == bodies[6:]
    assert "has not taken 3 spans in time" in caplog.text


@pytest.mark.parametrize("kind", [HttpEndpoint, GrpcEndpoint])
def test_a_backlog_is_bounded_while_an_answer_is_waited_for(
    tmp_path: Path, kind: type[HttpEndpoint | GrpcEndpoint]
) -> None:
    """What is being sent is not given up; the next oldest are."""
    release = threading.Event()
    endpoint = kind(Said(before=release.wait))
    bodies = _bodies(10, 5000)
    try:
        with Sending(tmp_path, Forward(endpoint.url, backlog_bytes=4 * 8192)) as sending:
            sending.put(bodies[0], items=3)
            endpoint.wait(lambda: len(endpoint.sent) == 1)
            for sent in bodies[1:]:
                sending.put(sent, items=3)
            said = sending.wait(lambda said: said["given_up"].get("backlog") == 18)
            assert (said["segments_waiting"], said["requests"] + said["failures"]) == (4, 0)
            release.set()
            sending.wait(lambda said: not said["segments_waiting"])
    finally:
        release.set()
        endpoint.close()
    assert [sent.body for sent in endpoint.taken] == [bodies[0], *bodies[7:]]


def test_a_backlog_of_an_earlier_run_is_bounded_too(tmp_path: Path) -> None:
    """Its items are counted as well."""
    url = f"http://127.0.0.1:{free_port()}"
    with Sending(tmp_path, Forward(url)) as sending:
        for sent in _bodies(3, 5000):
            sending.put(sent, items=4)
    with Sending(tmp_path, Forward(url, backlog_bytes=8192)) as sending:
        sending.wait(lambda said: said["given_up"].get("backlog") == 8)


def test_an_endpoint_that_is_no_longer_named_is_forgotten(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its folder goes, and the log says how much was not sent; so does that of a single signal."""
    first, second = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    with Sending(tmp_path, Forward(first), Forward(second)) as sending:
        for sent in _bodies(3):
            sending.put(sent)
        sending.put(LOG_BODY, signal=LOGS)
    with Sending(tmp_path, Forward(second, signals=("logs",))) as sending:
        assert [path.parent.name for path in sending.left] == ["logs"]
    assert caplog.text.count("3 segments of traces are not sent") == 2
    assert "1 segments of logs are not sent" in caplog.text
    assert len(list(tmp_path.glob("log/forward/*"))) == 1
