"""What a request takes once it is rows: each repeats the resource, the scope and the metric that it is of."""

from __future__ import annotations

from google.protobuf.message import Message

from otel_llm_collector.settings import MIB
from otel_llm_collector.signals import METRICS, Signal

UNFOLDED_BYTES = 256 * MIB
"""Most that a request may be: ClickHouse takes two to five times as much memory to insert it."""
_ROW = 256
"""Bytes of a row that is empty."""


def unfolded(signal: Signal, request: Message) -> int:
    """Bytes that the rows of a request have above what is in their items; about right, and quick."""
    groups, scopes, items = signal.groups
    total = 0
    for group in getattr(request, groups):
        above = _ROW + group.resource.ByteSize() + len(group.schema_url)
        for scope in getattr(group, scopes):
            each = above + scope.scope.ByteSize() + len(scope.schema_url)
            found = getattr(scope, items)
            total += sum(_metric(metric, each) for metric in found) if signal is METRICS else each * len(found)
    return total


def _metric(metric: Message, above: int) -> int:
    """Its data points repeat it too."""
    kind = metric.WhichOneof("data")
    each = above + len(metric.name) + len(metric.description) + len(metric.unit)
    each += sum(pair.ByteSize() for pair in metric.metadata)
    return each * len(getattr(metric, kind).data_points) if kind else 0
