"""What is installed of an SDK, seen without importing any of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return _spec(package) is not None


def lacking(package: str, modules: Iterable[str]) -> list[str]:
    """Modules of a package that are not there; none where that cannot be told, as in a frozen application."""
    spec = _spec(package)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        return []
    known: dict[str, ModuleSpec | None] = {package: spec}
    return [module for module in modules if module not in sys.modules and _below(module, known) is None]


def version(distribution: str) -> str:
    """What is installed, for a sentence: the name of a distribution, and its version where that is known."""
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return distribution


def _spec(package: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):  # a parent package that is not there, or an import that is forbidden
        return None


def _below(module: str, known: dict[str, ModuleSpec | None]) -> ModuleSpec | None:
    """The spec of a module, found in the folders of the package above it."""
    if module not in known:
        parent = _below(module.rpartition(".")[0], known)
        folders = None if parent is None else parent.submodule_search_locations
        known[module] = None if folders is None else PathFinder.find_spec(module, list(folders))
    return known[module]
