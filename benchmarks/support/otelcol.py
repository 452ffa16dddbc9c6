"""The official OpenTelemetry Collector with its ClickHouse exporter: built once from Go modules, and run.

It is kept in the user's cache folder, in a folder named after its version and what it is built from. Building takes
``go`` and about six minutes on one core; ``uv run python tools/otelcol.py`` does it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

MANIFEST = Path(__file__).with_name("otelcol_builder.yaml")
_BUILDER = "go.opentelemetry.io/collector/cmd/builder"
_START_S = 60.0
_STOP_S = 30.0


class Unavailable(Exception):
    """The collector is not there; the message says why and what would help."""


def version() -> str:
    """The release that is built, as the manifest names it."""
    return _manifest(r"^  version: (\S+)$")


def place() -> Path:
    """Where the binary is once it has been built."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-llm"
    contents = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:8]
    return cache / f"otelcol-{version()}-{contents}" / "otelcol"


def binary() -> Path:
    """The binary; raises ``Unavailable`` where it has not been built."""
    path = place()
    if not path.exists():
        raise Unavailable(
            f"The official Collector {version()} has not been built: uv run python tools/otelcol.py"
            + ("" if shutil.which("go") else " (which takes go, and there is none on the PATH)")
        )
    return path


def build() -> Path:
    """The binary, built where it is not there. Raises ``Unavailable`` where there is no Go or the build fails."""
    path = place()
    if path.exists():
        return path
    go = shutil.which("go")
    if go is None:
        raise Unavailable(f"The official Collector {version()} cannot be built: there is no go on the PATH.")
    unfinished = path.parent.with_name(f"{path.parent.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        shutil.copy(MANIFEST, unfinished / "builder.yaml")
        core = _manifest(r"^  - gomod: \S+/otlpreceiver (\S+)$")
        _run([go, "run", "-p", "1", f"{_BUILDER}@{core}", "--config", "builder.yaml", "--skip-compilation"], unfinished)
        flags = ["-p", "1", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
        _run([go, "build", *flags, "-o", "../otelcol", "."], unfinished / "source")
        unfinished.rename(path.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # gone when it was renamed
    return path


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(["nice", "-n", "15", *command], cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Unavailable(f"The official Collector {version()} cannot be built: {' '.join(last)}")


def _manifest(pattern: str) -> str:
    found = re.search(pattern, MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise Unavailable(f"{MANIFEST.name} has no line like {pattern}.")
    return found[1]


class Otelcol:
    """A collector that runs; ``grpc`` and ``http`` are the URLs of its OTLP receiver. A context manager.

    ``configuration`` is a file whose receiver is called ``otlp``; ``overrides`` are like
    ``exporters::clickhouse::timeout=1s`` and win over it. What it says is in ``log``.
    """

    def __init__(
        self, configuration: Path, log: Path, overrides: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        self.log = log
        grpc, http = _free(), _free()
        self.grpc, self.http = f"http://127.0.0.1:{grpc}", f"http://127.0.0.1:{http}"
        self._port = http
        wanted = (
            f"receivers::otlp::protocols::grpc::endpoint=127.0.0.1:{grpc}",
            f"receivers::otlp::protocols::http::endpoint=127.0.0.1:{http}",
            *overrides,
        )
        self._command = [
            str(binary()), "--config", str(configuration), *(f"--set={override}" for override in wanted),
        ]  # fmt: skip
        self._variables = {**os.environ, **(variables or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process while it runs."""
        if self._process is None:
            raise Unavailable("The official Collector does not run.")
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it listens; ``Unavailable`` with its last words when it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._variables)
        deadline = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return self
            time.sleep(0.05)
        self.kill()
        raise Unavailable(f"The official Collector did not start: {self.said()[-1000:]}")

    def said(self) -> str:
        """What it has logged so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> None:
        """SIGTERM, and wait until it has drained; killed where that takes half a minute."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
