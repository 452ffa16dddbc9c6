"""A client of Jaeger's remote storage protocol, for what Jaeger itself would never ask."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_llm_collector.jaeger.messages import message

_PACKAGE = "jaeger.storage.v2"
_ANSWERS = {
    "GetTraces": TracesData,
    "FindTraces": TracesData,
    "FindTraceIDs": message("FindTraceIDsResponse"),
    "FindTraceSummaries": message("FindTraceSummariesResponse"),
    "GetServices": message("GetServicesResponse"),
    "GetOperations": message("GetOperationsResponse"),
    "GetDependencies": message("GetDependenciesResponse"),
    "GetCapabilities": message("GetCapabilitiesResponse"),
}
_SERVICES = {"GetDependencies": "DependencyReader", "GetCapabilities": "Capabilities"}
TIMEOUT_S = 120


def address(url: str) -> str:
    """Where a URL leads, as gRPC wants it."""
    return urlsplit(url).netloc


def method(channel: Any, name: str) -> Any:
    """A method of a channel, of grpc or grpc.aio; its answer is a stream. What it is sent may be bytes."""
    return channel.unary_stream(
        f"/{_PACKAGE}.{_SERVICES.get(name, 'TraceReader')}/{name}",
        request_serializer=lambda request: request if isinstance(request, bytes) else request.SerializeToString(),
        response_deserializer=_ANSWERS[name].FromString,
    )


def ask(url: str, name: str, request: Message | bytes, timeout: float = TIMEOUT_S) -> tuple[str, str, list[Any]]:
    """What a call is answered with: gRPC's name of the status, what it says, and the messages so far."""
    with grpc.insecure_channel(address(url)) as channel:
        got: list[Any] = []
        try:
            got.extend(method(channel, name)(request, timeout=timeout))
        except grpc.RpcError as error:
            return error.code().name, error.details(), got
        return "OK", "", got


def search(**fields: Any) -> Any:
    """A request of the three searches: attributes as pairs, the times and durations in nanoseconds."""
    request = message("FindTracesRequest")()
    request.query.search_depth = fields.pop("depth", 20)
    for key, value in fields.pop("attributes", ()):
        attribute = request.query.attributes.add(key=key)
        attribute.value.string_value = value
    for name, value in fields.items():
        if isinstance(value, int):
            part = getattr(request.query, name)
            part.seconds, part.nanos = divmod(value, 10**9)
        else:
            setattr(request.query, name, value)
    return request


def spans(chunks: list[TracesData]) -> list[Any]:
    """The spans of an answer, in its order."""
    return [
        span
        for chunk in chunks
        for resource in chunk.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
