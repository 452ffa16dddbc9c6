"""Our collector as a deployment starts it: by its command line, with a configuration file and keys."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from otel_llm_collector.running import Running

T = TypeVar("T")
PATIENCE_S = 60.0


class Collector:
    """Our collector, by its command line; a context manager. ``running`` says where it listens."""

    def __init__(self, data: Path, configuration: Path, store: str) -> None:
        self._data = data
        ports = [text for name in ("grpc", "http", "api", "jaeger") for text in (f"--{name}-port", "0")]
        options = ["--config", str(configuration), "--data", str(data), "--store", store, "--host", "127.0.0.1"]
        self._command = [sys.executable, "-m", "otel_llm_collector", "up", *options, *ports]

    def __enter__(self) -> Running:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        try:
            running = when(lambda: Running.find(self._data))
            assert running.pid == self._process.pid
        except BaseException:
            self._process.kill()
            raise
        return running

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        assert self._process.wait(PATIENCE_S) == 0


def when(found: Callable[[], T | None]) -> T:
    """What is found, once it is."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := found()):
        assert time.monotonic() < deadline, "It did not come."
        time.sleep(0.1)
    return answer
