"""Answers of OTLP that are not a success: ``google.rpc.Status``, and when to try again."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

RETRY_AFTER_S = 1
"""Short: the Python exporters give a request ten seconds in all."""

INVALID_ARGUMENT = 3
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
UNAVAILABLE = 14

ONLY_TRACES = "This collector stores traces only; {} are not stored. Set OTEL_{}_EXPORTER=none."


def retry_info() -> RetryInfo:
    return RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S))


def status(code: int, message: str) -> Status:
    """The status; one that asks to try again says when."""
    answer = Status(code=code, message=message)
    if code == UNAVAILABLE:
        detail = Any()
        detail.Pack(retry_info())
        answer.details.append(detail)
    return answer
