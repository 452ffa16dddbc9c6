"""Jaeger and its storage integration suite, built once from its Go module.

They are kept in the user's cache folder, in a folder named after the version: the program, the suite's test program,
and the files of Jaeger's source that the suite reads. Building takes ``go`` and some seven minutes on two cores;
``uv run python tools/jaeger.py`` does it. Jaeger's pages are not in the module; its HTTP API is.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.support import built

MODULE = "github.com/jaegertracing/jaeger"
VERSION = "v1.76.0"
"""The newest tag that is a version of the module; its ``cmd/jaeger`` is Jaeger v2."""
NAME = f"Jaeger {VERSION}"
_SUITE = "./cmd/jaeger/internal/integration"
_READ = ("config-remote-storage.yaml", "config-ui.json")
_FLAGS = ("-p", "2", "-buildvcs=false", "-ldflags=-s -w")


def place() -> Path:
    """The folder of everything that is built."""
    return built.cache() / f"jaeger-{VERSION}"


def binary() -> Path:
    """The program; raises ``Unavailable`` where it has not been built."""
    return built.find(NAME, place() / "jaeger", "tools/jaeger.py")


def suite() -> Path:
    """The test program of the suite; what it reads lies beside it. Raises ``Unavailable`` where it is not built."""
    return built.find(NAME, place() / "integration.test", "tools/jaeger.py")


def build() -> Path:
    """The folder, built where it is not there; raises ``Unavailable`` where there is no Go or the build fails."""
    built.build(NAME, place(), _make)
    return place()


def _make(go: str, folder: Path) -> None:
    module = json.loads(built.run(NAME, [go, "mod", "download", "-json", f"{MODULE}@{VERSION}"], folder))
    source = folder / "source"
    shutil.copytree(module["Dir"], source, copy_function=shutil.copyfile)  # not the modes: nothing there is writable
    for directory in (source, *(path for path in source.rglob("*") if path.is_dir())):
        directory.chmod(0o755)
    built.run(NAME, [go, "build", *_FLAGS, "-o", str(folder / "jaeger"), "./cmd/jaeger"], source)
    built.run(NAME, [go, "test", "-c", "-vet=off", *_FLAGS, "-o", str(folder / "integration.test"), _SUITE], source)
    for name in _READ:
        shutil.copyfile(source / "cmd" / "jaeger" / name, folder / name)
    shutil.rmtree(source)
