"""The peers, and an environment for each: built once in the user's cache folder, kept between runs.

Every environment gets the SDKs in exactly the versions that this one has, whatever a peer asks for, so that all of them
instrument the same code. What a peer asked for and did not get is kept as a note, as is why one cannot be installed.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent
#: In the same version everywhere: the SDKs, and what most of a bare call's time is spent in.
SHARED = ("openai", "google-genai", "httpx2", "pydantic", "pydantic-core")


@dataclass(frozen=True)
class Peer:
    """An instrumentation to measure.

    ``resolved`` is installed with whatever it asks for; ``forced`` and the SDKs are then put in place without asking.
    ``modules`` are its own, ``variables`` go into its processes' environment.
    """

    key: str
    name: str
    modules: tuple[str, ...]
    resolved: tuple[str, ...] = ()
    forced: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


US = Peer("otel_llm", "otel_llm", ("otel_llm",))
#: What turns content on where the official conventions' variables do.
_CONTENT = {
    "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
}

PEERS = (
    Peer(
        "genai",
        "OTel genai",
        ("opentelemetry.instrumentation", "opentelemetry.util.genai"),
        (
            "opentelemetry-instrumentation-genai-openai==1.3b0",
            "opentelemetry-instrumentation-google-genai==1.3b0",
            "opentelemetry-util-genai==1.3b0",
        ),
        variables=_CONTENT,
        note="google-genai by skip_dep_check=True: as installed it refuses google-genai 3",
    ),
    Peer(
        "openai_v2",
        "OTel openai-v2",
        ("opentelemetry.instrumentation", "opentelemetry.util.genai"),
        ("opentelemetry-instrumentation-openai-v2==2.4b0", "opentelemetry-util-genai==0.4b0", "httpx"),
        variables=_CONTENT,
        note="with httpx and opentelemetry-util-genai 0.4b0 beside it: as installed it cannot be imported",
    ),
    Peer(
        "traceloop",
        "Traceloop",
        ("opentelemetry.instrumentation", "opentelemetry.semconv_ai"),
        (
            "opentelemetry-instrumentation-openai==0.62.4",
            "opentelemetry-instrumentation-google-generativeai==0.62.4",
        ),
        variables={"TRACELOOP_TELEMETRY": "false"},
    ),
    Peer(
        "openinference",
        "OpenInference",
        ("openinference",),
        ("openinference-instrumentation-openai==0.1.66", "openinference-instrumentation-google-genai==1.4.14"),
    ),
    Peer(
        "openlit",
        "OpenLIT",
        ("openlit",),
        ("openlit==1.45.0",),
        note="prices from a file (pricing_json): by default it fetches them; without a provider it sets up its own",
    ),
    Peer(
        "logfire",
        "Logfire",
        ("logfire", "_logfire_sdk", "opentelemetry.instrumentation", "opentelemetry.util.genai"),
        ("logfire", "opentelemetry-instrumentation-google-genai==1.3b0"),
        ("logfire==5.4.0", "logfire-sdk==5.4.0"),
        variables={**_CONTENT, "LOGFIRE_SEND_TO_LOGFIRE": "false", "LOGFIRE_IGNORE_NO_CONFIG": "1"},
        note="google-genai by skip_dep_check=True; send_to_logfire=False",
    ),
    Peer(
        "langfuse",
        "Langfuse",
        ("langfuse",),
        ("langfuse==5.0.4",),
        note="OpenAI only; with its own span processor",
    ),
)


@dataclass(frozen=True)
class Environment:
    """A peer's interpreter and what is to be said about it; no interpreter where it cannot be installed."""

    peer: Peer
    python: Path | None
    notes: tuple[str, ...] = ()


def default_folder() -> Path:
    """Where environments are kept: ``otel-llm/peers`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-llm" / "peers"


def shared_versions() -> tuple[str, ...]:
    """The SDKs as they are in this environment, as requirements."""
    return tuple(f"{name}=={importlib.metadata.version(name)}" for name in SHARED)


def environments(folder: Path) -> list[Environment]:
    """This environment, and each peer's; builds what is not there and says so on standard error."""
    return [Environment(US, Path(sys.executable)), *(environment(peer, folder) for peer in PEERS)]


def settings(peer: Peer, home: Path) -> dict[str, str]:
    """The environment variables of a child: none of the user's that could steer an SDK or a peer."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "PYTHONPATH": str(BENCHMARKS),
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        **peer.variables,
    }


def environment(peer: Peer, folder: Path) -> Environment:
    """An environment for a peer; built where it is not there."""
    forced = (*peer.forced, *shared_versions())
    wanted = json.dumps([peer.resolved, forced, sys.version])
    place = folder / f"{peer.key}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    if not place.exists():
        print(f"Building an environment for {peer.name} in {place} …", file=sys.stderr, flush=True)
        unfinished = place.with_name(f"{place.name}.{os.getpid()}")
        try:
            _build(unfinished, peer.resolved, forced)
            unfinished.rename(place)
        except subprocess.CalledProcessError as error:
            reason = f"cannot be installed: {_without_hosts(str(error.stderr).strip())}"
            return Environment(peer, None, (reason,))
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)  # gone when it was renamed
    conflicts = (place / "conflicts.txt").read_text().splitlines()
    return Environment(peer, place / "bin" / "python", (*filter(None, [peer.note]), *conflicts))


def _build(place: Path, resolved: tuple[str, ...], forced: tuple[str, ...]) -> None:
    """Makes an environment; raises ``CalledProcessError`` with what the installer said."""
    python = str(place / "bin" / "python")
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(place)]
        pip = [uv, "pip"]
        at = ["--python", python]
    else:
        make = [sys.executable, "-m", "venv", "--upgrade-deps", str(place)]
        pip = [python, "-m", "pip"]
        at = []
    for command in (
        make,
        [*pip, "install", "--quiet", *at, *shared_versions(), "opentelemetry-sdk"],
        [*pip, "install", "--quiet", *at, *resolved],
        [*pip, "install", "--quiet", *at, "--no-deps", *forced],
    ):
        subprocess.run(command, check=True, capture_output=True, text=True)
    check = subprocess.run([*pip, "check", *at], check=False, capture_output=True, text=True)
    found = re.findall(r"^.*(?:requires|has requirement).*$", check.stdout + check.stderr, re.MULTILINE)
    (place / "conflicts.txt").write_text("\n".join(line.replace("`", "") for line in found))


def _without_hosts(text: str) -> str:
    return re.sub(r"https?://\S+", "the package index", " ".join(text.split()))
