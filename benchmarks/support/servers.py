"""Servers that are measured: each takes OTLP over HTTP and lands it in the same tables."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from .otelcol import Otelcol, binary

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # where the stand-in for a server is found, when one is started
_TICK = os.sysconf("SC_CLK_TCK")
_SETTLED_S = 2.0


@dataclass(frozen=True)
class Server:
    """A server that runs: where it takes traces, and its processes."""

    url: str
    pids: tuple[int, ...]
    drain: Callable[[], object]
    """Waits until everything acknowledged can be queried."""
    stored: Callable[[], int]
    """How many spans there are; the last thing that it is asked."""

    def cpu(self) -> float:
        """CPU seconds so far, of all its processes."""
        return sum(_cpu(pid) for pid in self.pids)

    def memory(self, peak: bool = False) -> float:
        """MB in memory now, or at the most so far, of all its processes."""
        return sum(_memory(pid, "VmHWM" if peak else "VmRSS") for pid in self.pids)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory(pid: int, what: str) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1000


def ours(folder: Path, stack: ExitStack) -> Server:
    """The collector, with the embedded store and its default settings."""
    from otel_llm_collector.client import Reader
    from otel_llm_collector.errors import CollectorError
    from otel_llm_collector.running import Running

    ports = [text for name in ("grpc", "http", "api", "jaeger") for text in (f"--{name}-port", "0")]
    process = _start(stack, "otel_llm_collector", "up", "--data", str(folder), *ports)
    while (running := Running.find(folder)) is None:
        if process.poll() is not None:
            raise SystemExit("The collector did not start.")
        time.sleep(0.1)

    def drain() -> None:
        with Reader.open(folder) as reader:
            while True:  # each time as long as the collector waits
                with contextlib.suppress(CollectorError):
                    return reader.flush()

    def stored() -> int:
        with Reader.open(folder) as reader:
            return int(reader.query("SELECT count() AS n FROM otel_traces")[0]["n"])

    return Server(f"{running.http}/v1/traces", (process.pid,), drain, stored)


def plain(folder: Path, stack: ExitStack) -> Server:
    """Rows made in plain Python, inserted before the answer."""
    process = _start(stack, "benchmarks.support.plain_collector", str(folder), out=subprocess.PIPE)
    assert process.stdout is not None
    port = int(process.stdout.readline())

    def stored() -> int:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        return int(process.stdout.readline())

    return Server(f"http://127.0.0.1:{port}/v1/traces", (process.pid,), lambda: None, stored)


def official(folder: Path, stack: ExitStack) -> Server:
    """The OpenTelemetry Collector with its ClickHouse exporter, its queue on disk, and the engine behind HTTP.

    Raises ``support.otelcol.Unavailable`` where it has not been built.
    """
    from otel_llm_collector.clickhouse import migrations
    from otel_llm_collector.clickhouse.store import Store
    from tests.support.clickhouse import PASSWORD, ClickHouse

    binary()
    folder.mkdir(parents=True, exist_ok=True)
    server = ClickHouse(folder / "server")
    server.start()
    stack.callback(server.stop)
    store = Store(server.url)
    stack.callback(store.close)
    migrations.migrate(store)
    variables = {
        "CLICKHOUSE_ENDPOINT": f"http://127.0.0.1:{server.port}",
        "CLICKHOUSE_PASSWORD": PASSWORD,
        "OTELCOL_QUEUE": str(folder / "queue"),
        "OTELCOL_HEALTH_ADDRESS": "127.0.0.1:0",
    }
    collector = stack.enter_context(Otelcol(ROOT / "collector/otelcol.yaml", folder / "log", variables=variables))

    def stored() -> int:
        return int(store.rows("SELECT count() AS n FROM otel_traces")[0]["n"])

    def drain() -> None:
        before = -1
        while (now := stored()) != before:  # until nothing more comes
            before = now
            time.sleep(_SETTLED_S)

    return Server(f"{collector.http}/v1/traces", (collector.pid, server.pid), drain, stored)


def _start(stack: ExitStack, *arguments: str, out: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
    """A Python module in a process of its own, which is ended with the stack."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=out, text=True)

    def end() -> None:
        process.terminate()
        process.communicate()

    stack.callback(end)
    return process
