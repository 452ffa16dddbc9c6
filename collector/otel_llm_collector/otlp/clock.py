"""Times that cannot be: senders whose clock is wrong by years, or that send an end before its start.

Every day is a partition, so times far off make every insert slow and every question read more. They are set to the time
of receipt, and what was sent is kept as attributes of the item, as text in nanoseconds.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from google.protobuf.message import Message

_DAY = 86_400_000_000_000
_AHEAD_DAYS = 1
_REFRESH_NS = 1_000_000_000

TIME = "otel_llm.clock.time_unix_nano"
START = "otel_llm.clock.start_time_unix_nano"
END = "otel_llm.clock.end_time_unix_nano"


@dataclass(frozen=True, slots=True)
class Window:
    """The times that are believed, in nanoseconds since 1970; ``now`` stands in for others."""

    now: int
    earliest: int
    latest: int

    @classmethod
    def at(cls, now: int, late_days: int) -> Window:
        return cls(now, now - late_days * _DAY, now + _AHEAD_DAYS * _DAY)


class Clock:
    """The window of now, made once a second."""

    def __init__(self, late_days: int) -> None:
        self._late_days = late_days
        self._window = Window.at(time.time_ns(), late_days)

    @property
    def window(self) -> Window:
        now = time.time_ns()
        if not 0 <= now - self._window.now < _REFRESH_NS:
            self._window = Window.at(now, self._late_days)
        return self._window


def clamp_span(span: Message, window: Window) -> None:
    """Set the times of a span right, whichever of them is wrong."""
    start, end = span.start_time_unix_nano, span.end_time_unix_nano
    if not window.earliest <= start <= window.latest:
        _keep(span, START, start)
        length = end - start
        start = span.start_time_unix_nano = window.now
        if 0 <= length <= window.latest - start:
            _keep(span, END, end)
            span.end_time_unix_nano = start + length
            return
    if not start <= end <= window.latest:
        _keep(span, END, end)
        span.end_time_unix_nano = start


def clamp_log(record: Message, window: Window) -> None:
    """Set the time of a log record; where it has none but when it was observed, that is its time."""
    _keep(record, TIME, record.time_unix_nano or record.observed_time_unix_nano)
    record.time_unix_nano = window.now


def clamp_point(point: Message, window: Window) -> None:
    """Set the time of a data point."""
    _keep(point, TIME, point.time_unix_nano)
    point.time_unix_nano = window.now


def _keep(item: Message, name: str, sent: int) -> None:
    attribute = item.attributes.add()
    attribute.key = name
    attribute.value.string_value = str(sent)
