"""OTLP messages at the door: what can be stored, and what has to be left out or set right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.errors import Malformed
from otel_llm_collector.signals import LOGS, METRIC_KINDS, METRICS, TRACES, Signal

from . import clock
from .clock import Window
from .flatten import is_marked, stamp
from .utf8 import repair

_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)


@dataclass(slots=True)
class Checked:
    """A body that can be stored: how many items it holds and of which kinds, how many were left out of it and why."""

    body: bytes = b""
    items: int = 0
    kinds: int = 1
    rejected: int = 0
    reason: str = ""
    clamped: int = 0


def check(signal: Signal, body: bytes, window: Window, tenant: str = "") -> Checked:
    """Check a request. Raises :class:`Malformed` when it is none of this signal, or when nothing of it can be stored.

    Text that is not UTF-8 is mended with U+FFFD. A span without a valid trace id and span id is left out; a log record
    keeps its place without ids that are none. Times outside the window are set to now and kept as attributes. Every
    resource is marked as the ``tenant``'s, and as nobody else's.
    """
    request = signal.request()
    try:
        request.ParseFromString(body)
    except DecodeError:
        body = repair(signal.request, body)
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise Malformed(f"The body is not an OTLP {signal.request.DESCRIPTOR.name} in protobuf.") from None
    # A field that comes twice makes it longer: protobuf takes the last one, ClickHouse another.
    changed = bool(tenant) or request.ByteSize() != len(body)
    checked = Checked()
    changed |= _CHECKS[signal](request, checked, window)
    if is_marked(request, signal):
        request.DiscardUnknownFields()
        changed = True
    if tenant:
        stamp(request, signal, tenant)
    checked.body = request.SerializeToString() if changed else body
    return checked


def _spans(request: ExportTraceServiceRequest, checked: Checked, window: Window) -> bool:
    """Count the spans, and say whether any had to be changed or left out; so do those for the other signals."""
    earliest, latest = window.earliest, window.latest
    total = bad = clamped = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            total += len(spans)
            wrong = []
            for index, span in enumerate(spans):
                trace, own = span.trace_id, span.span_id
                if len(trace) != 16 or len(own) != 8 or trace == _NO_TRACE or own == _NO_SPAN:
                    wrong.append(index)
                elif not earliest <= span.start_time_unix_nano <= span.end_time_unix_nano <= latest:
                    clock.clamp_span(span, window)
                    clamped += 1
            bad += len(wrong)
            for index in reversed(wrong):
                del spans[index]
    if bad:
        checked.reason = (
            f"{bad} of {total} spans have no valid ids: trace_id must be 16 bytes, span_id 8 bytes, neither all zero."
        )
        if bad == total:
            raise Malformed(checked.reason)
    checked.items, checked.rejected, checked.clamped = total - bad, bad, clamped
    return bool(bad or clamped)


def _log_records(request: Message, checked: Checked, window: Window) -> bool:
    total = clamped = foreign = 0
    changed = False
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            total += len(scope_logs.log_records)
            for record in scope_logs.log_records:
                time = record.time_unix_nano or record.observed_time_unix_nano
                if not window.earliest <= time <= window.latest:
                    foreign += bool(len(UnknownFieldSet(record)))
                    clock.clamp_log(record, window)
                    clamped += 1
                if len(record.trace_id) not in (0, 16) or record.trace_id == _NO_TRACE:
                    record.trace_id = b""
                    changed = True
                if len(record.span_id) not in (0, 8) or record.span_id == _NO_SPAN:
                    record.span_id = b""
                    changed = True
    if total and foreign == total:
        raise Malformed("These are no log records: they look like those of another signal.")
    checked.items, checked.clamped = total, clamped
    return bool(clamped or changed)


_KIND_BITS = {kind: 1 << bit for bit, kind in enumerate(METRIC_KINDS)}


def _data_points(request: Message, checked: Checked, window: Window) -> bool:
    earliest, latest = window.earliest, window.latest
    total = kinds = clamped = foreign = 0
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    foreign += bool(len(UnknownFieldSet(metric)))
                    continue
                points = getattr(metric, kind).data_points
                total += len(points)
                kinds |= _KIND_BITS[kind]
                for point in points:
                    if not earliest <= point.time_unix_nano <= latest:
                        clock.clamp_point(point, window)
                        clamped += 1
    if foreign and not total:
        raise Malformed("These are no metrics: they look like those of another signal.")
    checked.items, checked.kinds, checked.clamped = total, kinds, clamped
    return bool(clamped)


_CHECKS: dict[Signal, Callable[..., bool]] = {TRACES: _spans, LOGS: _log_records, METRICS: _data_points}
