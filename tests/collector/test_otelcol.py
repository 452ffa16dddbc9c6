"""The official Collector in front of ClickHouse, with the configuration that we ship: it fills our tables.

Its binary is built by ``tools/otelcol.py``; without it these tests are skipped. The server is the stand-in's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Observation
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from benchmarks.support import otelcol
from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from tests.support.clickhouse import PASSWORD, ClickHouse
from tests.support.collector import send
from tests.support.otlp import START, body, span

CONFIGURATION = Path(__file__).parents[2] / "collector" / "otelcol.yaml"
CALL = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-x", "gen_ai.usage.input_tokens": 3}
PATIENCE_S = 60.0
_COUNTS = """
SELECT (SELECT count() FROM otel_traces) AS spans, (SELECT uniqExact(TraceId) FROM otel_traces_trace_id_ts) AS traces,
       (SELECT count() FROM llm_calls) AS calls, (SELECT sum(input_tokens) FROM llm_calls_hourly) AS tokens
"""

try:
    otelcol.binary()
    reason = ""
except otelcol.Unavailable as error:
    reason = str(error)
pytestmark = pytest.mark.skipif(bool(reason), reason=reason)


@pytest.fixture
def store(server: ClickHouse) -> Iterator[Store]:
    """The server's tables, made by us."""
    store = Store(server.url)
    migrations.migrate(store)
    yield store
    store.close()


@pytest.fixture
def official(tmp_path: Path, server: ClickHouse) -> Iterator[otelcol.Otelcol]:
    """An official Collector in front of the server, not started yet."""
    collector = otelcol.Otelcol(
        CONFIGURATION,
        tmp_path / "otelcol.log",
        (
            "extensions::health_check::endpoint=127.0.0.1:0",
            "service::telemetry::metrics::level=none",
            "service::telemetry::metrics::readers=[]",
            "exporters::clickhouse::retry_on_failure::max_interval=1s",
        ),
        {
            "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{server.port}",
            "CLICKHOUSE_USER": "default",
            "CLICKHOUSE_PASSWORD": PASSWORD,
            "OTELCOL_QUEUE": str(tmp_path / "queue"),
        },
    )
    yield collector
    collector.stop()


def _until(found: Callable[[], Any], wanted: Any) -> None:
    """Wait for an answer; the last one is in the error when it does not come."""
    deadline = time.monotonic() + PATIENCE_S
    while (answer := found()) != wanted and time.monotonic() < deadline:
        time.sleep(0.1)
    assert answer == wanted


def _counts(store: Store) -> dict[str, int]:
    return store.rows(_COUNTS)[0]


def _send(official: otelcol.Otelcol, number: int) -> None:
    spans = body(*(span(CALL) for _ in range(number)))
    assert send("POST", f"{official.http}/v1/traces", spans, {"Content-Type": "application/x-protobuf"})[0] == 200


def test_spans_reach_the_calls_and_their_sums(store: Store, official: otelcol.Otelcol) -> None:
    """From the SDK through the official exporter's insert to the tables that our views make."""
    official.start()
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{official.http}/v1/traces")))
    with provider.get_tracer("scope").start_as_current_span("request") as parent:
        parent.add_event("thing", {"a": 1})
        with provider.get_tracer("scope").start_as_current_span("chat gpt-x", attributes=CALL):
            pass
    provider.shutdown()
    _until(lambda: _counts(store), {"spans": 2, "traces": 1, "calls": 1, "tokens": 3})
    (call,) = store.rows("SELECT service_name, request_model, input_tokens, span_name FROM llm_calls")
    assert call == {"service_name": "shop", "request_model": "gpt-x", "input_tokens": 3, "span_name": "chat gpt-x"}
    assert store.rows("SELECT `Events.Name` AS e FROM otel_traces WHERE SpanName = 'request'") == [{"e": ["thing"]}]


def test_logs_and_metrics_of_every_kind_are_stored(store: Store, official: otelcol.Otelcol) -> None:
    """Each in the table that is its own."""
    official.start()
    resource = Resource.create({"service.name": "shop"})
    logs = LoggerProvider(resource=resource, shutdown_on_exit=False)
    logs.add_log_record_processor(SimpleLogRecordProcessor(OTLPLogExporter(official.grpc, insecure=True)))
    logs.get_logger("scope").emit(body="it happened", event_name="thing", attributes={"a": 1})
    logs.shutdown()
    metrics = MeterProvider(
        [PeriodicExportingMetricReader(OTLPMetricExporter(official.grpc, insecure=True), 3_600_000)],
        resource,
        shutdown_on_exit=False,
        views=[View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())],
    )
    meter = metrics.get_meter("scope")
    meter.create_counter("sum").add(3, {"k": "v"})
    meter.create_observable_gauge("gauge", [lambda _: [Observation(7)]])
    meter.create_histogram("histogram").record(0.5)
    meter.create_histogram("exponential").record(0.5)
    metrics.shutdown()
    old = ExportMetricsServiceRequest()  # of the kind that SDKs make no more
    metric = old.resource_metrics.add().scope_metrics.add().metrics.add(name="summary")
    metric.summary.data_points.add(count=2, sum=3.0, time_unix_nano=START)
    headers = {"Content-Type": "application/x-protobuf"}
    assert send("POST", f"{official.http}/v1/metrics", old.SerializeToString(), headers)[0] == 200
    wanted = {"otel_metrics_sum": "sum", "otel_metrics_gauge": "gauge", "otel_metrics_histogram": "histogram",
              "otel_metrics_exponential_histogram": "exponential", "otel_metrics_summary": "summary"}  # fmt: skip
    for table, name in wanted.items():
        _until(lambda table=table: [row["MetricName"] for row in store.rows(f"SELECT MetricName FROM {table}")], [name])
    _until(
        lambda: store.rows("SELECT Body, EventName, ServiceName, LogAttributes['a'] AS a FROM otel_logs"),
        [{"Body": "it happened", "EventName": "thing", "ServiceName": "shop", "a": "1"}],
    )
    assert store.rows("SELECT Value, Attributes['k'] AS k FROM otel_metrics_sum") == [{"Value": 3, "k": "v"}]


def test_a_batch_whose_answer_was_lost_counts_once(store: Store, server: ClickHouse, official: otelcol.Otelcol) -> None:
    """The official Collector has no token for its inserts; ClickHouse knows the block by its contents."""
    server.swallow_next_insert()
    official.start()
    _send(official, 20)
    _until(lambda: server.has_swallowed, True)
    _until(lambda: "Exporting failed. Will retry" in official.said(), True)
    _send(official, 5)
    _until(lambda: _counts(store), {"spans": 25, "traces": 25, "calls": 25, "tokens": 75})


def test_an_outage_and_a_kill_lose_nothing(store: Store, server: ClickHouse, official: otelcol.Otelcol) -> None:
    """What was accepted while ClickHouse was away is in the queue on disk, and comes in once it is back."""
    server.stop()
    official.start()
    _send(official, 10)
    _until(lambda: "Exporting failed. Will retry" in official.said(), True)
    official.kill()
    official.start()
    _send(official, 10)
    server.start()
    _until(lambda: _counts(store), {"spans": 20, "traces": 20, "calls": 20, "tokens": 60})
