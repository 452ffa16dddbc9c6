"""Builds Jaeger and its storage integration suite, once, for tests.

    uv run python tools/jaeger.py

It takes ``go``, and minutes. Where there is no ``go`` it says so and ends well: what needs the binary is then skipped,
with that reason. Exit code 1 where there is a ``go`` and the build fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.support import built
from tests.support import jaeger_build

if __name__ == "__main__":
    built.main(jaeger_build.NAME, jaeger_build.place(), jaeger_build.build)
