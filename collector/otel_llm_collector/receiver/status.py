"""The answers of OTLP: a success, in full or in part, or a ``google.rpc.Status``, and when to try again."""

from __future__ import annotations

from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_llm_collector.signals import Signal

RETRY_AFTER_S = 1
"""Short: the Python exporters give a request ten seconds in all."""

INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
UNAVAILABLE = 14
UNAUTHENTICATED = 16
OF_DENIAL = {401: UNAUTHENTICATED, 403: PERMISSION_DENIED, 429: RESOURCE_EXHAUSTED}
"""By the HTTP status of an ``AccessDenied``."""


def success(signal: Signal, rejected: int, reason: str) -> Message:
    """The answer to a request that is stored, in full or in part."""
    answer = signal.response()
    if rejected:
        setattr(answer.partial_success, signal.rejected, rejected)
        answer.partial_success.error_message = reason
    return answer


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
