"""``GET /metrics``: what is counted anyway, as Prometheus reads it.

Labels have few values, known beforehand: signals, doors, reasons, outcomes and the names of endpoints.
"""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import get_args

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from .door.gate import Gate
from .engine import Engine
from .forwarding.forwarder import Forwarder
from .measures.counts import Counts, Queries, Reason
from .measures.durations import Durations
from .measures.metric_families import FAMILIES, PREFIX
from .receiver.room import Room

_Sample = tuple[str, tuple[str, ...], float | Durations]

_OF_SIGNALS = {
    "duplicate_requests": "duplicate_requests",
    "rejected_items": "rejected",
    "clamped_items": "clamped",
    "stored_items": "inserted",
    "stored_segments": "inserted_segments",
    "failed_inserts": "failed_inserts",
    "rewritten_segments": "rewritten_segments",
    "split_segments": "split_segments",
    "quarantined_records": "quarantined",
    "replayed_segments": "replayed_segments",
    "torn_bytes": "torn_bytes",
}
"""Metrics that are a field of ``Counts``."""


class Metrics(Collector):
    """Reads the totals whenever it is asked."""

    def __init__(
        self, engine: Engine, counts: Mapping[str, Counts], gate: Gate, room: Room, queries: Queries, version: str
    ) -> None:
        self._engine = engine
        self._counts = counts
        self._gate = gate
        self._queries = queries
        self._room = room
        self.jaeger: Mapping[tuple[str, str], int] = {}
        """Calls of Jaeger that have ended, by method and status."""
        self._about = {
            "version": version,
            "python": platform.python_version(),
            "store": "embedded" if engine.store.embedded else "server",
        }

    def registry(self) -> CollectorRegistry:
        """These metrics, and those of the process."""
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        return registry

    def collect(self) -> Iterator[Metric]:
        values: defaultdict[str, list[tuple[tuple[str, ...], float | Durations]]] = defaultdict(list)
        for name, labels, value in self._samples():
            values[name].append((labels, value))
        yield InfoMetricFamily(f"{PREFIX}build", "The collector that runs.", self._about)
        for name, family in FAMILIES.items():
            yield family.metric(name, values[name])

    def _samples(self) -> Iterator[_Sample]:
        for signal, counts in self._counts.items():
            yield from _of_signal(signal, counts)
        for signal, inserter in self._engine.inserters.items():
            yield "waiting_segments", (signal,), inserter.waiting
            yield "insert_duration_seconds", (signal,), inserter.inserts
        yield from self._of_gate()
        yield from self._of_log()
        for forwarder in self._engine.forwarding.forwarders:
            yield from _of_forwarder(forwarder)
        state = self._engine.watch.state
        yield "store_up", (), state.reachable
        yield "store_bytes", (), state.bytes
        yield "store_rows", (), state.rows
        yield "schema_version", (), state.schema_version
        yield "ready", (), not self._engine.problems()
        for outcome, count in self._queries.outcomes.items():
            yield "queries", (outcome,), count
        yield "query_duration_seconds", (), self._queries.durations
        for (method, status), count in dict(self.jaeger).items():
            yield "jaeger_calls", (method, status), count
        yield "request_bodies_bytes", (), self._room.taken

    def _of_gate(self) -> Iterator[_Sample]:
        for port, connections in self._gate.connections.items():
            yield "connections", (port,), connections.total
            yield "refused_connections", (port,), connections.refused
            yield "late_connections", (port,), connections.late
            yield "failed_handshakes", (port,), connections.unshaken
        for reason, count in self._gate.access.refused.items():
            yield "refused_callers", (reason,), count

    def _of_log(self) -> Iterator[_Sample]:
        log, space = self._engine.log, self._engine.space
        yield "log_bytes", (), log.waiting_bytes
        yield "log_limit_bytes", (), log.limit_bytes
        yield "log_writable", (), not log.problem
        yield "oldest_record_age_seconds", (), self._engine.oldest_age_s
        yield "fsync_duration_seconds", (), log.syncs
        yield "disk_size_bytes", (), space.size
        yield "disk_free_bytes", (), space.free


def _of_signal(signal: str, counts: Counts) -> Iterator[_Sample]:
    for door, taken in counts.doors.items():
        yield "accepted_requests", (signal, door), taken.requests
        yield "accepted_items", (signal, door), taken.items
        yield "accepted_bytes", (signal, door), taken.bytes
    for reason in get_args(Reason):
        yield "refused_requests", (signal, reason), counts.refused_requests.get(reason, 0)
    for name, field in _OF_SIGNALS.items():
        yield name, (signal,), getattr(counts, field)


def _of_forwarder(forwarder: Forwarder) -> Iterator[_Sample]:
    name, counts = forwarder.endpoint.name, forwarder.counts
    yield "forwarded_requests", (name,), counts.requests
    yield "forwarded_items", (name,), counts.items
    yield "forwarded_bytes", (name,), counts.bytes
    yield "forward_rejected_items", (name,), counts.rejected
    yield "forward_failures", (name,), counts.failures
    for reason, items in dict(counts.given_up).items():  # a copy, as another thread adds to it
        yield "forward_given_up_items", (name, reason), items
    yield "forward_waiting_segments", (name,), forwarder.segments
    yield "forward_waiting_bytes", (name,), forwarder.room
    yield "forward_oldest_record_age_seconds", (name,), forwarder.oldest_age_s
    yield "forward_up", (name,), not forwarder.last_error
