"""The messages of ``schemas/jaeger/storage.proto``, whose field names are those of the standard."""

from __future__ import annotations

from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClassesForFiles

from otel_llm_collector import schemas

_PACKAGE = "jaeger.storage.v2"


def _classes() -> dict[str, Any]:
    pool = DescriptorPool()  # of our own: another's messages of the same name would be an error in the common one
    for needed in (duration_pb2, timestamp_pb2):
        pool.AddSerializedFile(needed.DESCRIPTOR.serialized_pb)
    compiled = FileDescriptorSet.FromString((schemas.folder() / "jaeger" / "storage.binpb").read_bytes())
    for file in compiled.file:
        pool.Add(file)
    return dict(GetMessageClassesForFiles([file.name for file in compiled.file], pool))


_BY_NAME = _classes()


def message(name: str) -> Any:
    """The class of a message, such as ``FindTracesRequest``."""
    return _BY_NAME[f"{_PACKAGE}.{name}"]
