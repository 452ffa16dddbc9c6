"""Mending protobuf messages whose text is not UTF-8, which proto3 forbids and some senders do."""

from __future__ import annotations

from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message

_Field = descriptor_pb2.FieldDescriptorProto


def repair(kind: type[Message], body: bytes) -> bytes:
    """The message with U+FFFD in place of what is not UTF-8; the body as it is where it cannot be read at all."""
    message = _lenient(kind.DESCRIPTOR.full_name)()
    try:
        message.ParseFromString(body)
    except DecodeError:
        return body
    _mend(message, kind.DESCRIPTOR.full_name)
    mended: bytes = message.SerializeToString()
    return mended


def _mend(message: Message, name: str) -> None:
    texts = _texts(name)
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            inner = field.message_type.full_name
            for child in value if field.is_repeated else (value,):
                _mend(child, inner)
        elif field.name in texts and field.is_repeated:
            value[:] = [_mended(text) for text in value]
        elif field.name in texts:
            setattr(message, field.name, _mended(value))


def _mended(value: bytes) -> bytes:
    return value.decode(errors="replace").encode()


@cache
def _texts(name: str) -> frozenset[str]:
    """The fields of a message type that hold text."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(name)
    return frozenset(field.name for field in descriptor.fields if field.type == FieldDescriptor.TYPE_STRING)


@cache
def _lenient(name: str) -> type[Message]:
    """The same message type with bytes where it has text."""
    pool = descriptor_pool.DescriptorPool()
    _copy(descriptor_pool.Default().FindMessageTypeByName(name).file, pool, set())
    lenient: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return lenient


def _copy(file: FileDescriptor, pool: descriptor_pool.DescriptorPool, seen: set[str]) -> None:
    if file.name in seen:
        return
    seen.add(file.name)
    for dependency in file.dependencies:
        _copy(dependency, pool, seen)
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    for message in proto.message_type:
        _loosen(message)
    pool.Add(proto)


def _loosen(message: descriptor_pb2.DescriptorProto) -> None:
    for field in message.field:
        if field.type == _Field.TYPE_STRING:
            field.type = _Field.TYPE_BYTES
    for nested in message.nested_type:
        _loosen(nested)
