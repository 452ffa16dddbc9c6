"""Environments of the real peers with otel_llm beside them: built once below the user's cache folder, as benchmarks do.

``uv run pytest tests/peers/checks.py`` builds what is not there, which takes a minute and a package index.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.environments import PEERS, Peer, default_folder, environment

ROOT = Path(__file__).parent.parent.parent

#: What otel_llm needs, resolved with the peer; the library itself is this checkout.
_NEEDS = (
    "google-re2",
    "jinja2",
    "opentelemetry-exporter-otlp-proto-grpc",
    "opentelemetry-exporter-otlp-proto-http",
    "pyyaml",
    "wrapt>=2,<3",
)

#: Instrumentations of the same SDKs, as the benchmarks have them, but for one that cannot be used as it is.
INSTRUMENTATIONS = tuple(peer for peer in PEERS if peer.key != "openai_v2")

FRAMEWORKS = (
    Peer("pydantic_ai", "pydantic-ai", (), ("pydantic-ai-slim[openai,google]",)),
    Peer("agents", "OpenAI Agents SDK", (), ("openai-agents", "openinference-instrumentation-openai-agents")),
    Peer("langchain_openinference", "LangChain", (), ("langchain-openai", "openinference-instrumentation-langchain")),
    Peer("langchain_traceloop", "LangChain", (), ("langchain-openai", "opentelemetry-instrumentation-langchain")),
    Peer(
        "langchain_official",
        "LangChain",
        (),
        ("langchain", "langchain-openai", "opentelemetry-instrumentation-genai-langchain"),
    ),
)

SERVERS = Peer("servers", "gunicorn and Celery", (), ("gunicorn", "celery"))
DISTRO = Peer(
    "distro",
    "opentelemetry-instrument",
    (),
    ("opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http", "opentelemetry-instrumentation-genai-openai"),
)


def python(peer: Peer) -> Path:
    """The interpreter of a peer's environment; where it cannot be installed, the test fails and says why."""
    digest = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()[:8]  # what our own metadata comes from
    wanted = replace(
        peer, key=f"{peer.key}-{digest}", resolved=peer.resolved + _NEEDS, forced=(*peer.forced, "-e", str(ROOT))
    )
    found = environment(wanted, default_folder().with_name("tests"))
    if found.python is None:
        pytest.fail(f"{peer.name} {found.notes[-1]}")
    return found.python


def settings(home: str | Path, **variables: str) -> dict[str, str]:
    """The environment variables of a child: none of the user's that could steer an SDK or a peer."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT), "TRACELOOP_TELEMETRY": "false", **variables}


def run(peer: Peer, module: str, task: Any) -> Any:
    """What a module of this folder says, run in a peer's environment: its last line, as JSON."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python(peer)), "-m", f"tests.peers.{module}", json.dumps(task)],
            capture_output=True, text=True, cwd=home, env=settings(home), timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
