"""The three signals of OTLP, as data: what they are called on the wire, and where ClickHouse takes them in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, slots=True)
class Landing:
    """A Null table that takes a segment whole, and the protobuf schema that it is read with."""

    table: str
    schema: str
    message: str


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A signal: ``path`` and ``service`` are its addresses over HTTP and gRPC, ``items`` what it consists of.

    ``groups`` names the nested repeated fields from a request down to the items. ``rejected`` is the field of a partial
    success that counts them. ``landings`` are tried with every segment that holds their kind: the bits of a record's
    ``kinds`` are in their order. ``patience`` says how many times longer than a segment of spans one of this signal may
    wait, where an insert costs more and less depends on it.
    """

    name: str
    service: str
    request: type[Message]
    response: type[Message]
    items: str
    groups: tuple[str, str, str]
    rejected: str
    landings: tuple[Landing, ...]
    patience: int = 1

    @property
    def path(self) -> str:
        return f"/v1/{self.name}"

    def landings_of(self, kinds: int) -> Iterator[Landing]:
        """The landings of the kinds whose bits are set."""
        return (landing for bit, landing in enumerate(self.landings) if kinds >> bit & 1)

    def kinds_from(self, landing: Landing) -> int:
        """The bits of a landing and of those behind it."""
        return (1 << len(self.landings)) - (1 << self.landings.index(landing))


METRIC_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
"""The kinds of metric, each of which has tables of its own, by their names in OTLP."""

TRACES = Signal(
    "traces",
    "opentelemetry.proto.collector.trace.v1.TraceService",
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    "spans",
    ("resource_spans", "scope_spans", "spans"),
    "rejected_spans",
    (Landing("otlp_traces_in", "otlp_traces.proto", "TracesData"),),
)
LOGS = Signal(
    "logs",
    "opentelemetry.proto.collector.logs.v1.LogsService",
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
    "log records",
    ("resource_logs", "scope_logs", "log_records"),
    "rejected_log_records",
    (Landing("otlp_logs_in", "otlp_logs.proto", "LogsData"),),
    patience=2,
)
METRICS = Signal(
    "metrics",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "data points",
    ("resource_metrics", "scope_metrics", "metrics"),
    "rejected_data_points",
    tuple(Landing(f"otlp_metrics_{kind}_in", "otlp_metrics.proto", "MetricsData") for kind in METRIC_KINDS),
    patience=10,
)
SIGNALS = (TRACES, LOGS, METRICS)
