"""The patches of a process: put in place as the SDKs are imported, and taken back whole."""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry.trace import NoOpTracer

from otel_llm import others, runs, switches
from otel_llm.flow import HookPatch, Method, Patch, PatchBase
from otel_llm.invocation import Scope
from otel_llm.provider import Provider
from otel_llm.session_patches import SessionPatch, targets

logger = logging.getLogger("otel_llm")


@dataclass
class Instrumentation:
    """What is instrumented: methods ``patched`` and ``missing``, SDKs ``waiting`` to be imported and ``absent``."""

    patched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


@dataclass
class State:
    """The process's patches; a module is hooked once, however often it is instrumented."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    scope: Scope | None = None
    wanted: dict[str, Provider] = field(default_factory=dict)
    hooked: set[str] = field(default_factory=set)
    patches: dict[tuple[Any, str], PatchBase] = field(default_factory=dict)
    report: Instrumentation = field(default_factory=Instrumentation)


STATE = State()


class Bypass(PatchBase):
    """In place of another instrumentation's patch of a method that goes through a patched one: the method itself."""

    __slots__ = ()

    def method(self) -> Method:
        """The method."""
        return self.original


def put_in_force(scope: Scope, providers: dict[str, Provider]) -> Instrumentation:
    """Patches what is imported, sees to the rest when it is imported, and gives every patch the scope."""
    with STATE.lock:
        STATE.scope = scope
        STATE.wanted = providers
        for patch in STATE.patches.values():
            patch.scope = in_force(patch.provider)
        for provider in providers.values():
            _hook(provider)
        switches.listen(settle)
        runs.listen()
        return STATE.report


def take_back() -> None:
    """Takes every patch back; methods that a client has kept pass calls through untouched."""
    with STATE.lock:
        switches.leave()
        STATE.scope = None
        for (owner, name), patch in STATE.patches.items():
            patch.scope = None
            if vars(owner).get(name) is patch.installed:  # else somebody has patched it after us, and calls through
                if patch.replaced is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, patch.replaced)
        STATE.patches.clear()
        STATE.report = Instrumentation()


def _hook(provider: Provider) -> None:
    """Patches what is imported, and sees to the rest when it is imported."""
    for module in _modules(provider):
        if module in sys.modules:
            _patch(provider, sys.modules[module])
        elif module not in STATE.hooked:
            wrapt.register_post_import_hook(functools.partial(_patch, provider), module)
            STATE.hooked.add(module)
    if provider.package not in sys.modules or sys.modules[provider.package] is None:
        found = STATE.report.waiting if installed(provider) else STATE.report.absent
        if provider.name not in found:
            found.append(provider.name)


def _modules(provider: Provider) -> Iterable[str]:
    """The modules of an SDK in which there is something to patch."""
    modules = [endpoint.module for endpoint in provider.endpoints] + [hook.module for hook in provider.hooks]
    return dict.fromkeys(modules + [session.module for session in provider.sessions])


def settle(gone: str | None = None) -> None:
    """Sees to it that a call is one span after another instrumentation was turned on, or off, which then is ``gone``.

    What it has put around our patches, or in their place, is passed by; what it has left behind is not put back.
    """
    with STATE.lock:
        if STATE.scope is None:
            return
        if gone is not None:
            for patch in STATE.patches.values():
                patch.replaced = others.without(patch.replaced, {gone, others.OURS})
        for provider in STATE.wanted.values():
            for module in _modules(provider):
                if module in sys.modules:
                    _patch(provider, sys.modules[module])


def installed(provider: Provider) -> bool:
    """Whether an SDK can be imported, without importing it."""
    try:
        return importlib.util.find_spec(provider.package) is not None
    except (ImportError, ValueError):  # a parent package that is not there, or an import that is forbidden
        return False


def _patch(provider: Provider, module: ModuleType) -> None:
    """Patches the methods of a module, those that are there; the others are said once."""
    with STATE.lock:
        if STATE.scope is None or provider.name not in STATE.wanted:
            return
        for endpoint in provider.endpoints:
            for target, asynchronous in ((endpoint.method, False), (endpoint.async_method, True)):
                if endpoint.module == module.__name__ and target is not None:
                    found = _find(module, target)
                    if found is None:
                        _miss(f"{module.__name__}:{target}", endpoint.optional)
                    elif not _stands(found):
                        original = others.below(found[2], f"{module.__name__}:{target}")
                        _put(found, Patch(provider, endpoint, original, asynchronous))
                        _patched(f"{module.__name__}:{target}")
        for hook in provider.hooks:
            for target, asynchronous in ((hook.function, False), (hook.async_function, True)):
                if hook.module == module.__name__ and target is not None:
                    found = _find(module, target)
                    if found is not None and not _stands(found):
                        _put(found, HookPatch(provider, hook, found[2], asynchronous))
        for session in provider.sessions:
            if session.module == module.__name__:
                for target, role, asynchronous, expected in targets(session):
                    found = _find(module, target)
                    if found is None:
                        _miss(f"{module.__name__}:{target}", not expected)
                    elif not _stands(found):
                        _put(found, SessionPatch(provider, session, role, found[2], asynchronous))
                        _patched(f"{module.__name__}:{target}")
        for place in provider.through:
            if place.startswith(f"{module.__name__}:"):
                found = _find(module, place.partition(":")[2])
                if found is not None and not _stands(found):
                    bare = others.below(found[2], place)
                    if bare is not found[2]:
                        _put(found, Bypass(provider, bare, False))
        if provider.name in STATE.report.waiting:
            STATE.report.waiting.remove(provider.name)


def _find(module: ModuleType, target: str) -> tuple[Any, str, Any] | None:
    """The owner, the name and the function of ``Class.name``, or of ``name`` in the module; ``None`` where missing."""
    class_name, _, name = target.rpartition(".")
    owner = getattr(module, class_name, None) if class_name else module
    function = getattr(owner, name, None)
    return None if function is None else (owner, name, function)


def _miss(label: str, optional: bool) -> None:
    if label not in STATE.report.missing and not optional:
        STATE.report.missing.append(label)
        logger.warning("%s is not in the installed SDK: calls of it are not recorded.", label)


def _patched(label: str) -> None:
    if label not in STATE.report.patched:
        STATE.report.patched.append(label)


def _stands(found: tuple[Any, str, Any]) -> bool:
    """Whether a function is patched; where other instrumentations have come above our patch, it is put above them."""
    owner, name, function = found
    patch = STATE.patches.get((owner, name))
    if patch is None or not any(layer is patch.installed for layer in others.layers(function)):
        return False
    label = f"{getattr(owner, '__module__', owner.__name__)}:{owner.__name__}.{name}"
    if function is not patch.installed and others.below(function, label, patch.installed) is patch.installed:
        patch.replaced = vars(owner)[name]
        setattr(owner, name, patch.installed)
    return True


def _put(found: tuple[Any, str, Any], patch: PatchBase) -> None:
    owner, name, _ = found
    patch.replaced = others.without(vars(owner).get(name), {others.OURS})
    patch.scope = in_force(patch.provider)
    patch.installed = patch.method()
    setattr(owner, name, patch.installed)
    STATE.patches[owner, name] = patch


def in_force(provider: Provider | None = None) -> Scope | None:
    """The scope for a provider's calls, or the application's own; none where nothing could come of them."""
    scope = STATE.scope
    if scope is None or (provider is not None and provider.name not in STATE.wanted):
        return None
    return None if isinstance(scope.tracer, NoOpTracer) and not (scope.policy or scope.metrics.live) else scope
