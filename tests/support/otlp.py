"""OTLP requests for tests."""

from __future__ import annotations

import datetime
import itertools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_llm_collector.log.record import Record, digest
from otel_llm_collector.log.segment import Segment, identity
from otel_llm_collector.signals import TRACES

_DAY = 86_400_000_000_000
START = (time.time_ns() // _DAY - 20) * _DAY + 51_200_000_000_000
"""A quarter past two of a day three weeks ago: times of another month would be set right by the collector."""
_numbers = itertools.count(1)


def utc(nanoseconds: int, digits: int = 9) -> str:
    """A time as ClickHouse writes it."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    text = datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{rest:09d}"[: len(text) + digits + 1] if digits else text


def value(content: Any) -> AnyValue:
    """A value of any kind; ``None`` is one that is set to nothing."""
    match content:
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=content)
        case int():
            return AnyValue(int_value=content)
        case float():
            return AnyValue(double_value=content)
        case str():
            return AnyValue(string_value=content)
        case bytes():
            return AnyValue(bytes_value=content)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(value, content)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=attributes(content)))
    raise TypeError(type(content))


def attributes(pairs: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value(content)) for key, content in pairs.items()]


def span(pairs: Mapping[str, Any] | None = None, **fields: Any) -> Span:
    """A span with ids of its own, one second long."""
    given = {
        "trace_id": os.urandom(16),
        "span_id": next(_numbers).to_bytes(8, "big"),
        "name": "chat gpt",
        "kind": Span.SPAN_KIND_CLIENT,
        "start_time_unix_nano": START,
        "end_time_unix_nano": START + 1_000_000_000,
        **fields,
    }
    return Span(attributes=attributes(pairs or {}), **given)


def request(
    *spans: Span, service: str = "tests", resource: Mapping[str, Any] | None = None
) -> ExportTraceServiceRequest:
    """One request of one service and one scope."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.extend(attributes({"service.name": service, **(resource or {})}))
    scope = group.scope_spans.add()
    scope.scope.name, scope.scope.version = "scope", "1.2"
    scope.spans.extend(spans)
    return message


def body(*spans: Span, service: str = "tests", resource: Mapping[str, Any] | None = None) -> bytes:
    encoded: bytes = request(*spans, service=service, resource=resource).SerializeToString()
    return encoded


def segment(folder: Path, number: int, *records: Record) -> Segment:
    """A segment of traces in a folder, with these records, as the log leaves it."""
    path = folder / f"{number:020d}-0102030405060708.seg"
    path.write_bytes(b"".join(record.encode(identity(path)) for record in records))
    return Segment(
        TRACES,
        path,
        path.stat().st_size,
        sum(record.items for record in records),
        1,
        tuple(record.digest for record in records),
        number / 1e9,
    )


def log_record(sent: bytes, spans: int, tenant: str = "") -> Record:
    """A request as the log takes it."""
    return Record(sent, spans, digest(sent, "traces", tenant), tenant=tenant)
