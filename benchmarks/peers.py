"""What otel_llm and its peers add to a call: CPU microseconds over the bare SDK, in the same run.

    uv run python benchmarks/peers.py [--quick] [--matrix] [--json] [--environments FOLDER]

Each peer has an environment of its own, with the same versions of both SDKs as this one, kept in the user's cache
folder. In each a worker measures: bare and instrumented calls alternate in one process, against a transport in that
process, and a figure is the median of the paired differences in the thread's CPU time for one call. The workers are
asked in turn, round by round, so that all see the same weather. Spans go to a batch processor whose exporter throws
them away; metrics and logs have no provider.

"content" is with content (for otel_llm with cost and prompt link too, without guardrails), "unsampled" with a sampler
that is always off, "no provider" without a tracer provider. What a chunk takes is what a stream takes more than the
plain call, by its chunks. What the spans of a call really hold is looked up in them, by value: only a peer that has the
input, the output and tokens counts as recording the same. An aim is MISSED when the figure is above it by more than two
standard errors, unsure when it is above by less.

--matrix shows instead what comes of streams that are left in every way there is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from support import tables
from support.answers import record
from support.calls import CALLS, Call
from support.environments import US, default_folder, environments
from support.figures import figure
from support.results import Aim, Results
from support.workers import Worker

#: Most added microseconds for a call with content on; and of what the fastest peer adds that records the same.
CONTENT = {
    "openai chat": 60.0,
    "openai chat stream": 400.0,
    "openai responses": 60.0,
    "openai embeddings": 50.0,
    "gemini generate": 60.0,
    "gemini stream": 500.0,
    "gemini embed": 50.0,
}
SHARE = 0.5
#: Most for a call and for a chunk where nothing is recorded.
IDLE_CALL, IDLE_CHUNK = 10.0, 0.2
IDLE = ("unsampled", "no provider")
CONFIGURATIONS = ("content", *IDLE)
AIMS = tuple(
    [Aim("content", call.name, CONTENT[call.name], SHARE, call.needs, call.chunks, call.plain) for call in CALLS]
    + [
        Aim(configuration, call.name, IDLE_CALL + IDLE_CHUNK * call.chunks, None, (), call.chunks, call.plain)
        for configuration in IDLE
        for call in CALLS
    ]
)


def measure(asked: Mapping[str, Sequence[Worker]], rounds: int) -> Results:
    """Asks the workers of each configuration in turn, ``rounds`` times; leaves out what a peer does not record."""
    results = Results(US.name)
    workers = asked["content"]
    recorded = {(worker, call.name) for worker in workers for call in CALLS if look(worker, call)["spans"]}
    samples: dict[tuple[str, str, str], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for call in CALLS:
            for configuration, wanted in asked.items():
                turn = number % len(wanted)
                for worker in (*wanted[turn:], *wanted[:turn]):
                    if (worker, call.name) in recorded:
                        found = worker.ask(configuration, "measure", call=call.name, pairs=4) or {}
                        for side, values in found.items():
                            samples[configuration, worker.peer.name, call.name][side] += values
    results.figures = {key: figure(sides["bare"], sides["added"]) for key, sides in samples.items()}
    results.held = {(worker.peer.name, call.name): look(worker, call) for worker in workers for call in CALLS}
    return results


def look(worker: Worker, call: Call) -> dict[str, Any]:
    """What the spans of a call hold; a peer whose patches cannot be taken out cannot be measured."""
    held: dict[str, Any] = worker.ask("content", "look", call=call.name) or {"spans": 0}
    if held.get("bare_spans"):
        worker.trouble["content"] = "its patches cannot be taken out"
    return held


def figures(workers: Sequence[Worker], about: Mapping[str, Any], *, quick: bool, as_json: bool) -> None:
    """Measures and prints."""
    asked = {name: workers[:1] if quick and name in IDLE else workers for name in CONFIGURATIONS}
    results = measure(asked, rounds=4 if quick else 40)
    verdicts = results.verdicts(AIMS)
    if as_json:
        figures = [
            {"configuration": configuration, "peer": peer, "call": call, **asdict(one), "ratio": one.ratio}
            for (configuration, peer, call), one in results.figures.items()
        ]
        held = [{"peer": peer, "call": call, **what} for (peer, call), what in results.held.items()]
        rows = [verdict.row() for verdict in verdicts]
        print_json(workers, {"about": about, "unit": "us", "figures": figures, "aims": rows, "held": held})
        return
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    for configuration, those in asked.items():
        print(tables.figures(results, those, configuration, AIMS))
    print(tables.verdicts(results, verdicts))
    print(tables.held(results, workers, [call.name for call in CALLS]))
    print(tables.notes(workers))


def behaviours(workers: Sequence[Worker], about: Mapping[str, Any], *, as_json: bool) -> None:
    """Leaves streams in every way and prints what came of it."""
    found = {worker.peer.name: worker.ask("matrix", "matrix") or worker.trouble for worker in workers}
    if as_json:
        print_json(workers, {"about": about, "matrix": found})
        return
    print(tables.matrix(found))
    print(tables.notes(workers))


def print_json(workers: Sequence[Worker], what: Mapping[str, Any]) -> None:
    """One object, with what is to be known of the peers."""
    notes = {
        worker.peer.name: {"versions": worker.versions, "notes": worker.notes, "trouble": worker.trouble}
        for worker in workers
    }
    print(json.dumps({"benchmark": "peers", **what, "peers": notes}))


def main() -> None:
    """Starts a worker in each environment, and asks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds, the peers with content only; under 50 s")
    parser.add_argument("--matrix", action="store_true", help="streams that are left early, instead of figures")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--environments", type=Path, default=default_folder(), help="where they are (%(default)s)")
    options = parser.parse_args()
    found = environments(options.environments)
    answers = record(10) if options.matrix else record()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = []
        for environment in found:
            few = options.quick and environment.peer is not US
            wanted = ("matrix",) if options.matrix else CONFIGURATIONS[:1] if few else CONFIGURATIONS
            workers.append(Worker(environment, wanted, answers, folder))
            stack.callback(workers[-1].stop)
        for worker in workers:
            worker.wait()
        about = {**workers[0].versions, "Python": platform.python_version(), "load": round(os.getloadavg()[0], 1)}
        if options.matrix:
            behaviours(workers, about, as_json=options.json)
        else:
            figures(workers, about, quick=options.quick, as_json=options.json)


if __name__ == "__main__":
    main()
