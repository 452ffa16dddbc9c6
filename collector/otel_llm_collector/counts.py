"""What a collector has done since it started; every count has one thread that adds to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """Running totals, as ``GET /v1/status`` shows them."""

    accepted_spans: int = 0
    """Spans that were acknowledged."""
    rejected_spans: int = 0
    """Spans without valid ids, which were left out of a request."""
    malformed_requests: int = 0
    """Requests that were refused for good."""
    refused_requests: int = 0
    """Requests whose sender was asked to try again, because the log had no room."""
    duplicate_requests: int = 0
    """Requests that had come before and were not stored again."""
    inserted_spans: int = 0
    """Spans that the store has taken."""
    inserted_segments: int = 0
    rewritten_segments: int = 0
    """Segments that the store took only rewritten: nested attribute values as text, unknown fields left out."""
    replayed_segments: int = 0
    """Segments that an earlier run had left."""
    quarantined: int = 0
    """Damaged records and segments that the store cannot take, set aside in the log's ``quarantine`` folder."""
    torn_bytes: int = 0
    """Bytes of unfinished writes that were cut off after a crash."""
