"""Sending through an outage, and what is in the store after it."""

from __future__ import annotations

import time
from collections.abc import Callable

from .collector import Handle, get, send
from .otlp import body, span

PROTOBUF = {"Content-Type": "application/x-protobuf"}
_CALL = {"gen_ai.operation.name": "chat"}
_WAIT_S = 120


def export(url: str, *bodies: bytes) -> list[int]:
    """Send requests of traces; the statuses that they are answered with."""
    return [send("POST", f"{url}/v1/traces", sent, PROTOBUF)[0] for sent in bodies]


def calls(requests: int, spans: int = 1) -> list[bytes]:
    """So many requests, each with so many model calls."""
    return [body(*(span(_CALL) for _ in range(spans))) for _ in range(requests)]


def stored(collector: Handle) -> dict[str, int]:
    """How much there is in the tables, once everything acknowledged is there."""
    collector.flush()
    (row,) = collector.query(
        "SELECT count() AS spans, (SELECT count() FROM llm_calls) AS calls, "
        "(SELECT sum(calls) FROM llm_calls_hourly) AS summed FROM otel_traces"
    )
    return row


def each(count: int) -> dict[str, int]:
    """What ``stored`` says when there are so many calls, each once."""
    return {"spans": count, "calls": count, "summed": count}


def reasons(api: str) -> str:
    """Why it is not ready; empty when it is."""
    code, text = get(api + "/readyz")
    assert (code == 200) == (text == b"ok\n")
    return "" if code == 200 else text.decode()


def until(true: Callable[[], object]) -> None:
    """Wait until it is."""
    deadline = time.monotonic() + _WAIT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
