"""OTLP messages at the door: what can be stored, and what has to be left out or set right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.errors import Malformed
from otel_llm_collector.signals import LOGS, METRIC_KINDS, METRICS, TRACES, Signal

from . import clock
from .clock import Window
from .flatten import stamp
from .unfolded import unfolded
from .utf8 import repair
from .wire import has_more_messages, has_own

_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)
_MESSAGES = 1 << 21
"""Most messages in a request, one in another too: an empty one is two bytes, and up to 170 once it is parsed."""
_MENDED = 1 << 18
"""Most messages in one whose text has to be mended."""
_MANY = 1 << 19
"""Most items in a request, with the resources, scopes and metrics that they are of."""
_FEW = 1024
_SMALL = 16
"""Bytes that each of these has at least, on average: a span has ids, a log record a time, a data point a value."""


@dataclass(slots=True)
class Checked:
    """A body that can be stored: how many items it holds and of which kinds, how many were left out of it and why."""

    body: bytes = b""
    items: int = 0
    kinds: int = 1
    rejected: int = 0
    reason: str = ""
    clamped: int = 0
    unfolded: int = 0
    """Bytes that its rows are, about."""


def check(signal: Signal, body: bytes, window: Window, tenant: str = "") -> Checked:
    """Check a request. Raises :class:`Malformed` when it is none of this signal, or when nothing of it can be stored.

    Text that is not UTF-8 is mended with U+FFFD. A span without a valid trace id and span id is left out; a log record
    keeps its place without ids that are none. Times outside the window are set to now and kept as attributes. Every
    resource is marked as the ``tenant``'s, and as nobody else's.
    """
    if has_more_messages(signal.request, body, _MESSAGES):
        raise Malformed(f"The body has more than {_MESSAGES} messages in protobuf; send fewer {signal.items}.")
    request = signal.request()
    try:
        request.ParseFromString(body)
    except DecodeError:
        body = _mended(signal, body)
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise Malformed(f"The body is not an OTLP {signal.request.DESCRIPTOR.name} in protobuf.") from None
    checked = Checked()
    _bound(signal, request, min(_FEW + len(body) // _SMALL, _MANY))
    _CHECKS[signal](request, checked, window)
    if has_own(body):
        request.DiscardUnknownFields()
    if tenant:
        stamp(request, signal, tenant)
    # Of a field that comes twice protobuf takes the last one, ClickHouse another.
    written = request.SerializeToString()
    checked.body = body if written == body else written
    checked.unfolded = len(written) + unfolded(signal, request)
    return checked


def _mended(signal: Signal, body: bytes) -> bytes:
    if has_more_messages(signal.request, body, _MENDED):
        raise Malformed(f"The body has text that is not UTF-8, or is no protobuf; send fewer {signal.items}.")
    return repair(signal.request, body)


def _spans(request: ExportTraceServiceRequest, checked: Checked, window: Window) -> None:
    """Count the spans, leave out those without ids and set times right; so do those for the other signals."""
    earliest, latest = window.earliest, window.latest
    total = bad = clamped = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            total += len(spans)
            wrong = set()
            for index, span in enumerate(spans):
                trace, own = span.trace_id, span.span_id
                if len(trace) != 16 or len(own) != 8 or trace == _NO_TRACE or own == _NO_SPAN:
                    wrong.add(index)
                elif not earliest <= span.start_time_unix_nano <= span.end_time_unix_nano <= latest:
                    clock.clamp_span(span, window)
                    clamped += 1
            bad += len(wrong)
            if wrong:
                kept = [span for index, span in enumerate(spans) if index not in wrong]
                del spans[:]
                spans.extend(kept)
    if bad:
        checked.reason = (
            f"{bad} of {total} spans have no valid ids: trace_id must be 16 bytes, span_id 8 bytes, neither all zero."
        )
        if bad == total:
            raise Malformed(checked.reason)
    checked.items, checked.rejected, checked.clamped = total - bad, bad, clamped


def _log_records(request: Message, checked: Checked, window: Window) -> None:
    total = clamped = 0
    for resource_logs in request.resource_logs:
        for scope_logs in resource_logs.scope_logs:
            total += len(scope_logs.log_records)
            for record in scope_logs.log_records:
                time = record.time_unix_nano or record.observed_time_unix_nano
                if not window.earliest <= time <= window.latest:
                    clock.clamp_log(record, window)
                    clamped += 1
                if len(record.trace_id) not in (0, 16) or record.trace_id == _NO_TRACE:
                    record.trace_id = b""
                if len(record.span_id) not in (0, 8) or record.span_id == _NO_SPAN:
                    record.span_id = b""
    if (
        total
        and clamped == total
        and all(
            _is_foreign(record)
            for resource_logs in request.resource_logs
            for scope_logs in resource_logs.scope_logs
            for record in scope_logs.log_records
        )
    ):
        raise Malformed("These are no log records: they look like those of another signal.")
    checked.items, checked.clamped = total, clamped


_KIND_BITS = {kind: 1 << bit for bit, kind in enumerate(METRIC_KINDS)}


def _data_points(request: Message, checked: Checked, window: Window) -> None:
    earliest, latest = window.earliest, window.latest
    total = kinds = clamped = foreign = 0
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    foreign += _is_foreign(metric)
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


def _bound(signal: Signal, request: Message, most: int) -> None:
    """Refuse a body that is in more pieces than it may be: items, and what is around them."""
    pieces = 0
    for count in _pieces(signal, request):
        pieces += count
        if pieces <= most:
            continue
        if most == _MANY:
            raise Malformed(f"The body has more than {_MANY} {signal.items}, with what is around them; send fewer.")
        raise Malformed(
            f"The {signal.items} are empty: with what is around them they have less than {_SMALL} bytes each."
        )


def _pieces(signal: Signal, request: Message) -> Iterator[int]:
    groups, scopes, items = signal.groups
    yield len(getattr(request, groups))
    for group in getattr(request, groups):
        yield len(getattr(group, scopes))
        for scope in getattr(group, scopes):
            found = getattr(scope, items)
            yield len(found)
            for metric in found if signal is METRICS else ():
                kind = metric.WhichOneof("data")
                yield len(getattr(metric, kind).data_points) if kind else 0


def _is_foreign(item: Message) -> bool:
    """Whether an item has fields that OTLP does not have there."""
    known = type(item)()
    known.CopyFrom(item)
    known.DiscardUnknownFields()
    return bool(known.ByteSize() != item.ByteSize())


_CHECKS: dict[Signal, Callable[..., None]] = {TRACES: _spans, LOGS: _log_records, METRICS: _data_points}
