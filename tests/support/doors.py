"""The three doors of OTLP, protobuf and JSON over HTTP and gRPC, and requests of each signal to go through them."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint

from otel_llm_collector.signals import SIGNALS

from . import otlp
from .collector import Handle, send
from .random_messages import otlp_json

DOORS = ("protobuf", "json", "grpc")
NAMES = tuple(signal.name for signal in SIGNALS)
TYPES = {"protobuf": "application/x-protobuf", "json": "application/json"}
TABLES = {"traces": "otel_traces", "logs": "otel_logs", "metrics": "otel_metrics_gauge"}
_SIGNALS = {signal.name: signal for signal in SIGNALS}
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Answer:
    """``code`` is the status of HTTP, or the name of gRPC's; ``message`` the response or, refused, the status."""

    code: int | str
    message: Any
    headers: dict[str, Any]
    body: bytes = b""

    @property
    def stored(self) -> bool:
        return self.code in (200, "OK")


def export(collector: Handle, door: str, signal: str, request: Message | bytes, **headers: str) -> Answer:
    """Send a request through a door; one that is bytes goes as it is."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    if door == "grpc":
        return _call(collector, signal, encoded(door, request), given)
    given = {"Content-Type": TYPES[door], **given}
    code, answered, body = send("POST", f"{collector.http}/v1/{signal}", encoded(door, request), given)
    kind: type[Message] = _SIGNALS[signal].response if code == 200 else Status
    return Answer(code, _decoded(door, kind, body), answered, body)


def encoded(door: str, request: Message | bytes) -> bytes:
    """A request as the door takes it."""
    if isinstance(request, bytes):
        return request
    whole: bytes = request.SerializeToString() if door != "json" else json.dumps(otlp_json(request)).encode()
    return whole


def _decoded(door: str, kind: type[Message], body: bytes) -> Message:
    return json_format.Parse(body, kind()) if door == "json" else kind.FromString(body)


def _call(collector: Handle, signal: str, body: bytes, headers: dict[str, str]) -> Answer:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    with grpc.insecure_channel(collector.grpc.removeprefix("http://"), options) as channel:
        method = channel.unary_unary(f"/{_SIGNALS[signal].service}/Export")
        try:
            sent, call = method.with_call(body, metadata=[(name.lower(), text) for name, text in headers.items()])
        except grpc.RpcError as error:
            details = error.details() or ""
            metadata = dict(error.trailing_metadata() or ())
            return Answer(error.code().name, Status(message=details), metadata)
        return Answer("OK", _SIGNALS[signal].response.FromString(sent), dict(call.trailing_metadata() or ()), sent)


def request(signal: str, service: str, *items: Any, **resource: Any) -> Any:
    """A request with these items, or with one ordinary one."""
    if signal == "traces":
        return otlp.request(*(items or [otlp.span()]), service=service, resource=resource)
    made: Any = ExportLogsServiceRequest() if signal == "logs" else ExportMetricsServiceRequest()
    group = (made.resource_logs if signal == "logs" else made.resource_metrics).add()
    group.resource.attributes.extend(otlp.attributes({"service.name": service, **resource}))
    if signal == "logs":
        group.scope_logs.add().log_records.extend(items or [log_record()])
    else:
        metric = group.scope_metrics.add().metrics.add(name="gauge")
        metric.gauge.data_points.extend(items or [data_point()])
    return made


def log_record(**fields: Any) -> LogRecord:
    """A record with a time of its own: two requests that are alike in every byte are one, sent twice."""
    return LogRecord(**{"time_unix_nano": otlp.START + next(_numbers), "body": otlp.value("It is late."), **fields})


def data_point(**fields: Any) -> NumberDataPoint:
    """A point with a time of its own."""
    return NumberDataPoint(**{"time_unix_nano": otlp.START + next(_numbers), "as_int": 7, **fields})


def rows(collector: Handle, signal: str, service: str, columns: str = "*", order: str = "1") -> list[dict[str, Any]]:
    """What is stored of a service."""
    collector.flush()
    return collector.query(
        f"SELECT {columns} FROM {TABLES[signal]} WHERE ServiceName = {{s:String}} ORDER BY {order}", s=service
    )


def stored(collector: Handle, signal: str, service: str) -> int:
    """How many items of a service are stored."""
    (row,) = rows(collector, signal, service, "count() AS n")
    return int(row["n"])


def documents(service: str, *spans: dict[str, Any]) -> bytes:
    """Spans as OTLP/JSON."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": list(spans)}]}]}).encode()


def document(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A span as OTLP/JSON."""
    return {
        "traceId": f"{number:032x}", "spanId": f"{number:016x}", "name": "json", "kind": 3,
        "startTimeUnixNano": str(otlp.START), "endTimeUnixNano": str(otlp.START + 1), **fields,
    }  # fmt: skip
