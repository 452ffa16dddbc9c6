"""Runs in a peer's environment: what importing and turning it on takes, in a process that uses the SDKs already.

Prints one line of JSON. With ``-X importtime`` Python says on standard error what each import took; ``MARK`` stands
there before those that the peer made.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from pathlib import Path

from . import transport as t
from .adapters import ADAPTERS, CONTENT, Telemetry
from .calls import CALLS

MARK = "-- from here on by the peer"


def resident() -> float:
    """Megabytes of this process in memory; the most there ever were where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1024 / 1024


def main() -> None:
    """Uses the SDKs, turns the peer on, prints what that took."""
    peer = sys.argv[1]
    telemetry = Telemetry(peer, CONTENT, Path())
    clients = t.clients(t.transport(json.load(sys.stdin)))
    for call in CALLS:
        call.make(clients, "hi")
    telemetry.provider.get_tracer("before").start_span("a span").end()
    gc.collect()
    before = resident()
    print(MARK, file=sys.stderr, flush=True)
    spent, started = time.process_time(), time.perf_counter()
    ADAPTERS[peer](telemetry)
    wall, cpu = (time.perf_counter() - started) * 1000, (time.process_time() - spent) * 1000
    gc.collect()
    print(json.dumps({"wall": wall, "cpu": cpu, "resident": resident() - before}))


if __name__ == "__main__":
    main()
