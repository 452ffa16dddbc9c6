"""OTLP trace messages: checked at the door, and rewritten where ClickHouse cannot take them as they are."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from .errors import Malformed
from .utf8 import repair

_NO_TRACE = bytes(16)
_NO_SPAN = bytes(8)


@dataclass(frozen=True, slots=True)
class Checked:
    """A body that can be stored, how many spans it holds, and how many were left out of it and why."""

    body: bytes
    spans: int
    rejected: int = 0
    reason: str = ""


def check(body: bytes) -> Checked:
    """Check a trace request. Raises :class:`Malformed` when it is none, or when no span of it can be stored.

    Text that is not UTF-8 is mended with U+FFFD. A span without a valid trace id and span id is left out.
    """
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        body = repair(ExportTraceServiceRequest, body)
        try:
            request.ParseFromString(body)
        except DecodeError:
            raise Malformed("The body is not an OTLP ExportTraceServiceRequest in protobuf.") from None
    total = bad = 0
    for resource_spans in request.resource_spans:
        for scope_spans in resource_spans.scope_spans:
            spans = scope_spans.spans
            total += len(spans)
            wrong = [index for index, span in enumerate(spans) if not _identified(span)]
            bad += len(wrong)
            for index in reversed(wrong):
                del spans[index]
    if not bad:
        return Checked(body, total)
    reason = f"{bad} of {total} spans have no valid ids: trace_id must be 16 bytes, span_id 8 bytes, neither all zero."
    if bad == total:
        raise Malformed(reason)
    return Checked(request.SerializeToString(), total - bad, bad, reason)


def _identified(span: Span) -> bool:
    trace, own = span.trace_id, span.span_id
    return len(trace) == 16 and len(own) == 8 and trace != _NO_TRACE and own != _NO_SPAN


def flatten(body: bytes) -> bytes:
    """The message as the store can take it: nested attribute values as JSON text, and only fields that OTLP has.

    What protobuf calls unknown may be anything, a known number of another type too, where ClickHouse stops.
    """
    data = TracesData.FromString(body)
    data.DiscardUnknownFields()
    for resource_spans in data.resource_spans:
        _flatten(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                _flatten(span.attributes)
                for event in span.events:
                    _flatten(event.attributes)
                for link in span.links:
                    _flatten(link.attributes)
    flat: bytes = data.SerializeToString()
    return flat


def _flatten(attributes: list[KeyValue]) -> None:
    for attribute in attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        if kind == "kvlist_value" or (kind == "array_value" and any(map(_nested, value.array_value.values))):
            value.string_value = _json(value)


def _nested(value: AnyValue) -> bool:
    return value.WhichOneof("value") in ("array_value", "kvlist_value")


def _json(value: AnyValue) -> str:
    """A value as JSON text, in the form that the view over otlp_traces_in gives arrays."""
    match value.WhichOneof("value"):
        case "string_value":
            return json.dumps(value.string_value, ensure_ascii=False)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return _number(value.double_value)
        case "bytes_value":
            return f'"{base64.b64encode(value.bytes_value).decode()}"'
        case "array_value":
            return f"[{','.join(map(_json, value.array_value.values))}]"
        case "kvlist_value":
            pairs = {pair.key: _json(pair.value) for pair in value.kvlist_value.values}
            return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{pairs[key]}" for key in sorted(pairs)) + "}"
    return "null"


def _number(value: float) -> str:
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"+Inf"' if value > 0 else '"-Inf"'
    mantissa, _, exponent = repr(value).partition("e")
    return mantissa.removesuffix(".0") + (f"e{int(exponent)}" if exponent else "")
