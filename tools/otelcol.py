"""Builds the official OpenTelemetry Collector with its ClickHouse exporter, once, for tests and benchmarks.

    uv run python tools/otelcol.py

It takes ``go``, and minutes. Where there is no ``go`` it says so and ends well: what needs the binary is then skipped,
with that reason. Exit code 1 where there is a ``go`` and the build fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.support import built, otelcol

if __name__ == "__main__":
    built.main(f"The official Collector {otelcol.version()}", otelcol.place(), otelcol.build)
