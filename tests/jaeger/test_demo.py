"""The demo's traces in Jaeger: read from the store, and forwarded to a Jaeger with a storage of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from otel_llm_demo.play import questions
from tests.support.collector import Handle, start_collector
from tests.support.command import otel_llm
from tests.support.jaeger import Jaeger
from tests.support.jaeger_pair import Pair
from tests.support.jaeger_view import ordered, spans, spans_v3
from tests.support.sending import until

SERVICES = ["retrieval", "understanding", "web"]
MANY = 1000


@pytest.fixture(scope="module")
def collector(memory: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector that sends everything on to the Jaeger with a storage of its own."""
    forward = {"url": memory.otlp.replace("http://", "grpc://"), "signals": ["traces"]}
    handle = start_collector(tmp_path_factory.mktemp("collector") / "data", forward=[forward])
    yield handle
    assert handle.stop() == 0


@pytest.fixture(scope="module")
def traces(collector: Handle, pair: Pair) -> list[dict[str, Any]]:
    """The demo's traces, as it shows them, once both have them."""
    done = otel_llm("demo", "--exit", "--json", "--data", str(collector.data))
    assert done.returncode == 0, done.stderr
    shown: list[dict[str, Any]] = json.loads(done.stdout)["traces"]
    collector.flush()
    until(lambda: collector.status()["forwarding"][0], lambda status: not status["segments_waiting"])
    return shown


def test_every_trace_span_for_span(pair: Pair, traces: list[dict[str, Any]]) -> None:
    assert len(traces) == questions()
    for trace in traces:
        path = trace["trace_id"]
        code, shown = pair.agree(spans, f"/api/traces/{path}", raw="true")
        assert code == 200
        assert len(shown[path]) == len(trace["spans"])
        code, shown = pair.agree(spans_v3, f"/api/v3/traces/{path}", raw_traces="true")
        assert {span["span"]["spanId"] for span in shown} == {span["span_id"] for span in trace["spans"]}
        pair.agree(spans, f"/api/traces/{path}")


def test_services_operations_and_dependencies(pair: Pair, traces: list[dict[str, Any]]) -> None:
    _, shown = pair.agree(ordered, "/api/services")
    assert shown["data"] == SERVICES
    for service in SERVICES:
        _, shown = pair.agree(ordered, "/api/operations", service=service)
        assert shown["data"]
    _, shown = pair.agree(ordered, "/api/dependencies", endTs=int(time.time() * 1000), lookback=3_600_000)
    links = {(link["parent"], link["child"]) for link in shown["data"]}
    assert {("web", "retrieval"), ("retrieval", "understanding")} <= links


@pytest.mark.parametrize(
    ("service", "search", "found"),
    [
        ("web", {}, True),
        ("web", {"operation": "POST /ask"}, True),
        ("web", {"tags": {"gen_ai.prompt.name": "rag_answer"}}, True),
        ("web", {"tags": {"gen_ai.prompt.name": "rag_answer", "gen_ai.provider.name": "openai"}}, True),
        ("retrieval", {"tags": {"gen_ai.operation.name": "embeddings", "gen_ai.usage.input_tokens": "22"}}, True),
        ("web", {"tags": {"user.id": "abraham"}}, True),
        ("web", {"minDuration": "1ms", "maxDuration": "60s"}, True),
        ("web", {"minDuration": "1h"}, False),
        ("understanding", {"tags": {"gen_ai.prompt.name": "rag_answer"}}, False),
    ],
)
def test_searches(pair: Pair, traces: list[dict[str, Any]], service: str, search: dict[str, Any], found: bool) -> None:
    code, shown = pair.agree(spans, "/api/traces", service=service, limit=MANY, raw="true", **search)
    assert code == 200
    assert bool(shown) is found
