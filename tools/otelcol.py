"""Builds the official OpenTelemetry Collector with its ClickHouse exporter, once, for tests and benchmarks.

    uv run python tools/otelcol.py

It takes ``go``, and minutes. Where there is no ``go`` it says so and ends well: what needs the binary is then skipped,
with that reason. Exit code 1 where there is a ``go`` and the build fails.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.support import otelcol


def main() -> None:
    """Builds it, or says why not."""
    if not otelcol.place().exists() and shutil.which("go"):
        print(f"Building the official Collector {otelcol.version()}; this takes minutes …", flush=True)
    try:
        print(f"The official Collector {otelcol.version()} is in {otelcol.build()}")
    except otelcol.Unavailable as error:
        print(error)
        sys.exit(1 if shutil.which("go") else 0)


if __name__ == "__main__":
    main()
