"""The official OpenTelemetry Collector with its ClickHouse exporter: built once from Go modules, and run.

It is kept in the user's cache folder, in a folder named after its version and what it is built from. Building takes
``go`` and about six minutes on one core; ``uv run python tools/otelcol.py`` does it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import built
from .built import Unavailable
from .program import Program, free_port

MANIFEST = Path(__file__).with_name("otelcol_builder.yaml")
_BUILDER = "go.opentelemetry.io/collector/cmd/builder"


def version() -> str:
    """The release that is built, as the manifest names it."""
    return _manifest(r"^  version: (\S+)$")


def place() -> Path:
    """Where the binary is once it has been built."""
    contents = hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:8]
    return built.cache() / f"otelcol-{version()}-{contents}" / "otelcol"


def binary() -> Path:
    """The binary; raises ``Unavailable`` where it has not been built."""
    return built.find(_name(), place(), "tools/otelcol.py")


def build() -> Path:
    """The binary, built where it is not there. Raises ``Unavailable`` where there is no Go or the build fails."""
    built.build(_name(), place().parent, _make)
    return place()


def _make(go: str, folder: Path) -> None:
    shutil.copy(MANIFEST, folder / "builder.yaml")
    core = _manifest(r"^  - gomod: \S+/otlpreceiver (\S+)$")
    generate = [f"{_BUILDER}@{core}", "--config", "builder.yaml", "--skip-compilation"]
    built.run(_name(), [go, "run", "-p", "1", *generate], folder)
    flags = ["-p", "1", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
    built.run(_name(), [go, "build", *flags, "-o", "../otelcol", "."], folder / "source")


def _name() -> str:
    return f"The official Collector {version()}"


def _manifest(pattern: str) -> str:
    found = re.search(pattern, MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise Unavailable(f"{MANIFEST.name} has no line like {pattern}.")
    return found[1]


class Otelcol(Program):
    """A collector that runs; ``grpc`` and ``http`` are the URLs of its OTLP receiver. A context manager.

    ``configuration`` is a file whose receiver is called ``otlp``; ``overrides`` are like
    ``exporters::clickhouse::timeout=1s`` and win over it. What it says is in ``log``.
    """

    def __init__(
        self, configuration: Path, log: Path, overrides: Sequence[str] = (), variables: Mapping[str, str] | None = None
    ) -> None:
        grpc, http = free_port(), free_port()
        self.grpc, self.http = f"http://127.0.0.1:{grpc}", f"http://127.0.0.1:{http}"
        wanted = (
            f"receivers::otlp::protocols::grpc::endpoint=127.0.0.1:{grpc}",
            f"receivers::otlp::protocols::http::endpoint=127.0.0.1:{http}",
            *overrides,
        )
        command = [str(binary()), "--config", str(configuration), *(f"--set={override}" for override in wanted)]
        super().__init__("The official Collector", command, http, log, variables)
