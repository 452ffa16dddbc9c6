"""Spans given back as OTLP had them, from the rows of ``schemas/whole_spans.sql``.

``otel_traces`` holds values as text, as the OpenTelemetry Collector's exporter writes them; our columns beside it say
what they were. Rows that the exporter wrote have none, and their values are texts. What the store does not have comes
back as it is there: times that were set right, event times after 2262, text that was mended, no unknown fields.

Messages are put together from the bytes of what is in them: as objects they take five times as long.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

_KINDS = ("Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")
_CODES = ("Unset", "Ok", "Error")
_STRING, _DOUBLE, _ARRAY, _KVLIST = 1, 4, 5, 6  # fields of AnyValue
_ARRAY_OF = 10
CHUNK_BYTES = 1 << 20
"""A quarter of what gRPC takes as a message unless it is told otherwise; a single span may be larger."""
_SHORT = 128
"""Characters of an attribute that is likely to come again."""
_OF_RESOURCE, _OF_SCOPE, _OF_SPAN, _OF_EVENT, _OF_LINK = 1, 3, 9, 3, 4
"""Numbers of the fields ``attributes``."""


def chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """``TracesData`` messages with the spans of each trace, one trace after the other, in the order of the rows.

    The spans of a scope of a resource are together in a message, which has about ``CHUNK_BYTES``.
    """
    traces: dict[str, defaultdict[str, list[bytes]]] = {}
    for row in rows:
        scopes = traces.setdefault(row["trace_id"], defaultdict(list))
        scopes[row["above"]].append(_field(2, _span(bytes.fromhex(row["trace_id"]), row["span"])))
    for scopes in traces.values():
        data, size = [], 0
        for above, spans in scopes.items():
            resource, scope = _above(above)
            size += len(resource) + len(scope)
            begin = 0
            for end, span in enumerate(spans, 1):
                size += len(span)
                last = end == len(spans)
                if not last and size + len(spans[end]) <= CHUNK_BYTES:
                    continue
                data.append(_field(1, resource + _field(2, scope + b"".join(spans[begin:end]))))
                begin = end
                if not last or size >= CHUNK_BYTES:
                    yield b"".join(data)
                    data, size = [], len(resource) + len(scope)
        if data:
            yield b"".join(data)


def _above(text: str) -> tuple[bytes, bytes]:
    """The fields of ``ResourceSpans`` and of ``ScopeSpans`` that are not spans."""
    (
        of_resource, dropped_of_resource, schema_of_resource,
        name, version, of_scope, dropped_of_scope, schema_of_scope, nested_values,
    ) = json.loads(text)  # fmt: skip
    nested = iter(nested_values)
    resource = _attributes(_OF_RESOURCE, of_resource, nested)
    resource += Resource(dropped_attributes_count=dropped_of_resource).SerializeToString()
    scope = InstrumentationScope(name=name, version=version).SerializeToString()
    scope += _attributes(_OF_SCOPE, of_scope, nested)
    scope += InstrumentationScope(dropped_attributes_count=dropped_of_scope).SerializeToString()
    return (
        _field(1, resource) + ResourceSpans(schema_url=schema_of_resource).SerializeToString(),
        _field(1, scope) + ScopeSpans(schema_url=schema_of_scope).SerializeToString(),
    )


def _span(trace_id: bytes, values: Sequence[Any]) -> bytes:
    (
        span_id, parent_id, state, flags, name, kind, start, duration, code, message,
        attributes, dropped, events, dropped_events, links, dropped_links, nested_values,
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
        end_time_unix_nano=(start + duration) % 2**64,  # the exporter writes a negative duration so
        dropped_attributes_count=dropped,
        dropped_events_count=dropped_events,
        dropped_links_count=dropped_links,
    )
    if status := _number(_CODES, code):
        span.status.code = status
    if message:
        span.status.message = message
    parts = [span.SerializeToString(), _attributes(_OF_SPAN, attributes, nested)]
    for time, name, dropped, *attributes in events:
        event = Span.Event(time_unix_nano=time, name=name, dropped_attributes_count=dropped)
        parts.append(_field(11, event.SerializeToString() + _attributes(_OF_EVENT, attributes, nested)))
    for trace, own, state, flags, dropped, *attributes in links:
        link = Span.Link(
            trace_id=bytes.fromhex(trace),
            span_id=bytes.fromhex(own),
            trace_state=state,
            flags=flags,
            dropped_attributes_count=dropped,
        )
        parts.append(_field(13, link.SerializeToString() + _attributes(_OF_LINK, attributes, nested)))
    return b"".join(parts)


def _number(names: tuple[str, ...], name: str) -> Any:
    """The number of a name, or what stands for one without a name; the exporter has nothing there, or other names."""
    if name in names:
        return names.index(name)
    return int(name) if name.removeprefix("-").isdecimal() else 0


def _attributes(number: int, columns: Sequence[Any], nested: Iterator[str]) -> bytes:
    """Attributes from their keys, texts and types; the exporter writes no types, which are texts then."""
    keys, texts, types = columns
    if len(types) != len(keys):
        types = [_STRING] * len(keys)
    parts = []
    for key, text, kind in zip(keys, texts, types, strict=True):
        if kind == _STRING:
            parts.append(_common(number, key, text) if len(key) + len(text) < _SHORT else _text(number, key, text))
        else:
            parts.append(_field(number, KeyValue(key=key, value=_value(text, kind, nested)).SerializeToString()))
    return b"".join(parts)


def _text(number: int, key: str, text: str) -> bytes:
    """An attribute that is a text."""
    return _field(number, _field(1, key.encode()) + _field(2, _field(_STRING, text.encode())))


_common = lru_cache(4096)(_text)


def _field(number: int, content: bytes) -> bytes:
    """A field with a length, by its number, which is below 16."""
    length = len(content)
    head = bytearray((number << 3 | 2,))
    while length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    return bytes(head) + content


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
