"""Senders that never stop, for tests that kill the collector; and whether everything acknowledged is stored once."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_llm_collector.errors import CollectorError
from otel_llm_collector.signals import METRIC_KINDS

from .collector import Handle
from .otlp import START, attributes, body, span, value

ITEMS = 20
"""Spans, log records or data points of a request: a multiple of the kinds of metric."""
SENDERS = 4
SIGNALS = ("traces", "logs", "metrics")
_HOURS = 800
_TABLES = {
    "otel_traces": ("traces", "SpanAttributes"),
    "llm_calls": ("traces", "attributes"),
    "otel_logs": ("logs", "LogAttributes"),
    **{f"otel_metrics_{kind}": ("metrics", "Attributes") for kind in METRIC_KINDS},
}


class Load:
    """Senders as exporters are: what was not acknowledged is sent again, byte by byte the same."""

    def __init__(self) -> None:
        self.acknowledged: Counter[str] = Counter()
        """Items, by signal."""
        self.sent_again = 0
        self.refused = 0
        """Answers that asked to try again."""
        self.failures: list[str] = []
        """Answers that there should not be."""
        self._numbers = dict.fromkeys(SIGNALS, 0)
        self._begun = 0
        self._again: deque[tuple[str, bytes]] = deque()
        self._lock = threading.Lock()
        self._url: str | None = None
        self._ending = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(SENDERS)]
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

    def problems(self, collector: Handle) -> list[str]:
        """What is missing, or there twice, in any table; empty when nothing is. All must be acknowledged."""
        _flush(collector)
        found = list(self.failures)
        for table, (signal, column) in _TABLES.items():
            (row,) = collector.query(
                f"SELECT count() AS rows, uniqExact({column}['id']) AS items, "
                f"sum(toUInt64OrZero({column}['n'])) AS numbers FROM {table}"
            )
            share = len(METRIC_KINDS) if signal == "metrics" else 1
            items, last = self.acknowledged[signal] // share, self._numbers[signal]
            expected = {"rows": items, "items": items, "numbers": last * (last + 1) // 2 * ITEMS // share}
            if {name: int(number) for name, number in row.items()} != expected:
                found.append(f"{table} has {row} instead of {expected}")
        (row,) = collector.query(
            "SELECT sum(calls) AS calls, toUInt64(round(sum(duration_s))) AS seconds FROM llm_calls_hourly"
        )
        calls = self.acknowledged["traces"]
        if (int(row["calls"]), int(row["seconds"])) != (calls, calls):
            found.append(f"llm_calls_hourly has {row} instead of {calls} calls")
        (row,) = collector.query(
            "SELECT countIf(mapContains(SpanAttributes, 'nested')) AS sent, "
            "countIf(SpanAttributes['nested'] = concat('{\"list\":[[', SpanAttributes['n'], ']]}')) AS right "
            "FROM otel_traces"
        )
        nested = self._numbers["traces"] // 10 * ITEMS
        if (int(row["sent"]), int(row["right"])) != (nested, nested):
            found.append(f"nested values: {row} instead of {nested}")
        return found

    def _next(self) -> tuple[str, bytes] | None:
        with self._lock:
            if self._again:
                self.sent_again += 1
                return self._again.popleft()
            if self._ending:
                return None
            signal = SIGNALS[self._begun % len(SIGNALS)]
            self._begun += 1
            self._numbers[signal] += 1
            number = self._numbers[signal]
        return signal, _REQUESTS[signal](number)

    def _work(self) -> None:
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
                    status, said = _post(connection, *sent)
                except (OSError, HTTPException):
                    connection.close()
                    connection = None
                    with self._lock:
                        self._again.append(sent)
                    break
                if status == 503:
                    self.refused += 1
                    time.sleep(0.02)
                    continue
                with self._lock:
                    if status == 200:
                        self.acknowledged[sent[0]] += ITEMS
                    else:
                        self.failures.append(f"{sent[0]}: {status} {said!r}")
                break
        if connection is not None:
            connection.close()


def _flush(collector: Handle) -> None:
    """Wait until everything is in the store, longer than one flush does: small segments are slow to insert."""
    while True:
        try:
            collector.flush()
        except CollectorError:
            status = collector.status()
            assert not status["problems"], status["problems"]
            continue
        return


def _post(connection: HTTPConnection, signal: str, sent: bytes) -> tuple[int, bytes]:
    connection.request("POST", f"/v1/{signal}", sent, {"Content-Type": "application/x-protobuf"})
    response = connection.getresponse()
    return response.status, response.read()


def _time(number: int) -> int:
    """Spread over many hours, and so over partitions and rows of the roll-up."""
    return START + number % (_HOURS * 60) * 60_000_000_000


def _traces(number: int) -> bytes:
    nested = {"nested": {"list": [[number]]}} if number % 10 == 0 else {}
    return body(
        *(
            span(
                {
                    "gen_ai.operation.name": "chat",
                    "gen_ai.request.model": f"m{each}",
                    "text": "x" * 500,
                    "id": f"{number}.{each}",
                    "n": number,
                    **nested,
                },
                start_time_unix_nano=_time(number),
                end_time_unix_nano=_time(number) + 1_000_000_000,
            )
            for each in range(ITEMS)
        ),
        service=f"service{number % 3}",
    )


def _logs(number: int) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for each in range(ITEMS):
        pairs = {"id": f"{number}.{each}", "n": number, **({"nested": {"a": [number]}} if number % 10 == 0 else {})}
        record = LogRecord(time_unix_nano=_time(number), body=value("x" * 200), attributes=attributes(pairs))
        scope.log_records.append(record)
    encoded: bytes = request.SerializeToString()
    return encoded


def _metrics(number: int) -> bytes:
    request = ExportMetricsServiceRequest()
    scope = request.resource_metrics.add().scope_metrics.add()
    for kind in METRIC_KINDS:
        data: Any = getattr(scope.metrics.add(name=kind), kind)
        for each in range(ITEMS // len(METRIC_KINDS)):
            pairs = attributes({"id": f"{number}.{each}", "n": number})
            data.data_points.add(time_unix_nano=_time(number), attributes=pairs)
    encoded: bytes = request.SerializeToString()
    return encoded


_REQUESTS = {"traces": _traces, "logs": _logs, "metrics": _metrics}
