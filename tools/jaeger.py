"""Builds Jaeger and its storage integration suite, once, for tests.

    uv run python tools/jaeger.py

It takes ``go``, and minutes. Where there is no ``go`` it says so and ends well: what needs the binary is then skipped,
with that reason. Exit code 1 where there is a ``go`` and the build fails.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.support.built import Unavailable
from tests.support import jaeger_build


def main() -> None:
    """Builds it, or says why not."""
    if not jaeger_build.place().exists() and shutil.which("go"):
        print(f"Building {jaeger_build.NAME}; this takes minutes …", flush=True)
    try:
        print(f"{jaeger_build.NAME} is in {jaeger_build.build()}")
    except Unavailable as error:
        print(error)
        sys.exit(1 if shutil.which("go") else 0)


if __name__ == "__main__":
    main()
