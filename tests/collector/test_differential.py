"""Random requests of each signal through the sockets: every row against a plain conversion of what was sent.

``OTEL_LLM_DIFFERENTIAL=10000`` says how many requests of each signal; a few hundred otherwise.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.errors import CollectorError
from tests.support import reference, reference_metrics
from tests.support.collector import Handle, send
from tests.support.random_messages import otlp_json
from tests.support.random_otlp import Requests, Sent
from tests.support.rows import differences

from .conftest import Start

REQUESTS = int(os.environ.get("OTEL_LLM_DIFFERENTIAL", "300"))
SENDERS = 8
FLUSHES = 20
PROTOBUF = {"Content-Type": "application/x-protobuf"}
CALL_KEYS = {"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.system"}


class Signal(NamedTuple):
    """How requests of a signal are made, sent and converted."""

    make: Callable[[Requests], Sent]
    service: str
    response: type[Message]
    convert: Callable[[Any], reference.Rows]


SIGNALS = {
    "traces": Signal(Requests.traces, "trace.v1.TraceService", ExportTraceServiceResponse, reference.spans),
    "logs": Signal(Requests.logs, "logs.v1.LogsService", ExportLogsServiceResponse, reference.log_records),
    "metrics": Signal(
        Requests.metrics, "metrics.v1.MetricsService", ExportMetricsServiceResponse, reference_metrics.data_points
    ),
}


class Sender:
    """Sends requests of one signal over every transport in turn, and says how many items were rejected.

    A request that is refused as a whole is ``None``.
    """

    def __init__(self, collector: Handle, name: str) -> None:
        self._url = f"{collector.http}/v1/{name}"
        self._response = SIGNALS[name].response
        self._channel = grpc.insecure_channel(collector.grpc.removeprefix("http://"))
        method = f"/opentelemetry.proto.collector.{SIGNALS[name].service}/Export"
        self._export = self._channel.unary_unary(method)
        self._transports = (self._http, self._gzip, self._grpc, self._grpc_gzip, self._json)

    def close(self) -> None:
        self._channel.close()

    def __call__(self, number: int, sent: Sent) -> int | None:
        return self._transports[number % len(self._transports)](sent)

    def _http(self, sent: Sent) -> int | None:
        return self._post(sent.body, PROTOBUF)

    def _gzip(self, sent: Sent) -> int | None:
        return self._post(gzip.compress(sent.body, 1), {**PROTOBUF, "Content-Encoding": "gzip"})

    def _json(self, sent: Sent) -> int | None:
        if not sent.plain:
            return self._http(sent)
        body = json.dumps(otlp_json(sent.meant)).encode()
        return self._post(body, {"Content-Type": "application/json"})

    def _post(self, body: bytes, headers: dict[str, str]) -> int | None:
        status, _, answer = send("POST", self._url, body, headers)
        assert status in (200, 400), (status, answer)
        if status == 400:
            return None
        if headers["Content-Type"] == "application/json":
            return self._rejected(json_format.Parse(answer, self._response()))
        return self._rejected(self._response.FromString(answer))

    def _grpc(self, sent: Sent) -> int | None:
        return self._call(sent, grpc.Compression.NoCompression)

    def _grpc_gzip(self, sent: Sent) -> int | None:
        return self._call(sent, grpc.Compression.Gzip)

    def _call(self, sent: Sent, compression: grpc.Compression) -> int | None:
        try:
            return self._rejected(self._response.FromString(self._export(sent.body, compression=compression)))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None

    def _rejected(self, response: Any) -> int:
        return sum(value for _, value in response.partial_success.ListFields() if isinstance(value, int))


def accepted(request: Any) -> tuple[Any, int | None]:
    """What the collector takes of a request, and how many items it rejects: spans without valid ids.

    A span that ends before its start is set to end there; what was sent is kept beside it.
    """
    kept = reference.plain(request)
    total = rejected = 0
    for resource_spans in getattr(kept, "resource_spans", ()):
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            total += len(spans)
            for index in reversed(range(len(spans))):
                if not _identified(spans[index]):
                    del spans[index]
                    rejected += 1
            for span in spans:
                if span.end_time_unix_nano < span.start_time_unix_nano:
                    sent = span.attributes.add(key="otel_llm.clock.end_time_unix_nano")
                    sent.value.string_value = str(span.end_time_unix_nano)
                    span.end_time_unix_nano = span.start_time_unix_nano
    return kept, None if rejected and rejected == total else rejected


def _identified(span: Any) -> bool:
    return bool(reference.identity(span.trace_id, 16) and reference.identity(span.span_id, 8))


@pytest.mark.parametrize("name", SIGNALS)
def test_what_is_stored_is_what_was_sent(start: Start, tmp_path: Path, name: str) -> None:
    """Nothing missing, extra or different, over HTTP, gRPC and JSON, plain and compressed."""
    signal = SIGNALS[name]
    collector = start(tmp_path / "data")
    sender = Sender(collector, name)
    answers: list[int | None] = []
    sent: list[Sent] = []
    for nested in (False, True):  # a segment with one nested value goes another way than one without
        requests = Requests(seed=int(nested), now=time.time_ns(), nested=nested)
        new = {request.body: request for request in (signal.make(requests) for _ in range(REQUESTS // 2))}
        with ThreadPoolExecutor(SENDERS) as pool:
            answers += pool.map(sender, range(len(new)), new.values())
        sent += new.values()
        _flush(collector)
    sender.close()
    assert collector.stop() == 0

    expected: reference.Rows = {}
    for request, answer in zip(sent, answers, strict=True):
        kept, rejected = accepted(request.meant)
        assert answer == rejected
        for table, rows in signal.convert(kept).items():
            expected.setdefault(table, []).extend(rows)
    assert sum(map(len, expected.values())) > REQUESTS
    store = Store(f"chdb://{tmp_path / 'data' / 'store'}")
    try:
        assert differences(store, expected) == []
        if name == "traces":
            assert _made_of(store) == _to_be_made_of(expected["otel_traces"])
    finally:
        store.close()


def _flush(collector: Handle) -> None:
    """Wait until everything is in the store, however slow the machine is."""
    for _ in range(FLUSHES):
        with contextlib.suppress(CollectorError):
            collector.flush()
            return
    raise AssertionError(f"The store does not take everything: {collector.status()}")


def _made_of(store: Store) -> dict[str, int]:
    """What the views have made of the spans."""
    (row,) = store.rows(
        "SELECT (SELECT count() FROM llm_calls) AS calls, (SELECT sum(calls) FROM llm_calls_hourly) AS summed, "
        "(SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts) AS traces"
    )
    return row


def _to_be_made_of(spans: list[reference.Row]) -> dict[str, int]:
    calls = sum(any(key in CALL_KEYS for key, _ in span["SpanAttributes"]) for span in spans)
    return {"calls": calls, "summed": calls, "traces": len({span["TraceId"] for span in spans})}
