"""What ClickHouse should hold of an OTLP request: a plain conversion, item by item, that shares nothing with ours.

``rows`` gives the rows of each table as ClickHouse writes them in JSONEachRow, but for what JSON cannot say: a map is a
list of pairs, because keys may come twice, and a float is a float, because it may be none.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

Row = dict[str, Any]
Rows = dict[str, list[Row]]

_SPAN_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_STATUS_CODES = ("Unset", "Ok", "Error")
_NUMBERS = {"none": 0, "string": 1, "bool": 2, "int": 3, "double": 4, "array": 5, "kvlist": 6, "bytes": 7}
_PLAIN = {1, 2, 3, 4, 7}
_ESCAPES = {code: f"\\u{code:04X}" for code in (*range(0x20), 0x2028, 0x2029)}
"""How ClickHouse writes text in JSON: what is no character by its number, and the two that JavaScript minds."""
_ESCAPES |= str.maketrans({'"': r"\"", "\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"})
_LAST = 2**63 - 1
"""The last nanosecond that a DateTime64(9) is made of here."""


def spans(request: ExportTraceServiceRequest, tenant: str = "") -> Rows:
    """The rows of a trace request."""
    found = [
        _span(resource_spans, scope_spans, span, tenant)
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]
    return {"otel_traces": found}


def _span(resource_spans: Any, scope_spans: Any, span: Any, tenant: str) -> Row:
    resource, scope = resource_spans.resource, scope_spans.scope
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    lists = [resource.attributes, scope.attributes, span.attributes]
    lists += [part.attributes for part in (*span.events, *span.links)]
    return {
        "Timestamp": nanoseconds(start),
        "TraceId": span.trace_id.hex(),
        "SpanId": span.span_id.hex(),
        "ParentSpanId": span.parent_span_id.hex(),
        "TraceState": span.trace_state,
        "SpanName": span.name,
        "SpanKind": _one_of(_SPAN_KINDS, span.kind),
        "ServiceName": service(resource.attributes),
        "ResourceAttributes": pairs(resource.attributes),
        "ScopeName": scope.name,
        "ScopeVersion": scope.version,
        "SpanAttributes": pairs(span.attributes),
        "Duration": max(end - start, 0),
        "StatusCode": _one_of(_STATUS_CODES, span.status.code),
        "StatusMessage": span.status.message,
        "Events.Timestamp": [nanoseconds(event.time_unix_nano) for event in span.events],
        "Events.Name": [event.name for event in span.events],
        "Events.Attributes": [pairs(event.attributes) for event in span.events],
        "Links.TraceId": [link.trace_id.hex() for link in span.links],
        "Links.SpanId": [link.span_id.hex() for link in span.links],
        "Links.TraceState": [link.trace_state for link in span.links],
        "Links.Attributes": [pairs(link.attributes) for link in span.links],
        "TenantId": tenant,
        "TraceFlags": span.flags,
        "DroppedAttributesCount": span.dropped_attributes_count,
        "DroppedEventsCount": span.dropped_events_count,
        "DroppedLinksCount": span.dropped_links_count,
        "ResourceSchemaUrl": resource_spans.schema_url,
        "ResourceDroppedAttributesCount": resource.dropped_attributes_count,
        "ScopeSchemaUrl": scope_spans.schema_url,
        "ScopeAttributes": pairs(scope.attributes),
        "ScopeDroppedAttributesCount": scope.dropped_attributes_count,
        "ResourceAttributeTypes": _types(resource.attributes),
        "ScopeAttributeTypes": _types(scope.attributes),
        "SpanAttributeTypes": _types(span.attributes),
        "Events.DroppedAttributesCount": [event.dropped_attributes_count for event in span.events],
        "Events.AttributeTypes": [_types(event.attributes) for event in span.events],
        "Links.DroppedAttributesCount": [link.dropped_attributes_count for link in span.links],
        "Links.Flags": [link.flags for link in span.links],
        "Links.AttributeTypes": [_types(link.attributes) for link in span.links],
        "NestedValues": [nested for attributes in lists for nested in _nested(attributes)],
    }


def log_records(request: ExportLogsServiceRequest, tenant: str = "") -> Rows:
    """The rows of a logs request."""
    found = [
        _log_record(resource_logs, scope_logs, record, tenant)
        for resource_logs in request.resource_logs
        for scope_logs in resource_logs.scope_logs
        for record in scope_logs.log_records
    ]
    return {"otel_logs": found}


def _log_record(resource_logs: Any, scope_logs: Any, record: Any, tenant: str) -> Row:
    resource, scope = resource_logs.resource, scope_logs.scope
    return {
        "Timestamp": nanoseconds(record.time_unix_nano or record.observed_time_unix_nano),
        "TraceId": identity(record.trace_id, 16),
        "SpanId": identity(record.span_id, 8),
        "TraceFlags": record.flags & 0xFF,
        "SeverityText": record.severity_text,
        "SeverityNumber": record.severity_number if 0 <= record.severity_number <= 0xFF else 0,
        "ServiceName": service(resource.attributes),
        "Body": text(record.body),
        "ResourceSchemaUrl": resource_logs.schema_url,
        "ResourceAttributes": pairs(resource.attributes),
        "ScopeSchemaUrl": scope_logs.schema_url,
        "ScopeName": scope.name,
        "ScopeVersion": scope.version,
        "ScopeAttributes": pairs(scope.attributes),
        "LogAttributes": pairs(record.attributes),
        "EventName": record.event_name,
        "TenantId": tenant,
    }


def pairs(attributes: Iterable[KeyValue]) -> list[list[str]]:
    """Attributes as a map of texts; keys that come twice stay twice."""
    return [[attribute.key, text(attribute.value)] for attribute in attributes]


def service(attributes: Iterable[KeyValue]) -> str:
    """The name of the service, the first one where there are several."""
    return next((text(attribute.value) for attribute in attributes if attribute.key == "service.name"), "")


def text(value: AnyValue) -> str:
    """A value as the text that tables have; a map or an array is JSON."""
    match kind(value):
        case "string":
            return value.string_value
        case "double":
            return double(value.double_value)
        case "bytes":
            return base64.b64encode(value.bytes_value).decode()
        case "none":
            return ""
    return _json(value)


def kind(value: AnyValue) -> str:
    """The kind of a value, or ``none``; a reference into a table of strings, which only profiles have, is nothing."""
    which = value.WhichOneof("value")
    return which.removesuffix("_value") if which and which != "string_value_strindex" else "none"


def _json(value: AnyValue) -> str:
    match kind(value):
        case "string":
            return _quoted(value.string_value)
        case "bool":
            return "true" if value.bool_value else "false"
        case "int":
            return str(value.int_value)
        case "double":
            number = double(value.double_value)
            return number if math.isfinite(value.double_value) else f'"{number}"'
        case "bytes":
            return f'"{base64.b64encode(value.bytes_value).decode()}"'
        case "array":
            return "[" + ",".join(map(_json, value.array_value.values)) + "]"
        case "kvlist":
            last = {pair.key: _json(pair.value) for pair in value.kvlist_value.values}
            return "{" + ",".join(f"{_quoted(key)}:{last[key]}" for key in sorted(last)) + "}"
    return "null"


def _quoted(string: str) -> str:
    return f'"{string.translate(_ESCAPES)}"'


def double(value: float) -> str:
    """A double as JavaScript writes it, but for ``1e21`` without a plus, and ``+Inf``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return f"{sign}0"
    _, numbers, exponent = Decimal(repr(value)).normalize().as_tuple()
    digits = "".join(map(str, numbers))
    point = len(digits) + int(exponent)
    if point > 21 or point < -5:
        return f"{sign}{digits[0]}{'.' if digits[1:] else ''}{digits[1:]}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
    return f"{sign}{whole}{'.' if fraction else ''}{fraction}"


def nanoseconds(time: int) -> str:
    """A time in nanoseconds since 1970, as a DateTime64(9) is written."""
    seconds, rest = divmod(min(time, _LAST), 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:09}"


def identity(raw: bytes, size: int) -> str:
    """A trace or span id; nothing where it is none."""
    return raw.hex() if len(raw) == size and any(raw) else ""


def _one_of(names: tuple[str, ...], number: int) -> str:
    return names[number] if 0 <= number < len(names) else str(number)


def _types(attributes: Iterable[KeyValue]) -> list[int]:
    return [_type(attribute.value) for attribute in attributes]


def _type(value: AnyValue) -> int:
    """The number of a value's field, 10 more for an array of one plain kind, 0 for nothing."""
    number = _NUMBERS[kind(value)]
    if kind(value) == "array":
        kinds = {_NUMBERS[kind(element)] for element in value.array_value.values}
        if len(kinds) == 1 and kinds <= _PLAIN:
            return 10 + kinds.pop()
    return number


def _nested(attributes: Iterable[KeyValue]) -> Iterator[str]:
    """The values whose text does not say all of them, as they were sent."""
    for attribute in attributes:
        value = attribute.value
        if _type(value) == _NUMBERS["kvlist"] or (_type(value) == _NUMBERS["array"] and value.array_value.values):
            yield base64.b64encode(plain(value).SerializeToString()).decode()


def plain(message: Message) -> Any:
    """A copy with nothing but what OTLP has."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.DiscardUnknownFields()
    return copy
