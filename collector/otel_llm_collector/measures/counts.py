"""What a collector has done since it started, signal by signal; every count has one thread that adds to it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from otel_llm_collector.errors import QueryRefused
from otel_llm_collector.signals import SIGNALS

from .durations import Durations

Door = Literal["grpc", "http", "json"]
"""The ways in: OTLP/gRPC, OTLP/HTTP with protobuf, OTLP/HTTP with JSON."""
Reason = Literal["content_type", "encoding", "full", "malformed", "slow", "too_large"]
"""Why requests are refused."""
Outcome = Literal["answered", "refused", "failed", "cancelled"]
"""What becomes of a statement: refused by us, failed in ClickHouse, or given up by its client."""


@dataclass(slots=True)
class Taken:
    """What was acknowledged at one door; bytes are those of the bodies in protobuf, inflated."""

    requests: int = 0
    items: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Counts:
    """Running totals of one signal, as ``GET /v1/status`` shows them. Items are spans, log records or data points."""

    doors: dict[Door, Taken] = field(default_factory=lambda: {door: Taken() for door in get_args(Door)})
    rejected: int = 0
    """Items that were left out of a request, because they have no valid ids."""
    clamped: int = 0
    """Items whose times were so wrong that they were set right."""
    duplicate_requests: int = 0
    """Requests that had come before and were not stored again."""
    refused_requests: dict[Reason, int] = field(default_factory=dict)
    """Requests that were refused, by reason."""
    inserted: int = 0
    """Items that the store has taken."""
    inserted_segments: int = 0
    rewritten_segments: int = 0
    """Segments that the store took only rewritten: nested attribute values as text, unknown fields left out."""
    split_segments: int = 0
    """Segments that the store took in neither form and that were cut in two, to find what it does not take."""
    failed_inserts: int = 0
    """Attempts that failed and were, or will be, tried again."""
    replayed_segments: int = 0
    """Segments that an earlier run had left."""
    quarantined: int = 0
    """Damaged records and records that the store cannot take, set aside in the log's ``quarantine`` folder."""
    torn_bytes: int = 0
    """Bytes of unfinished writes that were cut off after a crash."""

    def refuse(self, reason: Reason) -> None:
        """Count a request that was refused."""
        self.refused_requests[reason] = self.refused_requests.get(reason, 0) + 1

    def shown(self) -> dict[str, Any]:
        """All of it; ``accepted`` and ``accepted_requests`` are what the doors took together."""
        taken = self.doors.values()
        accepted = sum(door.items for door in taken)
        return {"accepted": accepted, "accepted_requests": sum(door.requests for door in taken), **asdict(self)}


@dataclass(slots=True)
class Queries:
    """What became of the statements sent to the SQL endpoint, and how long they took."""

    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    durations: Durations = field(default_factory=Durations)

    def add(self, outcome: Outcome, seconds: float) -> None:
        self.outcomes[outcome] += 1
        self.durations.add(seconds)

    @contextlib.contextmanager
    def counted(self) -> Iterator[None]:
        """Count what is awaited inside, by the way it ends."""
        began = time.perf_counter()
        outcome: Outcome = "failed"
        try:
            yield
            outcome = "answered"
        except QueryRefused:
            outcome = "refused"
            raise
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            self.add(outcome, time.perf_counter() - began)


def counts() -> dict[str, Counts]:
    """New totals for every signal, by its name."""
    return {signal.name: Counts() for signal in SIGNALS}
