"""Stores for tests of ``otel-llm copy``: filled with spans, copied, and looked at."""

from __future__ import annotations

from typing import Any

from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.copying.copy import copy as copy_all
from otel_llm_collector.copying.day import Copied

#: A span each 40 seconds.
A_DAY = 2_160
SPANS = """
INSERT INTO otel_traces (Timestamp, TraceId, SpanId, ServiceName, SpanName, SpanAttributes, Duration,
                         `Events.Timestamp`, `Events.Name`, `Events.Attributes`)
SELECT toDateTime64('2026-01-01 00:00:00', 9, 'UTC') + number * 40 + 1 / 3, lower(hex(number)), lower(hex(number + 1)),
       concat('{service} ', toString(number % 3)), 'chat',
       map('gen_ai.operation.name', 'chat', 'gen_ai.usage.input_tokens', toString(number), 'n', '{{"a":[1]}}'),
       number, [toDateTime64('2026-01-01 00:00:00', 9, 'UTC')], ['event'], [map('k', '\\0')]
FROM numbers({first}, {count})
"""
CONTENTS = {
    "spans": "SELECT count() AS n, sum(cityHash64(*)) AS sum FROM otel_traces",
    "calls": "SELECT count() AS n, sum(input_tokens) AS sum FROM llm_calls",
    "hourly": "SELECT sum(calls) AS n, sum(input_tokens) AS sum FROM llm_calls_hourly",
    "times": "SELECT uniqExact(TraceId) AS n, sum(cityHash64(TraceId, Start, End)) AS sum FROM "
             "(SELECT TraceId, min(Start) AS Start, max(End) AS End FROM otel_traces_trace_id_ts GROUP BY TraceId)",
}  # fmt: skip


def spans(first: int, count: int, service: str = "service") -> str:
    """The statement that fills a store with spans; those of the same numbers are at the same times."""
    return SPANS.format(first=first, count=count, service=service)


def execute(url: str, *statements: str) -> None:
    """Run statements in a store that nobody has open."""
    store = Store(url)
    try:
        for sql in statements:
            store.command(sql)
    finally:
        store.close()


def rows(url: str, question: str) -> list[dict[str, Any]]:
    """Ask a store that nobody has open."""
    store = Store(url)
    try:
        return store.rows(question)
    finally:
        store.close()


def contents(url: str) -> dict[str, Any]:
    """What a store has, in the table that is copied and in those that views make."""
    store = Store(url)
    try:
        return {name: store.rows(question)[0] for name, question in CONTENTS.items()}
    finally:
        store.close()


def copy(source: str, destination: str, told: list[Copied] | None = None) -> list[Copied]:
    """Copy, and return what was told; to be had in ``told`` also when the copy fails."""
    told = [] if told is None else told
    copy_all(source, destination, told.append, print)
    return told
