"""Processes that a command starts, each with a log file, and ends again."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from otel_llm_collector.errors import CollectorError

T = TypeVar("T")

#: Seconds that a process may take to come up, and to drain when it is told to end.
START_S = 60.0
STOP_S = 30.0


class Processes:
    """Python processes in a session of their own, ended in reverse order when the ``with`` is left."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start ``python -m <arguments>``; its output goes to ``<name>.log``."""
        with (self._logs / f"{name}.log").open("ab") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(environment),
                start_new_session=True,
            )

    def wait_for(self, name: str, ready: Callable[[], T | None]) -> T:
        """Wait until ``ready`` and return its answer; ``CollectorError`` when the process ends or takes too long."""
        deadline = time.monotonic() + START_S
        while not (answer := ready()):
            if self._children[name].poll() is not None:
                raise CollectorError(f"{name} ended while it started: {self._last_line(name)}")
            if time.monotonic() > deadline:
                raise CollectorError(f"{name} did not start in {START_S:.0f} seconds; see {self._logs / name}.log")
            time.sleep(0.05)
        return answer

    def kill(self, name: str) -> None:
        """End one at once; it has no time to drain."""
        self._children[name].kill()
        self._children[name].wait()

    def ended(self) -> list[str]:
        """The names of the processes that have ended."""
        return [name for name, child in self._children.items() if child.poll() is not None]

    def stop(self) -> None:
        """End them, the last started first; each has time to drain, unless somebody interrupts that."""
        try:
            for child in reversed(self._children.values()):
                child.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(STOP_S)
        finally:
            for child in self._children.values():
                child.kill()
                child.wait()
            self._children.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _last_line(self, name: str) -> str:
        lines = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"it said nothing, exit code {self._children[name].returncode}"


def port(preferred: int = 0) -> int:
    """``preferred`` where it is free on loopback, else any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
