"""Hearing when another instrumentation is turned on or off: by OpenTelemetry's own switch, or by being imported."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt

from otel_llm import others
from otel_llm.config import fault

#: Told the module of the instrumentation that was turned off, or ``None`` where one was turned on.
Heard = Callable[[str | None], None]

_BASE = "opentelemetry.instrumentation.instrumentor"

_heard: Heard | None = None
_hooked: set[str] = set()
_switches: dict[str, tuple[Any, Any]] = {}


def listen(heard: Heard) -> None:
    """Tells ``heard`` from now on, until :func:`leave`."""
    global _heard
    _heard = heard
    for module, hook in ((_BASE, _patch), *((name, _imported) for name in others.AT_IMPORT)):
        if module in sys.modules:
            hook(sys.modules[module])
        elif module not in _hooked:
            _hooked.add(module)
            wrapt.register_post_import_hook(hook, module)


def leave() -> None:
    """Puts the switches back as they were."""
    global _heard
    _heard = None
    base = getattr(sys.modules.get(_BASE), "BaseInstrumentor", None)
    for name, (replaced, installed) in _switches.items():
        if vars(base).get(name) is installed:
            setattr(base, name, replaced)
    _switches.clear()


def _imported(_: ModuleType) -> None:
    _tell(None)


def _patch(module: ModuleType) -> None:
    base = getattr(module, "BaseInstrumentor", None)
    if _heard is None or _switches or base is None:
        return
    for name in ("instrument", "uninstrument"):
        replaced = vars(base)[name]
        _switches[name] = replaced, _listened(replaced, name == "uninstrument")
        setattr(base, name, _switches[name][1])


def _listened(switch: Callable[..., Any], off: bool) -> Callable[..., Any]:
    @functools.wraps(switch)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return switch(self, *args, **kwargs)
        finally:
            other = others.known(type(self).__module__)
            if other in others.OTHERS:
                _tell(other if off else None)

    return call


def _tell(other: str | None) -> None:
    try:
        if _heard is not None:
            _heard(other)
    except Exception:
        fault("another instrumentation")
