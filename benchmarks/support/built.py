"""Programs that are built from Go modules, once, and kept in the user's cache folder, outside the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path


class Unavailable(Exception):
    """A program is not there; the message says why and what would help."""


def cache() -> Path:
    """The folder that everything built is in."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-llm"


def find(name: str, path: Path, tool: str) -> Path:
    """What has been built; raises ``Unavailable`` where it has not, with the ``tool`` that does it."""
    if not path.exists():
        raise Unavailable(
            f"{name} has not been built: uv run python {tool}"
            + ("" if shutil.which("go") else " (which takes go, and there is none on the PATH)")
        )
    return path


def build(name: str, folder: Path, make: Callable[[str, Path], None]) -> None:
    """Make a folder, where it is not there, all of it or nothing.

    ``make`` is given the path of ``go`` and the folder to fill. Raises ``Unavailable`` where there is no Go, or where
    ``make`` does.
    """
    if folder.exists():
        return
    go = shutil.which("go")
    if go is None:
        raise Unavailable(f"{name} cannot be built: there is no go on the PATH.")
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        make(go, unfinished)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)  # gone when it was renamed


def main(name: str, place: Path, build: Callable[[], Path]) -> None:
    """A tool that builds something, or says why not; it ends with 1 where there is a ``go`` and building fails."""
    if not place.exists() and shutil.which("go"):
        print(f"Building {name}; this takes minutes …", flush=True)
    try:
        print(f"{name} is in {build()}")
    except Unavailable as error:
        print(error)
        sys.exit(1 if shutil.which("go") else 0)


def run(name: str, command: Sequence[str], folder: Path) -> str:
    """Run a step of building, after everything else that the machine does; what it prints. Raises ``Unavailable``."""
    done = subprocess.run(["nice", "-n", "15", *command], cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise Unavailable(f"{name} cannot be built: {' '.join(last)}")
    return done.stdout
