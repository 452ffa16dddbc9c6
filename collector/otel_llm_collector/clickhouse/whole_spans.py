"""Spans given back as OTLP had them, from the rows of ``schemas/whole_spans.sql``.

``otel_traces`` holds values as text, as the OpenTelemetry Collector's exporter writes them; our columns beside it say
what they were. Rows that the exporter wrote have none, and their values are texts. What the store does not have comes
back as it is there: times that were set right, event times after 2262, text that was mended, no unknown fields.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, TracesData

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_CODES = ("Unset", "Ok", "Error")
_STRING, _DOUBLE, _ARRAY, _KVLIST = 1, 4, 5, 6  # fields of AnyValue
_ARRAY_OF = 10
CHUNK_BYTES = 1 << 20
"""A quarter of what gRPC takes as a message unless it is told otherwise; a single span may be larger."""


def chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[TracesData]:
    """The spans of each trace, under each scope of each resource once; about ``CHUNK_BYTES`` of one trace at a time."""
    data, size, trace_id = TracesData(), 0, ""
    for row in rows:
        above = _above(row)
        own = bytes.fromhex(row["trace_id"])
        scope = None
        for values in row["spans"]:
            span = _span(own, values)
            length = span.ByteSize()
            if size and (row["trace_id"] != trace_id or size + length > CHUNK_BYTES):
                yield data
                data, size, scope = TracesData(), 0, None
            if scope is None:
                scope = data.resource_spans.add()
                scope.CopyFrom(above)
                size += above.ByteSize()
            scope.scope_spans[0].spans.append(span)
            size += length
            trace_id = row["trace_id"]
    if size:
        yield data


def _above(row: Mapping[str, Any]) -> ResourceSpans:
    """The resource and the scope of spans, without them."""
    nested = iter(row["nested_values"])
    resource = ResourceSpans(schema_url=row["resource_schema_url"])
    resource.resource.attributes.extend(_attributes(row["resource_attributes"], nested))
    resource.resource.dropped_attributes_count = row["resource_dropped_attributes_count"]
    scope = resource.scope_spans.add(schema_url=row["scope_schema_url"])
    scope.scope.name, scope.scope.version = row["scope_name"], row["scope_version"]
    scope.scope.attributes.extend(_attributes(row["scope_attributes"], nested))
    scope.scope.dropped_attributes_count = row["scope_dropped_attributes_count"]
    return resource


def _span(trace_id: bytes, values: Sequence[Any]) -> Span:
    (
        span_id, parent_id, state, flags, name, kind, start, duration, code, message,
        keys, texts, types, dropped, events, dropped_events, links, dropped_links, nested_values,
    ) = values  # fmt: skip
    nested = iter(nested_values)
    span = Span(
        trace_id=trace_id,
        span_id=bytes.fromhex(span_id),
        parent_span_id=bytes.fromhex(parent_id),
        trace_state=state,
        flags=flags,
        name=name,
        kind=_number(_KINDS, kind),
        start_time_unix_nano=start,
        end_time_unix_nano=start + duration,
        attributes=_attributes((keys, texts, types), nested),
        dropped_attributes_count=dropped,
        dropped_events_count=dropped_events,
        dropped_links_count=dropped_links,
    )
    if code := _number(_CODES, code):
        span.status.code = code
    if message:
        span.status.message = message
    for time, name, dropped, *attributes in events:
        span.events.add(
            time_unix_nano=time,
            name=name,
            dropped_attributes_count=dropped,
            attributes=_attributes(attributes, nested),
        )
    for trace, own, state, flags, dropped, *attributes in links:
        span.links.add(
            trace_id=bytes.fromhex(trace),
            span_id=bytes.fromhex(own),
            trace_state=state,
            flags=flags,
            dropped_attributes_count=dropped,
            attributes=_attributes(attributes, nested),
        )
    return span


def _number(names: tuple[str, ...], name: str) -> Any:
    """The number of a name, or what stands for one without a name; the exporter has nothing there."""
    return names.index(name) if name in names else int(name or 0)


def _attributes(columns: Sequence[Any], nested: Iterator[str]) -> list[KeyValue]:
    """Attributes from their keys, texts and types; the exporter writes no types, which are texts then."""
    keys, texts, types = columns
    if len(types) != len(keys):
        types = [_STRING] * len(keys)
    return [
        KeyValue(key=key, value=AnyValue(string_value=text) if kind == _STRING else _value(text, kind, nested))
        for key, text, kind in zip(keys, texts, types, strict=True)
    ]


def _value(text: str, kind: int, nested: Iterator[str]) -> AnyValue:
    """A value; where it is not what it is said to be, as a sender may say by fields of our number, its text."""
    try:
        return _typed(text, kind, nested)
    except (StopIteration, DecodeError, ValueError, TypeError):
        return AnyValue(string_value=text)


def _typed(text: str, kind: int, nested: Iterator[str]) -> AnyValue:
    """A value from its text; from ``nested`` where the text does not say all of it."""
    if kind == _KVLIST or (kind == _ARRAY and text != "[]"):
        value: AnyValue = AnyValue.FromString(base64.b64decode(next(nested)))
        return value
    if kind == _ARRAY:
        return AnyValue(array_value=ArrayValue())
    if kind > _ARRAY_OF:
        kind -= _ARRAY_OF
        read = json.loads(text, parse_int=float if kind == _DOUBLE else int)  # -0 is a double too
        return AnyValue(array_value=ArrayValue(values=[_scalar(element, kind) for element in read]))
    return _scalar(text, kind)


def _scalar(value: Any, kind: int) -> AnyValue:
    """A value from its text, or from what JSON made of it."""
    match kind:
        case 0:
            return AnyValue()
        case 2:
            return AnyValue(bool_value=value in (True, "true"))
        case 3:
            return AnyValue(int_value=int(value))
        case 4:
            return AnyValue(double_value=float(value))
        case 7:
            return AnyValue(bytes_value=base64.b64decode(value))
    return AnyValue(string_value=value)
