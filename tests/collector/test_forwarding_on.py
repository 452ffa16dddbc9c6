"""Collectors that forward: to another one of ours, over crashes, and beside the store."""

from __future__ import annotations

import random
import threading
from pathlib import Path
from typing import Any

from tests.collector.conftest import Start
from tests.support.collector import Handle, send
from tests.support.endpoint import HttpEndpoint, Said, free_port
from tests.support.otlp import body, span
from tests.support.sending import until

PROTOBUF = {"Content-Type": "application/x-protobuf"}
CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
SPANS = 10


def _send(collector: Handle, *bodies: bytes) -> None:
    for sent in bodies:
        assert send("POST", f"{collector.http}/v1/traces", sent, PROTOBUF)[0] == 200


def _bodies(count: int, size: int = 10) -> list[bytes]:
    return [body(*(span({**CALL, "text": "x" * size}) for _ in range(SPANS))) for _ in range(count)]


def _all_sent(collector: Handle) -> list[dict[str, Any]]:
    """The status of every endpoint, once nothing waits for any."""
    return until(
        lambda: collector.status()["forwarding"], lambda all_: not any(one["segments_waiting"] for one in all_)
    )


def _stored(collector: Handle) -> dict[str, int]:
    collector.flush()
    (row,) = collector.query(
        "SELECT count() AS rows, uniqExact(SpanId) AS spans, (SELECT count() FROM llm_calls) AS calls, "
        "(SELECT sum(calls) FROM llm_calls_hourly) AS summed FROM otel_traces"
    )
    return row


def _once(spans: int) -> dict[str, int]:
    return {"rows": spans, "spans": spans, "calls": spans, "summed": spans}


def test_killed_on_either_side_everything_is_there_once(tmp_path: Path, start: Start) -> None:
    """The one that sends and the one that takes, in the middle of it."""
    chance = random.Random()
    seed = chance.randrange(2**32)
    chance.seed(seed)
    port = free_port()
    forward = [{"url": f"http://127.0.0.1:{port}"}]
    second = start(tmp_path / "second", segment_age_s=0.1, http_port=port)
    first = start(tmp_path / "first", segment_age_s=0.05, forward=forward)
    sent = 0
    for kill in range(2):
        bodies = _bodies(chance.randrange(20, 40), 20_000)
        _send(first, *bodies)
        sent += len(bodies) * SPANS
        if kill % 2 == 0:
            first.kill()
            first = start(tmp_path / "first", segment_age_s=0.05, forward=forward)
        else:
            second.kill()
            second = start(tmp_path / "second", segment_age_s=0.1, http_port=port)
    first.flush()
    (status,) = _all_sent(first)
    assert status["given_up"] == {}, f"seed {seed}"
    assert _stored(first) == _once(sent), f"seed {seed}"
    assert _stored(second) == _once(sent), f"seed {seed}"
    assert first.stop() == second.stop() == 0


def test_an_endpoint_that_is_down_delays_neither_the_store_nor_another(tmp_path: Path, start: Start) -> None:
    """One is away, one hangs, one takes everything; a stop does not wait for them either."""
    release = threading.Event()
    hanging, other = HttpEndpoint(*(Said(before=release.wait) for _ in range(9))), HttpEndpoint()
    urls = [f"http://127.0.0.1:{free_port()}", hanging.url, other.url]
    try:
        collector = start(tmp_path, segment_age_s=0.05, forward=[{"url": url} for url in urls])
        bodies = _bodies(5)
        _send(collector, *bodies)
        assert _stored(collector) == _once(5 * SPANS)
        other.wait(lambda: b"".join(sent.body for sent in other.taken) == b"".join(bodies))
        assert hanging.sent
        status = collector.status()
        assert status["problems"] == []
        assert [one["url"] for one in status["forwarding"]] == urls
        assert [one["segments_waiting"] > 0 for one in status["forwarding"][:2]] == [True, True]
        assert collector.stop() == 0
    finally:
        release.set()
        hanging.close()
        other.close()
    assert not list(tmp_path.glob("log/traces/*.seg"))
    assert len(list(tmp_path.glob("log/forward/*/traces/*.seg"))) >= 2


def test_a_stop_sends_what_the_endpoint_takes(tmp_path: Path, start: Start, collector: Handle, service: str) -> None:
    """Segments that are neither large nor old too; here to another collector, over gRPC."""
    first = start(tmp_path, segment_age_s=3600, forward=[{"url": collector.grpc.replace("http:", "grpc:")}])
    _send(first, *(body(*(span(CALL) for _ in range(SPANS)), service=service) for _ in range(20)))
    where = f"FROM otel_traces WHERE ServiceName = '{service}'"
    assert collector.query(f"SELECT count() AS n {where}") == [{"n": 0}]
    assert first.stop() == 0
    assert not list(tmp_path.rglob("*.seg"))
    collector.flush()
    assert collector.query(f"SELECT count() AS n, uniqExact(SpanId) AS spans {where}") == [{"n": 200, "spans": 200}]
