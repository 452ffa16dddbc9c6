"""The collector's metrics by name: what each tells, and the labels it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

from .durations import BOUNDS, Durations

PREFIX = "otel_llm_collector_"
_KINDS: dict[str, Any] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}
_EDGES = (*map(floatToGoString, BOUNDS), "+Inf")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric; counters are shown with ``_total`` behind their names."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()

    def shown(self, name: str) -> str:
        """The name that it is asked by."""
        return f"{PREFIX}{name}{'_total' if self.kind == 'counter' else ''}"

    def metric(self, name: str, values: Sequence[tuple[tuple[str, ...], float | Durations]]) -> Metric:
        """The metric with these values, each behind the labels that it has."""
        family: CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
        family = _KINDS[self.kind](self.shown(name), self.help, labels=self.labels)
        for labels, value in values:
            family.add_metric(labels, *(_histogram(value) if isinstance(value, Durations) else (value,)))
        return family


def _histogram(durations: Durations) -> tuple[list[tuple[str, float]], float]:
    """Its buckets, each with what is below its bound, and the sum."""
    return list(zip(_EDGES, accumulate(durations.buckets), strict=True)), durations.seconds


FAMILIES: dict[str, Family] = {
    # What comes in.
    "accepted_requests": Family("counter", "Requests that were acknowledged.", ("signal", "door")),
    "accepted_items": Family("counter", "Items that were acknowledged.", ("signal", "door")),
    "accepted_bytes": Family(
        "counter", "Bytes of the requests that were acknowledged, inflated and in protobuf.", ("signal", "door")
    ),
    "refused_requests": Family("counter", "Requests that were refused.", ("signal", "reason")),
    "duplicate_requests": Family("counter", "Requests that had come before and were not stored again.", ("signal",)),
    "rejected_items": Family("counter", "Items left out of a request, because they have no valid ids.", ("signal",)),
    "clamped_items": Family("counter", "Items whose times were so wrong that they were set right.", ("signal",)),
    "connections": Family("gauge", "Open connections to an HTTP port.", ("port",)),
    "refused_connections": Family("counter", "Connections closed at once, because there were too many.", ("port",)),
    "late_connections": Family(
        "counter", "Connections whose request's head did not arrive, or whose answer was not read, in time.", ("port",)
    ),
    "failed_handshakes": Family("counter", "Connections whose TLS handshake failed.", ("port",)),
    "refused_callers": Family("counter", "Requests that were not let in.", ("reason",)),
    # What waits.
    "log_bytes": Family("gauge", "Bytes that were acknowledged and are not in the store yet."),
    "log_limit_bytes": Family("gauge", "Most that the log may hold before senders are asked to wait."),
    "log_writable": Family("gauge", "1 while the log takes records, 0 while it is full, faulty or closing."),
    "waiting_segments": Family("gauge", "Segments that are not in the store yet.", ("signal",)),
    "oldest_record_age_seconds": Family("gauge", "Age of the oldest record that is not in the store; 0 for none."),
    "fsync_duration_seconds": Family("histogram", "How long the log waited for the disk; senders share a wait."),
    "disk_size_bytes": Family("gauge", "Size of the disk that the log is on."),
    "disk_free_bytes": Family("gauge", "What is free of it."),
    # What goes on into the store.
    "stored_items": Family("counter", "Items that the store has taken.", ("signal",)),
    "stored_segments": Family("counter", "Segments that the store has taken.", ("signal",)),
    "insert_duration_seconds": Family(
        "histogram", "How long it took to insert a segment, attempts that failed included.", ("signal",)
    ),
    "failed_inserts": Family("counter", "Attempts that failed and were, or will be, tried again.", ("signal",)),
    "rewritten_segments": Family("counter", "Segments that the store took only rewritten.", ("signal",)),
    "split_segments": Family("counter", "Segments cut in two, to find what the store does not take.", ("signal",)),
    "quarantined_records": Family(
        "counter", "Damaged records and records that the store cannot take, set aside.", ("signal",)
    ),
    "replayed_segments": Family("counter", "Segments that an earlier run had left.", ("signal",)),
    "torn_bytes": Family("counter", "Bytes of unfinished writes that were cut off after a crash.", ("signal",)),
    # What is sent on.
    "forwarded_requests": Family("counter", "Requests that an endpoint accepted.", ("endpoint",)),
    "forwarded_items": Family("counter", "Items in them.", ("endpoint",)),
    "forwarded_bytes": Family("counter", "Bytes in them, before compression.", ("endpoint",)),
    "forward_rejected_items": Family("counter", "Items that it left out of what it accepted.", ("endpoint",)),
    "forward_failures": Family("counter", "Attempts that failed and were, or will be, tried again.", ("endpoint",)),
    "forward_given_up_items": Family("counter", "Items that are not tried again.", ("endpoint", "reason")),
    "forward_waiting_segments": Family("gauge", "Segments that are not sent to it yet.", ("endpoint",)),
    "forward_waiting_bytes": Family("gauge", "Bytes that they take of the disk.", ("endpoint",)),
    "forward_oldest_record_age_seconds": Family("gauge", "Age of the oldest record in them.", ("endpoint",)),
    "forward_up": Family("gauge", "1 while an endpoint accepts, 0 while the last attempt failed.", ("endpoint",)),
    # The store.
    "store_up": Family("gauge", "1 when the store answered when it was last asked, every few seconds."),
    "store_bytes": Family("gauge", "What the store's tables take on its disk; on a cluster, on one node."),
    "store_rows": Family("gauge", "Rows in the store's tables; on a cluster, on one node."),
    "schema_version": Family("gauge", "The newest migration that was applied to the store; 0 when not known."),
    "ready": Family("gauge", "1 when what is accepted can also be stored, as /readyz says."),
    # Questions.
    "queries": Family("counter", "Statements sent to the SQL endpoint.", ("outcome",)),
    "query_duration_seconds": Family("histogram", "How long statements took, in whichever way they ended."),
    "jaeger_calls": Family("counter", "Calls of Jaeger's remote storage that have ended.", ("method", "status")),
    "request_bodies_bytes": Family("gauge", "Memory that the bodies of requests under way take."),
}
"""In the order in which they are shown."""
