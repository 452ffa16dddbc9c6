"""The patches of a process: put in place as the SDKs are imported, and taken back whole."""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
import threading
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry.trace import NoOpTracer

from otel_llm import others
from otel_llm.flow import HookPatch, Patch, PatchBase
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
    wanted: frozenset[str] = frozenset()
    hooked: set[str] = field(default_factory=set)
    patches: dict[tuple[Any, str], PatchBase] = field(default_factory=dict)
    report: Instrumentation = field(default_factory=Instrumentation)


STATE = State()


def put_in_force(scope: Scope, providers: dict[str, Provider]) -> Instrumentation:
    """Patches what is imported, sees to the rest when it is imported, and gives every patch the scope."""
    with STATE.lock:
        STATE.scope = scope
        STATE.wanted = frozenset(providers)
        for patch in STATE.patches.values():
            patch.scope = in_force(patch.provider)
        for provider in providers.values():
            _hook(provider)
        return STATE.report


def take_back() -> None:
    """Takes every patch back; methods that a client has kept pass calls through untouched."""
    with STATE.lock:
        STATE.scope = None
        for (owner, name), patch in STATE.patches.items():
            patch.scope = None
            if owner.__dict__.get(name) is patch.installed:  # else somebody has patched it after us, and calls through
                setattr(owner, name, patch.replaced)
        STATE.patches.clear()
        STATE.report = Instrumentation()


def _hook(provider: Provider) -> None:
    """Patches what is imported, and sees to the rest when it is imported."""
    modules = [endpoint.module for endpoint in provider.endpoints] + [hook.module for hook in provider.hooks]
    modules += [session.module for session in provider.sessions]
    for module in dict.fromkeys(modules):
        if module in sys.modules:
            _patch(provider, sys.modules[module])
        elif module not in STATE.hooked:
            wrapt.register_post_import_hook(functools.partial(_patch, provider), module)
            STATE.hooked.add(module)
    if provider.package not in sys.modules or sys.modules[provider.package] is None:
        found = STATE.report.waiting if installed(provider) else STATE.report.absent
        if provider.name not in found:
            found.append(provider.name)


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
                    elif found[:2] not in STATE.patches:
                        original = others.below(found[2], f"{module.__name__}:{target}")
                        _put(found, Patch(provider, endpoint, original, asynchronous))
                        STATE.report.patched.append(f"{module.__name__}:{target}")
        for hook in provider.hooks:
            for target, asynchronous in ((hook.function, False), (hook.async_function, True)):
                if hook.module == module.__name__ and target is not None:
                    found = _find(module, target)
                    if found is not None and found[:2] not in STATE.patches:
                        _put(found, HookPatch(provider, hook, found[2], asynchronous))
        for session in provider.sessions:
            if session.module == module.__name__:
                for target, role, asynchronous, expected in targets(session):
                    found = _find(module, target)
                    if found is None:
                        _miss(f"{module.__name__}:{target}", not expected)
                    elif found[:2] not in STATE.patches:
                        _put(found, SessionPatch(provider, session, role, found[2], asynchronous))
                        STATE.report.patched.append(f"{module.__name__}:{target}")
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


def _put(found: tuple[Any, str, Any], patch: PatchBase) -> None:
    owner, name, patch.replaced = found
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
