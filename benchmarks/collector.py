"""How much a collector takes in, durably and into every table, with the sender on the same cores.

    uv run python benchmarks/collector.py [--quick] [--json] [--calls 1.0] [--only otel_llm ...]

A sender in a process of its own posts OTLP in protobuf, 512 spans of 1.4 KB a request, as fast as it is answered; the
clock stops when everything that was acknowledged can be queried in otel_traces, llm_calls and the roll-up. Beside the
collector, with the same load: rows made in plain Python, and the official OpenTelemetry Collector with its ClickHouse
exporter and its queue on disk, where it has been built (tools/otelcol.py). All write the same tables in the same
engine. ``--calls`` is the share of the spans that are model calls.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from support.load import bodies, fresh
from support.otelcol import Unavailable
from support.servers import ROOT, Server, official, ours, plain

AIMS = {
    "stored_per_s": 60_000.0,
    "cpu_us": 20.0,
    "peak_mb": 1000.0,
    "idle_mb": 400.0,
    "idle_cpu": 0.03,
    "visible_s": 2.0,
}
SERVERS: dict[str, Callable[[Path, ExitStack], Server]] = {
    "otel_llm": ours,
    "plain Python": plain,
    "otelcol": official,
}
CONNECTIONS, SPANS = 8, 512


@dataclass(frozen=True)
class Result:
    """Of one server: spans per second accepted and stored, CPU microseconds a span, MB, seconds, and what was lost."""

    accepted_per_s: float
    stored_per_s: float
    cpu_us: float
    ack_p50_s: float
    ack_p99_s: float
    peak_mb: float
    idle_mb: float
    idle_cpu: float
    visible_s: float | None
    spans: int
    lost: int
    refused: int
    sender_cpu_us: float
    span_bytes: float


def measure(name: str, seconds: float, idle: float, calls: float) -> Result:
    """One server, from its start to its end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = SERVERS[name](folder / "data", stack)
        time.sleep(1.0)
        idle_mb, before = server.memory(), server.cpu()
        time.sleep(idle)
        idle_cpu = (server.cpu() - before) / idle
        visible, own = _visible(server) if name == "otel_llm" else (None, 0)
        before, began = server.cpu(), time.monotonic()
        found = _load(server.url, seconds, calls)
        server.drain()
        took, cpu = time.monotonic() - began, server.cpu() - before
        peak = server.memory(peak=True)
        spans, acks = found["spans"], found["acks"]
        return Result(
            accepted_per_s=spans / found["seconds"],
            stored_per_s=spans / took,
            cpu_us=cpu / spans * 1e6,
            ack_p50_s=acks[len(acks) // 2],
            ack_p99_s=acks[len(acks) * 99 // 100],
            peak_mb=peak,
            idle_mb=idle_mb,
            idle_cpu=idle_cpu,
            visible_s=visible,
            spans=spans,
            lost=spans + own - server.stored(),
            refused=found["refused"],
            sender_cpu_us=found["cpu"] / spans * 1e6,
            span_bytes=found["bytes"],
        )


def _load(url: str, seconds: float, calls: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.support.load", url, str(seconds), str(CONNECTIONS), str(SPANS)]
    done = subprocess.run([*command, str(calls)], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _visible(server: Server) -> tuple[float, int]:
    """The longest of five times from an answer until its spans can be counted, and how many spans that took."""
    from tests.support.collector import send

    longest, sent = 0.0, 0
    for body in bodies(SPANS, 1.0)[:5]:
        expected = server.stored() + SPANS
        code = send("POST", server.url, fresh(body), {"Content-Type": "application/x-protobuf"})[0]
        if code != 200:
            raise SystemExit(f"{server.url} answers {code}.")
        began, sent = time.monotonic(), sent + SPANS
        while server.stored() < expected:
            time.sleep(0.02)
        longest = max(longest, time.monotonic() - began)
    return longest, sent


def report(results: dict[str, Result]) -> str:
    """The figures as a table, and how ours stand to their aims."""
    lines = [
        f"{'':14}{'stored/s':>10}{'accepted/s':>11}{'us a span':>10}{'ack p50':>9}{'p99':>8}{'peak MB':>9}{'lost':>6}"
    ]
    for name, result in results.items():
        lines.append(
            f"{name:14}{result.stored_per_s:10,.0f}{result.accepted_per_s:11,.0f}{result.cpu_us:10.1f}"
            f"{result.ack_p50_s * 1e3:6.0f} ms{result.ack_p99_s * 1e3:5.0f} ms{result.peak_mb:9.0f}{result.lost:6}"
        )
    own = results.get("otel_llm")
    if own is None:
        return "\n".join(lines)
    for name, result in results.items():
        if result is not own:
            lines.append(
                f"otel_llm / {name}: stored {own.stored_per_s / result.stored_per_s:.2f} x, "
                f"CPU a span {own.cpu_us / result.cpu_us:.2f} x"
            )
    lines.append(f"one request of {own.span_bytes * SPANS / 1e6:.2f} MB: {own.span_bytes:.0f} bytes a span")
    for what, aim in AIMS.items():
        value = getattr(own, what)
        lines.append(f"{what:14}{value:12,.2f}   aim {aim:,.2f}: {verdict(own, what)}")
    return "\n".join(lines)


def verdict(result: Result, what: str) -> str:
    """How a figure stands to its aim: the rate is to be above it, all others below."""
    value, aim = getattr(result, what), AIMS[what]
    return "met" if (value >= aim if what == "stored_per_s" else value <= aim) else "MISSED"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds each, under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--calls", type=float, default=1.0, help="share of the spans that are calls (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=SERVERS, default=list(SERVERS), help="which servers")
    options = parser.parse_args()
    load = round(os.getloadavg()[0], 1)
    results: dict[str, Result] = {}
    for name in options.only:
        try:
            results[name] = measure(name, *((4.0, 2.0) if options.quick else (30.0, 10.0)), options.calls)
        except Unavailable as why:
            print(f"{name} is left out: {why}", file=sys.stderr)
    if options.json:
        own = results.get("otel_llm")
        verdicts = {what: verdict(own, what) for what in AIMS} if own else {}
        found = {name: asdict(result) for name, result in results.items()}
        print(json.dumps({"benchmark": "collector", "load": load, "aims": AIMS, "verdicts": verdicts, **found}))
    else:
        print(f"load {load}, {options.calls:.0%} of the spans are calls\n{report(results)}")


if __name__ == "__main__":
    main()
