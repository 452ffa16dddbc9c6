"""The command ``otel-llm``, run as its users run it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

#: Seconds that any command may take on a busy machine.
TIMEOUT_S = 180.0


def otel_llm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``otel-llm <arguments>`` and wait for it."""
    return subprocess.run(
        [sys.executable, "-m", "otel_llm_collector", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=clean(environment),
        check=False,
    )


def start(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Start it without waiting."""
    return subprocess.Popen(
        [sys.executable, "-m", "otel_llm_collector", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean({}),
        **options,
    )


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """This environment without settings that would change what is tested."""
    steering = ("OTEL_", "OPENAI_", "GEMINI_", "GOOGLE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(steering)} | dict(environment)


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed said: one sentence on stderr, no traceback, exit code 1."""
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.stderr.strip()
