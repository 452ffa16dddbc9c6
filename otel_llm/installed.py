"""What is installed of an SDK, seen without importing any of it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterable
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader


def installed(package: str) -> bool:
    """Whether a package can be imported."""
    return _spec(package) is not None


def lacking(package: str, modules: Iterable[str]) -> list[str]:
    """Modules of a package that are not there; none where that cannot be told, as in a frozen application."""
    spec = _spec(package)
    if spec is None or not isinstance(spec.loader, SourceFileLoader):
        return []
    folders = tuple(spec.submodule_search_locations or ())
    return [module for module in modules if module not in sys.modules and not _there(package, folders, module)]


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


def _there(package: str, folders: tuple[str, ...], module: str) -> bool:
    """Whether a module is in the folders of its package, or of packages below."""
    name = package
    for part in module.removeprefix(package).split(".")[1:]:
        name = f"{name}.{part}"
        found = _found(name, folders)
        if found is None:
            return False
        folders = found
    return True


@lru_cache(maxsize=1024)
def _found(module: str, folders: tuple[str, ...]) -> tuple[str, ...] | None:
    """The folders of a module that is in these folders: none where it is no package. ``None`` where it is not there."""
    spec = PathFinder.find_spec(module, list(folders))
    return None if spec is None else tuple(spec.submodule_search_locations or ())
