"""How fast Jaeger is answered: whole traces, and searches among many spans.

    uv run python benchmarks/jaeger.py [--quick] [--json] [--spans 10000000]

A collector with so many spans in its store is asked over gRPC as Jaeger's query service asks it. Beside it, for the
trace: Jaeger's own storage in memory, behind the same protocol, where Jaeger has been built (tools/jaeger.py). For the
searches: the same question as one statement, without the slices of time and without the indexes of attributes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.support.built import Unavailable
from benchmarks.support.jaeger_memory import JaegerMemory
from otel_llm_collector import schemas
from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from otel_llm_collector.jaeger.messages import message
from otel_llm_collector.jaeger.search import Search
from tests.support.collector import Handle, send, start_collector
from tests.support.otlp import body, span

AIMS = {"GetTraces": 0.1, "FindTraces": 1.0}
"""Most seconds: for a trace of 1,000 spans, and for a search among 10,000,000."""
WIDE = b"a trace of 1,000"
DAYS = 10
BLOCK = 500_000
SERVICES, OPERATIONS = 5, 50
SEARCHES: dict[str, dict[str, Any]] = {
    "newest of a service": {"service_name": "service-3"},
    "service, operation, duration": {
        "service_name": "service-3",
        "operation_name": "operation-7",
        "duration_min": {"nanos": 900_000_000},
    },
    "errors": {"attributes": [{"key": "error", "value": {"string_value": "true"}}]},
    "gen_ai.prompt.name": {"attributes": [{"key": "gen_ai.prompt.name", "value": {"string_value": "prompt-77"}}]},
    "user.id and http.route": {
        "attributes": [
            {"key": "user.id", "value": {"string_value": "user-7"}},
            {"key": "http.route", "value": {"string_value": "/v1/chat"}},
        ]
    },
    "order.id, one trace": {"attributes": [{"key": "order.id", "value": {"string_value": "4321"}}]},
    "user.id that nobody has": {"attributes": [{"key": "user.id", "value": {"string_value": "nobody"}}]},
}


def fill(data: Path, spans: int) -> None:
    """A store with so many spans that ended now."""
    store = Store(f"chdb://{data / 'store'}")
    migrations.migrate(store)
    began = time.time_ns() - DAYS * 86_400 * 10**9
    sql = Path(__file__).with_name("support").joinpath("spans.sql").read_text(encoding="utf-8")
    for first in range(0, spans, BLOCK):
        size = min(BLOCK, spans - first)
        traces = spans // 10
        store.command(
            sql, {"began": began, "traces": traces, "users": max(1, traces // 10), "first": first, "spans": size}
        )
    store.close()


def send_wide(url: str) -> None:
    """A trace of 1,000 spans with a dozen attributes each, of five services with fifty operations."""
    attributes = {f"attribute.{n}": f"value {n}" for n in range(8)} | {"count": 3, "share": 0.5, "on": True}
    for service in range(SERVICES):
        spans = [
            span({**attributes, "n": n}, trace_id=WIDE, name=f"operation-{n % OPERATIONS}")
            for n in range(1000 // SERVICES)
        ]
        code, _, answer = send(
            "POST",
            f"{url}/v1/traces",
            body(*spans, service=f"service-{service}"),
            {"Content-Type": "application/x-protobuf"},
        )
        if code != 200:
            raise SystemExit(f"{url} answers {code}: {answer.decode(errors='replace')}")


class Client:
    """Asks as Jaeger does."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self._channel = stack.enter_context(
            grpc.insecure_channel(urlsplit(url).netloc, [("grpc.max_receive_message_length", -1)])
        )

    def traces(self, method: str, request: Any) -> int:
        """How many spans the answer has."""
        call = self._channel.unary_stream(f"/jaeger.storage.v2.TraceReader/{method}")
        read = [TracesData.FromString(data) for data in call(request.SerializeToString(), timeout=120)]
        return sum(len(scope.spans) for data in read for group in data.resource_spans for scope in group.scope_spans)


def timed(rounds: int, work: Callable[[], int]) -> tuple[float, int]:
    """Median seconds, after a round that does not count, and what it gave."""
    found = work()
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        found = work()
        took.append(time.perf_counter() - began)
    return statistics.median(took), found


def plain(collector: Handle, query: Any) -> int:
    """The same search as one statement over everything, without the conditions that are for the indexes."""
    search = Search.of(query)
    conditions = "".join(f"  AND {text}\n" for text in search.conditions if not text.startswith("("))
    sql = schemas.read("jaeger/find.sql").replace("  -- conditions\n", conditions)
    names = {name: value for name, value in search.parameters.items() if f"{{{name}:" in sql}
    return len(collector.query(sql, first=0, last=time.time_ns(), traces=20, **names))


def measure(spans: int, rounds: int) -> dict[str, Any]:
    """Seconds by what was asked: ours, the baseline, and how many spans came."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        began = time.monotonic()
        fill(data, spans)
        filled = time.monotonic() - began
        collector = start_collector(data)
        stack.callback(collector.stop)
        send_wide(collector.http)
        collector.flush()
        client = Client(collector.jaeger, stack)
        wide = message("GetTracesRequest")(query=[{"trace_id": WIDE}])
        own, count = timed(rounds * 3, lambda: client.traces("GetTraces", wide))
        found: dict[str, Any] = {
            "GetTraces": {"own_s": own, "baseline_s": _memory(data, wide, rounds * 3), "spans": count}
        }
        searches: dict[str, Any] = {}
        for name, query in SEARCHES.items():
            request = message("FindTracesRequest")(query={**query, "search_depth": 20})
            own, count = timed(rounds, lambda request=request: client.traces("FindTraces", request))
            base, _ = timed(1, lambda request=request: plain(collector, request.query))
            searches[name] = {"own_s": own, "baseline_s": base, "spans": count}
        return {"spans": spans, "filled_s": filled, **found, "FindTraces": searches}


def _memory(folder: Path, wide: Any, rounds: int) -> float | None:
    """The same trace from Jaeger's storage in memory; ``None`` where there is no Jaeger."""
    try:
        with ExitStack() as stack:
            jaeger = stack.enter_context(JaegerMemory(folder / "jaeger"))
            send_wide(jaeger.http)
            client = Client(jaeger.reader, stack)
            return timed(rounds, lambda: client.traces("GetTraces", wide))[0]
    except Unavailable as why:
        print(f"Jaeger's memory is left out: {why}", file=sys.stderr)
        return None


def report(found: Mapping[str, Any]) -> str:
    """The figures, each beside its baseline and its aim."""
    lines = [f"{found['spans']:,} spans, stored in {found['filled_s']:.0f} s"]
    rows = {"GetTraces, 1,000 spans": ("GetTraces", found["GetTraces"])}
    rows |= {f"FindTraces, {name}": ("FindTraces", row) for name, row in found["FindTraces"].items()}
    for name, (aim, row) in rows.items():
        base = row["baseline_s"]
        beside = "no baseline" if base is None else f"baseline {base * 1e3:6.0f} ms ({row['own_s'] / base:.2f} x)"
        lines.append(
            f"{name:42}{row['own_s'] * 1e3:7.0f} ms  {beside:32} {row['spans']:5} spans  "
            f"aim {AIMS[aim] * 1e3:.0f} ms: {verdict(aim, row)}"
        )
    return "\n".join(lines)


def verdict(aim: str, row: Mapping[str, Any]) -> str:
    """How a figure stands to its aim."""
    return "met" if row["own_s"] <= AIMS[aim] else "MISSED"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="300,000 spans, under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--spans", type=int, default=10_000_000, help="spans in the store (%(default)s)")
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    found = measure(300_000 if options.quick else options.spans, 3 if options.quick else 5)
    if options.json:
        rows = {"GetTraces": found["GetTraces"]} | found["FindTraces"]
        verdicts = {
            name: verdict("GetTraces" if name == "GetTraces" else "FindTraces", row) for name, row in rows.items()
        }
        print(json.dumps({"benchmark": "jaeger", "load": load, "aims": AIMS, "verdicts": verdicts, **found}))
    else:
        print(f"load {load}\n{report(found)}")


if __name__ == "__main__":
    main()
