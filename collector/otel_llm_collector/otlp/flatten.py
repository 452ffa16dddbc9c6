"""Rewriting a segment where ClickHouse cannot take it as it is: nested values as JSON text, only fields that OTLP has.

What protobuf calls unknown may be anything, a known number of another type too, where ClickHouse stops. Fields of our
own, which only our schemas in ``schemas/*.proto`` know, say what the rewriting would lose.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from decimal import Decimal

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from otel_llm_collector.log.record import Good
from otel_llm_collector.signals import LOGS, METRICS, TRACES, Signal

from .json_values import varint
from .wire import GROUP, fields_of

_TEXT = b"\xf2\x7f"  # field 2046, length-delimited
_KIND = b"\xf0\x7f"  # field 2046, a number
_NOT_PLAIN = (None, "string_value_strindex", "array_value", "kvlist_value")
"""What an array of one plain kind does not have; a reference to a string, which only profiles have, is nothing."""
_ESCAPES = {code: f"\\u{code:04X}" for code in (*range(0x20), 0x2028, 0x2029)}
"""How ClickHouse writes text in JSON, so that a value looks the same whoever wrote it."""
_ESCAPES |= str.maketrans({'"': r"\"", "\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def stamp(request: Message, signal: Signal, tenant: str) -> None:
    """Mark every resource of a request as a tenant's."""
    mark = _field(tenant.encode())
    for group in getattr(request, signal.groups[0]):
        group.MergeFromString(mark)


def unstamped(body: bytes, tenant: str) -> bytes:
    """A request as it was before it was stamped, for others to have: the mark is what a resource ends with."""
    mark = _field(tenant.encode())
    parts: list[bytes] = []
    done = 0
    for tag, begin, end in fields_of(body, 0, len(body)):
        if tag == GROUP and body.endswith(mark, begin, end):
            group = body[begin : end - len(mark)]
            parts += (varint(tag), varint(len(group)), group)
        else:
            parts.append(body[done:end])
        done = end
    return b"".join(parts)


def flatten(signal: Signal, data: bytes, records: Iterable[Good]) -> bytes:
    """The records of a segment as the store can take them."""
    flat: list[bytes] = []
    for record in records:
        request = signal.request.FromString(data[record.body : record.end])
        request.DiscardUnknownFields()
        _rewrite(request, signal)
        if record.tenant:
            stamp(request, signal, record.tenant)
        flat.append(request.SerializeToString())
    return b"".join(flat)


def _rewrite(request: Message, signal: Signal) -> None:
    groups, scopes, items = signal.groups
    for group in getattr(request, groups):
        _above(group.resource)
        for scope in getattr(group, scopes):
            _above(scope.scope)
            for item in getattr(scope, items):
                _ITEMS[signal](item)


def _above(message: Message) -> None:
    """A resource or a scope: what it nests is kept in it once, however many items it has."""
    _keep(message, _flatten(message.attributes))


def _keep(message: Message, nested: list[bytes]) -> None:
    if nested:
        message.MergeFromString(b"".join(map(_field, nested)))


def _span(span: Message) -> None:
    nested = _flatten(span.attributes)
    for part in (*span.events, *span.links):
        nested += _flatten(part.attributes)
    _keep(span, nested)


def _log_record(record: Message) -> None:
    _flatten(record.attributes)
    if _is_nested(record.body):
        record.body.string_value = text(record.body)


def _metric(metric: Message) -> None:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points if kind else ():
        _flatten(point.attributes)
        for exemplar in getattr(point, "exemplars", ()):
            _flatten(exemplar.filtered_attributes)


_ITEMS = {TRACES: _span, LOGS: _log_record, METRICS: _metric}


def _flatten(attributes: Iterable[KeyValue]) -> list[bytes]:
    """Replace nested values by their text; returns them as they were."""
    found: list[bytes] = []
    for attribute in attributes:
        value = attribute.value
        if _is_nested(value):
            found.append(base64.b64encode(value.SerializeToString()))
            number = value.DESCRIPTOR.fields_by_name[value.WhichOneof("value")].number
            value.string_value = text(value)
            attribute.MergeFromString(_KIND + bytes((number,)))
    return found


def _is_nested(value: AnyValue) -> bool:
    """Whether a value is a map, or an array of anything but values of one plain kind."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        kinds = {element.WhichOneof("value") for element in value.array_value.values}
        return len(kinds) > 1 or not kinds.isdisjoint(_NOT_PLAIN)
    return bool(kind == "kvlist_value")


def _field(content: bytes) -> bytes:
    """A length-delimited field of our own."""
    return _TEXT + varint(len(content)) + content


def text(value: AnyValue) -> str:
    """A value as JSON text, in the form that the views over the landing tables give arrays."""
    match value.WhichOneof("value"):
        case "string_value":
            return _quoted(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return _number(value.double_value)
        case "bytes_value":
            return f'"{base64.b64encode(value.bytes_value).decode()}"'
        case "array_value":
            return f"[{','.join(map(text, value.array_value.values))}]"
        case "kvlist_value":
            pairs = {pair.key: text(pair.value) for pair in value.kvlist_value.values}
            return "{" + ",".join(f"{_quoted(key)}:{pairs[key]}" for key in sorted(pairs)) + "}"
    return "null"


def _number(value: float) -> str:
    if math.isnan(value):
        return '"NaN"'
    if math.isinf(value):
        return '"+Inf"' if value > 0 else '"-Inf"'
    if value and not 1e-6 <= abs(value) < 1e21:
        mantissa, _, exponent = repr(value).partition("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    return format(Decimal(repr(value)), "f").removesuffix(".0")


def _quoted(string: str) -> str:
    return f'"{string.translate(_ESCAPES)}"'
