"""A hundred thousand calls and twenty thousand streams, a third of them left early: nothing is lost, nothing is kept.

    uv run python benchmarks/soak.py [--quick] [--json]

Both SDKs, sync and async, against a transport in the process: once instrumented (content, cost, prompt link, metrics),
and beside it the bare SDKs doing the same. At twenty checkpoints everything dropped has been ended and garbage is
collected; then: memory that is resident, threads, live objects of otel_llm's own types, live spans, and live contexts
and tokens of contexts.

Flat means that from the checkpoint at 20 % to the last one memory grows by less than 2 MB (not counting what the bare
SDKs grow by), that objects, spans and contexts are never more than 32 above what they were at 20 %, and that threads
and what is attached to the context are not more at all. There must be exactly one span for each call and stream, each
stream's with the outcome that it was made to have. Exits with 1 when any of it does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from support.answers import record
from support.environments import US, settings
from support.flat import THINGS, Checkpoint, faults, growth
from support.soaker import CHECKPOINTS

CALLS, STREAMS = 100_000, 20_000


def start(folder: Path, task: Mapping[str, Any]) -> subprocess.Popen[str]:
    """A process that does the work."""
    process = subprocess.Popen(
        [sys.executable, "-m", "support.soaker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=settings(US, folder),
    )
    assert process.stdin
    process.stdin.write(json.dumps(task))
    process.stdin.close()
    return process


def finish(process: subprocess.Popen[str]) -> list[Checkpoint]:
    """Its checkpoints; raises ``RuntimeError`` when it failed."""
    assert process.stdout
    checkpoints = [json.loads(line) for line in process.stdout]
    if process.wait():
        raise RuntimeError(f"the soak ended with {process.returncode} after {len(checkpoints)} checkpoints")
    return checkpoints


def print_table(ours: Sequence[Checkpoint], bare: Sequence[Checkpoint]) -> None:
    """For people."""
    print(f"{'':>5}{'bare MB':>9}{'MB':>8}" + "".join(f"{thing:>10}" for thing in THINGS) + f"{'ended':>9}")
    for number, (one, other) in enumerate(zip(ours, bare, strict=True), 1):
        cells = "".join(f"{one[thing]:>10}" for thing in THINGS)
        share = f"{100 * number // CHECKPOINTS} %"
        print(f"{share:>5}{other['resident']:9.1f}{one['resident']:8.1f}{cells}{sum(one['ended'].values()):9}")
    print(f"growth after 20 %: {growth(ours):.1f} MB, bare {growth(bare):.1f} MB")
    print("spans: " + ", ".join(f"{count} {outcome}" for outcome, count in sorted(ours[-1]["ended"].items())))


def main() -> int:
    """Soaks, prints, and says by the exit code whether all held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of it, under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    part = 10 if options.quick else 1
    load, started = round(os.getloadavg()[0], 1), time.monotonic()
    task = {"calls": CALLS // part, "streams": STREAMS // part, "answers": record(10)}
    with tempfile.TemporaryDirectory() as name:
        processes = [start(Path(name), {**task, "instrumented": instrumented}) for instrumented in (True, False)]
        ours, bare = (finish(process) for process in processes)
    found = faults(ours, bare)
    if options.json:
        print(json.dumps({"benchmark": "soak", "load": load, "ours": ours, "bare": bare, "faults": found}))
    else:
        print(f"{task['calls']} calls, {task['streams']} streams, {time.monotonic() - started:.0f} s, load {load}")
        print_table(ours, bare)
        print("\n".join(found) or "flat, and one span for each")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
