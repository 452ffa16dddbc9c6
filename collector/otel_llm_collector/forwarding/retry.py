"""OTLP's rules of what is sent again, and when."""

from __future__ import annotations

import datetime
import email.utils
import json
from collections.abc import Iterable
from enum import Enum, auto

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

OK = grpc.StatusCode.OK.name
_LONGEST_S = 3600.0
"""Most that an endpoint can make us wait."""
_SHOWN = 300


class Verdict(Enum):
    """What becomes of a request."""

    ACCEPTED = auto()
    AGAIN = auto()
    """It is sent again, as it is."""
    TOO_LARGE = auto()
    """A part of it may be accepted, and others like it will not be."""
    SPOILED = auto()
    """A part of it may be accepted: a single record can be what is wrong with it."""
    GIVEN_UP = auto()
    """Nor would any part of it be accepted."""


_HTTP = {
    **dict.fromkeys((429, 502, 503, 504), Verdict.AGAIN),
    **dict.fromkeys((408, 413), Verdict.TOO_LARGE),
    **dict.fromkeys((400, 422, 500), Verdict.SPOILED),
}
_CODE = grpc.StatusCode
_GRPC = {
    **dict.fromkeys((_CODE.CANCELLED, _CODE.DEADLINE_EXCEEDED, _CODE.ABORTED), Verdict.AGAIN),
    **dict.fromkeys((_CODE.OUT_OF_RANGE, _CODE.UNAVAILABLE, _CODE.DATA_LOSS), Verdict.AGAIN),
    _CODE.RESOURCE_EXHAUSTED: Verdict.TOO_LARGE,
    **dict.fromkeys((_CODE.INVALID_ARGUMENT, _CODE.INTERNAL, _CODE.UNKNOWN), Verdict.SPOILED),
}


def over_http(status: int) -> Verdict:
    """What becomes of a request with this status, which is no success."""
    return _HTTP.get(status, Verdict.GIVEN_UP)


def over_grpc(code: grpc.StatusCode, wait_s: float | None) -> Verdict:
    """What becomes of a request with this code, not OK; ``wait_s`` is ``None`` where the answer has no RetryInfo."""
    if code is _CODE.RESOURCE_EXHAUSTED and wait_s is not None:
        return Verdict.AGAIN
    return _GRPC.get(code, Verdict.GIVEN_UP)


def retry_after(header: str) -> float:
    """Seconds that a ``Retry-After`` asks for, as a number or a date; 0 where it says nothing."""
    try:
        if header.strip().isdecimal():
            return min(float(header), _LONGEST_S)
        until = email.utils.parsedate_to_datetime(header)
        left = (until - datetime.datetime.now(until.tzinfo)).total_seconds()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, left), _LONGEST_S)


def retry_info(trailers: Iterable[tuple[str, str | bytes]]) -> float | None:
    """Seconds that a RetryInfo asks for, in either of the two places; ``None`` where there is none."""
    for name, value in trailers:
        if not isinstance(value, bytes):
            continue
        try:
            if name == "google.rpc.retryinfo-bin":
                return _seconds(RetryInfo.FromString(value))
            if name == "grpc-status-details-bin":
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return _seconds(info)
        except DecodeError:
            continue
    return None


def sentence(said: str | bytes, content_type: str = "") -> str:
    """What an endpoint says, fit for a line of a log: of a Status its message, of anything else the beginning."""
    if isinstance(said, bytes):
        try:
            if content_type == "application/x-protobuf":
                said = str(Status.FromString(said).message)
            elif content_type == "application/json":
                parsed = json.loads(said)
                said = str(parsed["message"]) if isinstance(parsed, dict) and "message" in parsed else said
        except (DecodeError, ValueError, RecursionError):
            pass
    text = said if isinstance(said, str) else said[: 4 * _SHOWN].decode(errors="replace")
    return " ".join("".join(c if c.isprintable() else " " for c in text[:_SHOWN]).split())


def _seconds(info: RetryInfo) -> float:
    left: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
    return min(max(0.0, left), _LONGEST_S)
