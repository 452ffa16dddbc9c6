"""The questions of schemas/queries, asked of a store with calls of every kind: what two of them count is the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Status

from otel_llm_collector import schemas
from tests.support.collector import Handle, send
from tests.support.otlp import body, span

_FAILED = Status(code=Status.STATUS_CODE_ERROR)
_CALLS: tuple[tuple[dict[str, Any], Status | None], ...] = (
    ({"otel_llm.cost.total": 0.25, "otel_llm.cost.status": "priced"}, None),
    ({"otel_llm.cost.total": 0.5, "gen_ai.prompt.name": "p", "gen_ai.usage.cache_read.input_tokens": 2}, _FAILED),
    ({}, None),  # of another instrumentation: tokens, and nobody who priced them
    ({"gen_ai.prompt.name": "p", "error.type": "Timeout"}, None),
    ({"otel_llm.cost.status": "unpriced", "gen_ai.prompt.name": "p"}, None),
    ({"otel_llm.cost.status": "unpriced", "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}, _FAILED),
    ({"otel_llm.cost.status": "free"}, None),
    ({"otel_llm.guardrail.blocked": True, "gen_ai.usage.input_tokens": 0, "gen_ai.usage.output_tokens": 0}, None),
)
_TOKENS = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3}


def _summed(rows: list[dict[str, Any]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update({name: value for name, value in row.items() if isinstance(value, int | float)})
    return total


def test_what_questions_count_is_what_the_hourly_sums_have(collector: Handle, service: str) -> None:
    """Every question that counts calls, over calls that failed, were blocked, cost nothing or nobody knows what."""
    spans = [span(_TOKENS | call, status=status) for call, status in _CALLS]
    headers = {"Content-Type": "application/x-protobuf"}
    assert send("POST", f"{collector.http}/v1/traces", body(*spans, service=service), headers)[0] == 200
    collector.flush()
    columns = ("calls", "errors", "blocked", "unpriced", "input_tokens", "output_tokens", "cost_total")
    hourly = collector.query(
        f"SELECT {', '.join(f'sum({name}) AS {name}' for name in columns)} FROM llm_calls_hourly "
        "WHERE service_name = {s:String}",
        s=service,
    )[0]
    assert hourly == {
        "calls": 8, "errors": 3, "blocked": 1, "unpriced": 4, "input_tokens": 42, "output_tokens": 18,
        "cost_total": 0.75,
    }  # fmt: skip
    given = {"since": "1970-01-01 00:00:00", "services": [service], "limit": 100, "trace_ids": [], "prefix": "zz"}
    counting = set()
    for path in sorted((schemas.folder() / "queries").glob("*.sql")):
        text = schemas.read(f"queries/{path.name}")
        rows = collector.query(text, **{name: value for name, value in given.items() if f"{{{name}:" in text})
        if not rows or "calls" not in rows[0]:
            continue
        counting.add(path.stem)
        summed = _summed(rows)
        assert {name: summed[name] for name in columns if name in rows[0]} == {
            name: value for name, value in hourly.items() if name in rows[0]
        }, path.stem
    assert counting == {"by_prompt", "totals", "totals_hourly"}
