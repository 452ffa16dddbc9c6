"""kill -9 under load: every acknowledged span is there, and exactly once."""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tests.collector.conftest import Start
from tests.support.collector import Handle, launch
from tests.support.otlp import START, body, span

KILLS = 20
SPANS = 20
SENDERS = 4


class Load:
    """Senders that never stop, as exporters are: what was not acknowledged is sent again, byte by byte the same."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.sent_again = 0
        self._batches = 0
        self._again: deque[bytes] = deque()
        self._lock = threading.Lock()
        self._url: str | None = None
        self._ending = False
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def point_at(self, url: str | None) -> None:
        """Send there; nowhere, while the collector is down."""
        self._url = url

    def finish(self) -> None:
        """Begin nothing new, and return when everything that was begun is acknowledged."""
        self._ending = True
        for thread in self._threads:
            thread.join()

    def _next(self) -> bytes | None:
        with self._lock:
            if self._again:
                self.sent_again += 1
                return self._again.popleft()
            if self._ending:
                return None
            self._batches += 1
            number = self._batches
        nested = {"nested": {"list": [[number]]}} if number % 10 == 0 else {}
        return body(
            *(
                span(
                    {"gen_ai.operation.name": "chat", "gen_ai.request.model": f"m{n}", "text": "x" * 500, **nested},
                    start_time_unix_nano=(start := START + number * 60_000_000_000),
                    end_time_unix_nano=start + 1_000_000_000,
                )
                for n in range(SPANS)
            ),
            service=f"service{number % 3}",
        )

    def _send(self) -> None:
        connection: HTTPConnection | None = None
        to: str | None = None
        while (sent := self._next()) is not None:
            while True:
                if (url := self._url) is None:
                    time.sleep(0.005)
                    continue
                if connection is None or to != url:
                    if connection is not None:
                        connection.close()
                    connection, to = HTTPConnection(urlsplit(url).netloc, timeout=30), url
                try:
                    connection.request("POST", "/v1/traces", sent, {"Content-Type": "application/x-protobuf"})
                    response = connection.getresponse()
                    response.read()
                except (OSError, HTTPException):
                    connection.close()
                    connection = None
                    with self._lock:
                        self._again.append(sent)
                    break
                if response.status == 200:
                    with self._lock:
                        self.acknowledged += SPANS
                    break
                assert response.status == 503
        if connection is not None:
            connection.close()


def _check(collector: Handle, expected: int) -> None:
    assert collector.query("SELECT count() AS rows, uniqExact(SpanId) AS spans FROM otel_traces") == [
        {"rows": expected, "spans": expected}
    ]
    assert collector.query("SELECT count() AS rows, uniqExact(span_id) AS spans FROM llm_calls") == [
        {"rows": expected, "spans": expected}
    ]
    assert collector.query("SELECT sum(calls) AS calls, round(sum(duration_s)) AS seconds FROM llm_calls_hourly") == [
        {"calls": expected, "seconds": expected}
    ]
    (nested,) = collector.query(
        """SELECT countIf(mapContains(SpanAttributes, 'nested')) AS sent,
                  countIf(match(SpanAttributes['nested'], '^{"list":\\[\\[[0-9]+\\]\\]}$')) AS right
           FROM otel_traces"""
    )
    assert nested["sent"] == nested["right"] > 0


def test_killed_twenty_times_under_load(tmp_path: Path, start: Start) -> None:
    """At random moments: while it receives, writes, inserts, replays and starts."""
    chance = random.Random()
    seed = chance.randrange(2**32)
    chance.seed(seed)
    load = Load()
    replayed = 0
    try:
        for kill in range(KILLS):
            if kill % 5 == 4:  # while it starts, and replays what the last one left
                process = launch(tmp_path, segment_age_s=0.1)
                time.sleep(chance.uniform(0.3, 1.2))
                process.kill()
                process.communicate()
                continue
            collector = start(tmp_path, segment_age_s=0.1)
            replayed += collector.status()["replayed_segments"]
            load.point_at(collector.http)
            time.sleep(chance.uniform(0.05, 1.0))
            collector.kill()
            load.point_at(None)
        collector = start(tmp_path)
        load.point_at(collector.http)
    finally:
        load.finish()
    collector.flush()
    try:
        assert load.acknowledged > 1000, f"seed {seed}"
        assert replayed > 0, f"seed {seed}"
        _check(collector, load.acknowledged)
    finally:
        assert collector.stop() == 0
    print(
        f"seed {seed}: {load.acknowledged} spans, {replayed} segments replayed, {load.sent_again} requests sent again"
    )
