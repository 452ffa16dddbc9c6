"""Messages that Jaeger takes: its gRPC client reads none of more than 4 MiB, which cannot be changed in its
configuration, and would show nothing of a trace with one span that is larger."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

MESSAGE_BYTES = 4 << 20
_ROOM = 64 << 10
"""For what the lengths of what is around a value take, and for the warnings."""
_KEPT = 1024
"""Characters that are left of a value."""
_MOST = 100
"""Attributes that are left of something that is too large with all its values cut."""
_WARNINGS = "@jaeger@warnings"
"""The attribute that Jaeger shows as warnings of a span."""


def fitting(chunk: bytes) -> bytes:
    """A ``TracesData`` message that Jaeger takes: a larger one gets its largest values cut, and its spans say so."""
    if len(chunk) <= MESSAGE_BYTES:
        return chunk
    data = TracesData.FromString(chunk)
    too_much = len(chunk) - MESSAGE_BYTES + _ROOM
    cut = []
    for pair in sorted(_pairs(data), key=lambda pair: -pair.value.ByteSize()):
        if too_much <= 0:
            break
        before, short = pair.value.ByteSize(), AnyValue(string_value=_beginning(pair.value))
        if short.ByteSize() >= before:
            continue
        pair.value.CopyFrom(short)
        too_much -= before - short.ByteSize()
        cut.append(f"{pair.key[:_KEPT]} is cut here: it has {before} bytes, all of which are in otel_traces.")
    if too_much > 0:
        _shorten(data)
        cut.insert(0, "Only the beginning is here: it is too large for Jaeger, and all of it is in otel_traces.")
    for group in data.resource_spans:
        for scope in group.scope_spans:
            for span in scope.spans:
                span.attributes.add(key=_WARNINGS).value.array_value.values.extend(
                    AnyValue(string_value=text) for text in cut[:10]
                )
    small: bytes = data.SerializeToString()
    return small


def _pairs(message: Message) -> Iterator[KeyValue]:
    """Every attribute in a message, but for those inside the value of another."""
    if isinstance(message, KeyValue):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                yield from _pairs(inner)


def _shorten(data: TracesData) -> None:
    """Leave some attributes of resources, scopes and spans, no events and links, and the first characters of texts."""
    for group in data.resource_spans:
        for scope in group.scope_spans:
            for owner in (group.resource, scope.scope, *scope.spans):
                _drop(owner, "attributes", _MOST)
            for span in scope.spans:
                for name in ("events", "links"):
                    _drop(span, name, 0)
    _shorten_texts(data)


def _drop(owner: Message, name: str, most: int) -> None:
    """Leave so many elements of a field, and count the others."""
    elements, counter = getattr(owner, name), f"dropped_{name}_count"
    if len(elements) > most:
        setattr(owner, counter, min(getattr(owner, counter) + len(elements) - most, 2**32 - 1))
        del elements[most:]


def _shorten_texts(message: Message) -> None:
    for field, value in message.ListFields():
        if isinstance(value, str):
            setattr(message, field.name, value[:_KEPT])
        elif field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                _shorten_texts(inner)


def _beginning(value: AnyValue) -> str:
    """The first characters of a value as text, and that there were more."""
    text = value.string_value if value.HasField("string_value") else str(value)[: _KEPT + 1]
    return f"{text[:_KEPT]} …"
