"""Jaeger's own storage integration suite, run as it is published against a collector.

The suite starts a Jaeger, writes through it, reads through it, and empties the store between its tests. Its ports are
its own: where one of them is taken, it cannot be run.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from benchmarks.support.built import Unavailable
from tests.support.jaeger_build import place, suite
from tests.support.purger import Purger

PORTS = {4317: "OTLP", 4318: "OTLP", 8888: "metrics", 13133: "health", 16685: "query", 16686: "query"}
"""Of the Jaeger that the suite starts."""
TESTS = {"GetServices", "GetOperations", "GetTrace", "GetLargeTrace", "GetTraceWithDuplicateSpans", "FindTraces"}
"""All that the suite has for a remote storage; what it has for dependencies and sampling is for storages that Jaeger
writes these to, which it never does over this protocol."""
SEARCHES = 22
TIMEOUT_S = 300
_OUTCOME = re.compile(r"^\s*--- (PASS|FAIL|SKIP): TestGRPCStorage/(\S+)", re.MULTILINE)


def _taken() -> list[str]:
    taken = []
    for port, name in PORTS.items():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(f"{port} ({name})")
    return taken


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout of Jaeger as the suite looks at; the folder that it is run in."""
    try:
        program = suite()
    except Unavailable as error:
        pytest.skip(str(error))
    if taken := _taken():
        pytest.skip(f"The ports of Jaeger's suite are taken: {', '.join(taken)}.")
    folder = tmp_path / "checkout" / "cmd" / "jaeger"
    inside = folder / "internal" / "integration"
    inside.mkdir(parents=True)
    for name in ("jaeger", "config-remote-storage.yaml", "config-ui.json"):
        (folder / name).symlink_to(place() / name)
    (inside / "integration.test").symlink_to(program)
    return inside


def test_every_test_of_the_suite_passes(checkout: Path, tmp_path: Path) -> None:
    with Purger(tmp_path) as purger:
        done = subprocess.run(
            ["./integration.test", "-test.v", "-test.run=^TestGRPCStorage$", f"-test.timeout={TIMEOUT_S}s"],
            cwd=checkout,
            env={
                **os.environ,
                "STORAGE": "grpc",
                "CUSTOM_STORAGE": "true",
                "REMOTE_STORAGE_ENDPOINT": purger.reader.removeprefix("http://"),
                "REMOTE_STORAGE_WRITER_ENDPOINT": purger.writer.removeprefix("http://"),
                "PURGER_ENDPOINT": purger.url,
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert purger.purges == len(TESTS)
    outcomes = {name: outcome for outcome, name in _OUTCOME.findall(done.stdout)}
    wrong = {name: outcome for name, outcome in outcomes.items() if outcome != "PASS"}
    assert not wrong, done.stdout[-20_000:]
    assert {name for name in outcomes if "/" not in name} == TESTS, done.stdout[-20_000:]
    assert sum(name.startswith("FindTraces/") for name in outcomes) == SEARCHES
    assert done.returncode == 0, done.stdout[-2000:]
