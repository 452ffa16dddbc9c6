"""Runs the tests of the SDKs' methods with other versions of the SDKs than the locked ones: oldest and in between.

    uv run python tools/versions.py [test …]

Each pair of versions is laid over the project's environment for the run. Tests of methods that a version does not have
are skipped with that reason. Warnings of old SDKs on new libraries are not ours, and no errors here.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

#: The oldest versions that the extras allow, and the last ones of earlier majors.
PAIRS = (("openai==2.0.0", "google-genai==1.32.0"), ("openai<3", "google-genai<2"), ("openai<3", "google-genai<3"))

ROOT = Path(__file__).parent.parent
TESTS = [
    f"tests/otel_llm/{name}"
    for name in (
        "test_calls.py", "test_streams.py", "test_include_usage.py", "test_automatic_functions.py",
        "test_openai_calls.py", "test_openai_raw.py", "test_openai_retries.py", "test_openai_background.py",
        "test_openai_coverage.py", "test_openai_messages.py", "test_openai_streams.py", "test_openai_hosts.py",
        "test_google_calls.py", "test_sessions.py", "test_sessions_realtime.py", "test_sessions_live.py",
        "test_sessions_life.py", "test_sessions_responses.py",
    )
]  # fmt: skip


def run(pair: tuple[str, ...], tests: list[str]) -> bool:
    """Whether the tests pass with these versions."""
    uv = shutil.which("uv")
    if uv is None:
        sys.exit("uv is not on the PATH: pip install uv")
    overlay = [part for requirement in pair for part in ("--with", requirement)]
    pytest = ["python", "-m", "pytest", "-q", "-W", "default", "-p", "no:cacheprovider", *tests]
    started = time.monotonic()
    print(f"--- {', '.join(pair)}", flush=True)
    passed = subprocess.run([uv, "run", "--locked", *overlay, *pytest], cwd=ROOT, check=False).returncode == 0
    print(
        f"--- {', '.join(pair)}: {'passed' if passed else 'FAILED'} in {time.monotonic() - started:.0f} s", flush=True
    )
    return passed


def main() -> None:
    """Runs every pair; exit code 1 when a test fails."""
    tests = sys.argv[1:] or TESTS
    results = [run(pair, tests) for pair in PAIRS]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
