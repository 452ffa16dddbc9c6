"""The methods of both SDKs as they were and as a peer has patched them, to be put in place in turn.

A peer's own switch will not do: some have none, some leave patches behind, and all take long.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from types import ModuleType
from typing import Any

_MISSING = object()
_PACKAGES = ("openai", "google.genai")


def preload() -> None:
    """Imports what the SDKs import late, so that patching it is seen and no figure has its import in it."""
    for package in ("openai.resources", "google.genai"):
        found = importlib.import_module(package)
        for module in pkgutil.iter_modules(found.__path__, f"{package}."):
            try:
                importlib.import_module(module.name)
            except ImportError:
                continue  # it needs a package that is not installed: nobody can have patched it


class Toggle:
    """What changes in the SDKs between now and :meth:`seal`."""

    def __init__(self) -> None:
        self._before = _attributes()
        self.sites: list[tuple[Any, str, Any, Any]] = []

    def seal(self) -> None:
        """Notes what has been patched: every attribute that is another object than before."""
        for key, (owner, after) in _attributes().items():
            if key not in self._before:
                continue  # imported since
            before = self._before[key][1]
            for name in before.keys() | after.keys():
                old, new = before.get(name, _MISSING), after.get(name, _MISSING)
                if old is not new and not isinstance(new, ModuleType) and not name.startswith(("__pydantic", "_abc_")):
                    self.sites.append((owner, name, old, new))
        self._before.clear()

    def set(self, instrumented: bool) -> None:
        """Puts the patched attributes in place, or those that were there before."""
        for owner, name, old, new in self.sites:
            value = new if instrumented else old
            if value is not _MISSING:
                setattr(owner, name, value)
            elif name in vars(owner):
                delattr(owner, name)


def _attributes() -> dict[int, tuple[Any, dict[str, Any]]]:
    """The attributes of each module of the SDKs and each class that it defines, by the identity of their owner."""
    found: dict[int, tuple[Any, dict[str, Any]]] = {}
    for name, module in list(sys.modules.items()):
        if name.startswith(_PACKAGES) and isinstance(module, ModuleType):
            found[id(module)] = module, dict(vars(module))
            for value in list(vars(module).values()):
                if issubclass(type(value), type) and value.__module__.startswith(_PACKAGES):  # a lazy one stays lazy
                    found[id(value)] = value, dict(vars(value))
    return found
