"""The files of a deployment, as tests read them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from typer.main import get_group

from otel_llm_collector.cli import _app

ROOT = Path(__file__).parents[2]
COLLECTOR = ROOT / "collector"
COMPOSE = COLLECTOR / "compose.yaml"
KUBERNETES = COLLECTOR / "kubernetes"
IMAGE = "otel-llm-collector"
"""Our own; all others are published ones."""

_PINNED = re.compile(r"[\w./-]+:v?\d+\.\d+[\w.-]*")
_VARIABLE = re.compile(r"\$\{env:(\w+)")


def compose() -> dict[str, Any]:
    """The compose file, anchors and merges resolved, variables as they are written."""
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def services() -> dict[str, dict[str, Any]]:
    """The services of the compose file, by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def make_keys(data: Path, folder: Path) -> str:
    """Run the step of compose that makes keys, with its own arguments but the folders; what it says."""
    _, _, *callers = services()["keys"]["command"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for caller in callers:
        (folder / caller.partition(":")[0]).mkdir(parents=True, exist_ok=True)
    command = ["sh", str(COLLECTOR / "compose" / "keys.sh"), str(data), str(folder), *callers]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def documents(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every object for a cluster in the files of a folder, without what is for kustomize or is a configuration."""
    for path in sorted(folder.rglob("*.yaml")):
        for found in yaml.safe_load_all(path.read_text()):
            if found and "kind" in found and found["kind"] != "Kustomization" and path.name != "patch.yaml":
                yield path, found


def is_pinned(image: str) -> bool:
    """Whether an image is named with a version; ``latest`` is none."""
    return _PINNED.fullmatch(image) is not None


def parse(arguments: Sequence[str]) -> dict[str, Any]:
    """The options of a command of ours, as the command line understands them; fails on any that is not there."""
    group = get_group(_app())
    name, command, rest = group.resolve_command(
        group.make_context("otel-llm", ["--help"], resilient_parsing=True), [*arguments]
    )
    assert command is not None
    return dict(command.make_context(name, rest).params)


def variables(path: Path) -> set[str]:
    """The environment variables that a configuration of the official Collector, or of Jaeger, reads."""
    return set(_VARIABLE.findall(path.read_text()))


def uncommented(text: str) -> str:
    """A configuration with what stands in it as a comment from its first ``# [[`` on."""
    head, mark, tail = text.partition("# [[")
    return head + (mark + tail).replace("\n# ", "\n").removeprefix("# ")


def moved(text: str, replaced: Mapping[str, str]) -> str:
    """A configuration whose places and names are others; each of them must be there."""
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text
