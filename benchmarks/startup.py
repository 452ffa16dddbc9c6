"""What turning on otel_llm and its peers takes at the start of a process: milliseconds and megabytes.

    uv run python benchmarks/startup.py [--quick] [--json] [--environments FOLDER]

Every figure is the median of fresh processes, each in the peer's own environment (those of benchmarks/peers.py). The
clients have been made and every call used, and the OpenTelemetry SDK has ended a span, before the clock starts: what is
counted is importing the instrumentation, turning it on for both SDKs, and whatever it makes them import. Memory is what
is resident. "imports" are of runs of their own with ``-X importtime``, each module at its quickest: all that were made,
and the peer's own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from support.answers import record
from support.environments import US, Environment, default_folder, environments, settings
from support.start import MARK

#: Most that we add over the SDKs.
MOST_MS, MOST_MB = 30.0, 3.0
#: How many of our modules are named, those that take longest.
NAMED = 6
_IMPORT = re.compile(r"^import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)$", re.MULTILINE)


@dataclass
class Start:
    """What a peer's start takes; ``slowest`` are modules with their own milliseconds."""

    peer: str
    walls: list[float] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    residents: list[float] = field(default_factory=list)
    imports_ms: float | None = None
    own_ms: float | None = None
    slowest: list[tuple[str, float]] = field(default_factory=list)
    trouble: str = ""

    @property
    def wall_ms(self) -> float:
        """Median milliseconds."""
        return statistics.median(self.walls)

    @property
    def cpu_ms(self) -> float:
        """Median milliseconds of CPU, which a busy machine stretches less."""
        return statistics.median(self.cpus)

    @property
    def resident_mb(self) -> float:
        """Median megabytes."""
        return statistics.median(self.residents)

    def row(self) -> dict[str, Any]:
        """As plain data."""
        if self.trouble:
            return {"peer": self.peer, "trouble": self.trouble}
        return {**asdict(self), "wall_ms": self.wall_ms, "cpu_ms": self.cpu_ms, "mb": self.resident_mb}

    def __str__(self) -> str:
        if self.trouble:
            return f"{self.peer:16} {self.trouble}"
        line = f"{self.peer:16}{self.wall_ms:9.1f}{min(self.walls):8.1f}{self.cpu_ms:8.1f}{self.resident_mb:7.1f}"
        return line if self.imports_ms is None else f"{line}{self.imports_ms:12.1f}{self.own_ms:8.1f}"


class Starter:
    """Starts fresh processes of one environment."""

    def __init__(self, environment: Environment, answers: Mapping[str, Any], folder: Path) -> None:
        self.environment = environment
        self.start = Start(environment.peer.name)
        self._answers = json.dumps(answers)
        self._took: dict[str, float] = {}
        self._folder = folder / environment.peer.key
        self._folder.mkdir()
        if environment.python is None:
            self.start.trouble = environment.notes[-1]

    def run(self, *options: str) -> str:
        """One process: notes its figures, gives what it said; a process that fails is the last."""
        if self.start.trouble:
            return ""
        peer = self.environment.peer
        done = subprocess.run(
            [str(self.environment.python), *options, "-m", "support.start", peer.key],
            input=self._answers,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            env=settings(peer, self._folder),
        )
        if done.returncode:
            self.start.trouble = done.stderr.strip().splitlines()[-1]
            return ""
        if not options:
            figures = json.loads(done.stdout.splitlines()[-1])
            self.start.walls.append(figures["wall"])
            self.start.cpus.append(figures["cpu"])
            self.start.residents.append(figures["resident"])
        return done.stderr

    def imports(self) -> None:
        """One more process, for what it imports; of each module the least so far counts."""
        said = self.run("-X", "importtime")
        for took, name in _IMPORT.findall(said.partition(MARK)[2]):
            self._took[name] = min(int(took) / 1000, self._took.get(name, math.inf))
        own = self.environment.peer.modules
        self.start.imports_ms = sum(self._took.values())
        self.start.own_ms = sum(took for name, took in self._took.items() if name.startswith(own))
        self.start.slowest = sorted(self._took.items(), key=lambda one: -one[1])[:NAMED]


def _verdict(value: float, most: float) -> str:
    return "met" if value <= most else "MISSED"


def print_table(starts: list[Start]) -> None:
    """For people."""
    print(f"{'':16}{'wall ms':>9}{'least':>8}{'CPU ms':>8}{'MB':>7}{'imports ms':>12}{'own ms':>8}")
    print("\n".join(str(start) for start in starts))
    ours = starts[0]
    if not ours.trouble:
        print(
            f"\n{ours.peer}: {ours.wall_ms:.1f} ms, aim {MOST_MS:.0f}: {_verdict(ours.wall_ms, MOST_MS)}; "
            f"{ours.resident_mb:.1f} MB, aim {MOST_MB:.0f}: {_verdict(ours.resident_mb, MOST_MB)}"
        )
        print("slowest modules: " + ", ".join(f"{name} {took:.1f} ms" for name, took in ours.slowest))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few processes, under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where they are (%(default)s)")
    options = parser.parse_args()
    found = environments(options.environments)
    load = round(os.getloadavg()[0], 1)
    answers = record(2)
    with tempfile.TemporaryDirectory() as folder:
        starters = [Starter(environment, answers, Path(folder)) for environment in found]
        for number in range(3 if options.quick else 11):
            for starter in starters:
                starter.run()
                if number < (1 if options.quick else 3) and (starter.environment.peer is US or not options.quick):
                    starter.imports()
    starts = [starter.start for starter in starters]
    if options.json:
        rows = [start.row() for start in starts]
        print(
            json.dumps({"benchmark": "startup", "load": load, "aims": {"ms": MOST_MS, "mb": MOST_MB}, "starts": rows})
        )
        return
    print(f"load {load}")
    print_table(starts)


if __name__ == "__main__":
    main()
