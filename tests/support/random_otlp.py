"""Random OTLP requests of each signal: everything that senders do, and much that they should not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from .random_values import ANY_TIMES, COUNTS, ENUMS, INTS, MENDED, Values

_BROKEN = b"\xf0\x9f\x98"
"""An emoji cut short: no UTF-8, and as long as what it is mended to."""
_METRICS = ("gauge", "sum", "histogram", "exponential_histogram", "summary", None)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request: ``body`` as it goes over the wire, ``meant`` as it is understood once its text is mended."""

    body: bytes
    meant: Any
    plain: bool
    """Whether OTLP/JSON can say all of it."""


class Requests(Values):
    """A stream of requests."""

    def traces(self) -> Sent:
        request = ExportTraceServiceRequest()
        for group, scope in self._envelopes(request.resource_spans, "scope_spans"):
            self._stranger(group)
            for _ in range(self._few(5)):
                self._span(scope.spans.add())
        return self._sent(request)

    def logs(self) -> Sent:
        request = ExportLogsServiceRequest()
        for group, scope in self._envelopes(request.resource_logs, "scope_logs"):
            self._stranger(group)
            for _ in range(self._few(5)):
                self._log_record(scope.log_records.add())
        return self._sent(request)

    def metrics(self) -> Sent:
        request = ExportMetricsServiceRequest()
        for group, scope in self._envelopes(request.resource_metrics, "scope_metrics"):
            self._stranger(group)
            for _ in range(self._few(4)):
                self._metric(scope.metrics.add())
        return self._sent(request)

    def _sent(self, request: Message) -> Sent:
        """The request with its broken text; whole where its bytes have the same three elsewhere by chance."""
        body, mended = request.SerializeToString(), MENDED.encode()
        broken, self._broken = self._broken, 0
        strange, self._strange = self._strange, False
        if broken and body.count(mended) == broken:
            body = body.replace(mended, _BROKEN)
        return Sent(body, request, plain=not broken and not strange)

    def _envelopes(self, groups: Any, scopes: str) -> Any:
        for _ in range(self._few(3)):
            group = groups.add()
            if self._often():
                self._attributes(group.resource.attributes, named=self._often())
                group.resource.dropped_attributes_count = self._chance.choice(COUNTS)
            group.schema_url = self._text() if self._rarely() else ""
            for _ in range(self._few(3)):
                scope = getattr(group, scopes).add()
                if self._often():
                    scope.scope.name, scope.scope.version = self._text(), self._text()
                    self._attributes(scope.scope.attributes)
                    scope.scope.dropped_attributes_count = self._chance.choice(COUNTS)
                scope.schema_url = self._text() if self._rarely() else ""
                yield group, scope

    def _span(self, span: Any) -> None:
        span.trace_id, span.span_id = self._id(16), self._id(8)
        span.parent_span_id = b"" if self._often() else self._id(8)
        span.trace_state, span.name = self._text(), self._text()
        span.kind = self._chance.choice(ENUMS)
        span.start_time_unix_nano = self._time()
        length = self._chance.choice((0, 1, 1_500_000_000, self._chance.randrange(10**12)))
        span.end_time_unix_nano = self._time() if self._rarely() else min(span.start_time_unix_nano + length, 2**64 - 1)
        self._attributes(span.attributes)
        span.flags = self._chance.choice((0, 1, 0x301, 2**32 - 1))
        span.dropped_attributes_count = self._chance.choice(COUNTS)
        span.dropped_events_count = self._chance.choice(COUNTS)
        span.dropped_links_count = self._chance.choice(COUNTS)
        if self._often():
            span.status.code, span.status.message = self._chance.choice(ENUMS), self._text()
        for _ in range(self._few(2)):
            event = span.events.add(time_unix_nano=self._chance.choice(ANY_TIMES), name=self._text())
            event.dropped_attributes_count = self._chance.choice(COUNTS)
            self._attributes(event.attributes)
        for _ in range(self._few(2)):
            link = span.links.add(trace_id=self._id(16), span_id=self._id(8), trace_state=self._text())
            link.dropped_attributes_count = self._chance.choice(COUNTS)
            link.flags = self._chance.choice(COUNTS)
            self._attributes(link.attributes)
            self._stranger(link)
        self._stranger(span)

    def _log_record(self, record: Any) -> None:
        record.time_unix_nano = 0 if self._rarely() else self._time()
        record.observed_time_unix_nano = self._time()
        record.severity_number, record.severity_text = self._chance.choice(ENUMS), self._text()
        if self._often():
            self._value(record.body)
        self._attributes(record.attributes)
        record.dropped_attributes_count = self._chance.choice(COUNTS)
        record.flags = self._chance.choice((0, 1, 0x301, 2**32 - 1))
        record.trace_id, record.span_id = self._id(16), self._id(8)
        record.event_name = self._text()
        self._stranger(record)

    def _metric(self, metric: Any) -> None:
        metric.name, metric.description, metric.unit = self._text(), self._text(), self._text()
        kind = self._chance.choice(_METRICS)
        if kind is None:
            return
        data = getattr(metric, kind)
        data.SetInParent()
        if hasattr(data, "aggregation_temporality"):
            data.aggregation_temporality = self._chance.choice(ENUMS)
        if hasattr(data, "is_monotonic"):
            data.is_monotonic = self._often()
        for _ in range(self._few(4)):
            point = data.data_points.add(time_unix_nano=self._time())
            point.start_time_unix_nano = self._chance.choice((*ANY_TIMES, self._time()))
            point.flags = self._chance.choice(COUNTS)
            self._attributes(point.attributes)
            _FILL[kind](self, point)
            self._stranger(point)

    def _number(self, point: Any) -> None:
        match self._few(3):
            case 0:
                point.as_int = self._chance.choice(INTS)
            case 1:
                point.as_double = self._double()
        for _ in range(self._few(2)):
            self._exemplar(point.exemplars.add())

    def _histogram(self, point: Any) -> None:
        self._distribution(point)
        point.bucket_counts.extend(self._unsigned() for _ in range(self._few(6)))
        point.explicit_bounds.extend(self._double() for _ in range(self._few(6)))

    def _exponential_histogram(self, point: Any) -> None:
        self._distribution(point)
        point.scale, point.zero_count = self._chance.choice((-10, 0, 3, 20, 2**31 - 1)), self._unsigned()
        for buckets in (point.positive, point.negative):
            if self._often():
                buckets.offset = self._chance.choice((0, 5, -5, 2**31 - 1, -(2**31)))
                buckets.bucket_counts.extend(self._unsigned() for _ in range(self._few(6)))

    def _distribution(self, point: Any) -> None:
        point.count = self._unsigned()
        for optional in ("sum", "min", "max"):
            if self._often():
                setattr(point, optional, self._double())
        for _ in range(self._few(2)):
            self._exemplar(point.exemplars.add())

    def _summary(self, point: Any) -> None:
        point.count, point.sum = self._unsigned(), self._double()
        for _ in range(self._few(4)):
            point.quantile_values.add(quantile=self._double(), value=self._double())

    def _exemplar(self, exemplar: Any) -> None:
        exemplar.time_unix_nano = self._chance.choice(ANY_TIMES)
        exemplar.trace_id, exemplar.span_id = self._id(16), self._id(8)
        if self._often():
            exemplar.as_int = self._chance.choice(INTS)
        else:
            exemplar.as_double = self._double()
        self._attributes(exemplar.filtered_attributes)


_FILL = {
    "gauge": Requests._number,
    "sum": Requests._number,
    "histogram": Requests._histogram,
    "exponential_histogram": Requests._exponential_histogram,
    "summary": Requests._summary,
}
