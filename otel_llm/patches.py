"""The patches of a process: put in place as the SDKs are imported, and taken back whole."""

from __future__ import annotations

import functools
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
from otel_llm.config import fault
from otel_llm.flow import Method, PatchBase
from otel_llm.fork import guard
from otel_llm.installed import installed, lacking, version
from otel_llm.provider import Provider
from otel_llm.scope import Scope
from otel_llm.targets import Target, targets

logger = logging.getLogger("otel_llm")

#: Methods that are named where many are missing; the report has all.
NAMED = 5


@dataclass
class Instrumentation:
    """What is instrumented: methods ``patched`` and ``missing``, SDKs ``waiting`` to be imported and ``absent``.

    ``others`` are the other instrumentations that were met so far. All of it is kept up to date.
    """

    patched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=lambda: others.met)


@dataclass
class State:
    """The process's patches; a module is hooked once, however often it is instrumented."""

    lock: threading.RLock = field(default_factory=lambda: guard(threading.RLock()))
    scope: Scope | None = None
    wanted: dict[str, Provider] = field(default_factory=dict)
    hooked: set[str] = field(default_factory=set)
    targets: dict[str, dict[str, list[Target]]] = field(default_factory=dict)
    patches: dict[tuple[Any, str], PatchBase] = field(default_factory=dict)
    report: Instrumentation = field(default_factory=Instrumentation)


STATE = State()


class Bypass(PatchBase):
    """In place of another instrumentation's patch of a method that goes through a patched one: the method itself."""

    __slots__ = ()

    def method(self) -> Method:
        """Calls the method."""

        @functools.wraps(self.original)
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.aside(*args, **kwargs)

        return call


def put_in_force(scope: Scope, providers: dict[str, Provider]) -> Instrumentation:
    """Patches what is imported, sees to the rest when it is imported, and gives every patch the scope."""
    with STATE.lock:
        STATE.scope = scope
        STATE.wanted = providers
        STATE.targets = {name: targets(provider) for name, provider in providers.items()}
        _restore({place: patch for place, patch in STATE.patches.items() if patch.provider.name not in providers})
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
        _restore(dict(STATE.patches))
        others.met = []
        STATE.report = Instrumentation()


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
                patch.beneath = patch.installed.__wrapped__ = others.without(patch.beneath, {gone, others.OURS})
        for provider in STATE.wanted.values():
            for module in STATE.targets[provider.name]:
                if module in sys.modules:
                    _imported(provider, sys.modules[module])


def _restore(patches: dict[tuple[Any, str], PatchBase]) -> None:
    """Puts back what patches replaced; where somebody has patched above one, it stays there and calls through."""
    for (owner, name), patch in patches.items():
        patch.scope = None
        if vars(owner).get(name) is patch.installed:
            if patch.replaced is None:
                delattr(owner, name)
            else:
                setattr(owner, name, patch.replaced)
        del STATE.patches[owner, name]


def _hook(provider: Provider) -> None:
    """Patches what is imported, and sees to the rest when it is imported."""
    found = STATE.targets[provider.name]
    for module in found:
        if module in sys.modules:
            _imported(provider, sys.modules[module])
        elif module not in STATE.hooked:
            wrapt.register_post_import_hook(functools.partial(_imported, provider), module)
            STATE.hooked.add(module)
    if sys.modules.get(provider.package) is None:
        state = STATE.report.waiting if installed(provider.package) else STATE.report.absent
        if provider.name not in state:
            state.append(provider.name)
    gone = lacking(provider.package, found)
    _miss(provider, [target.label for module in gone for target in found[module] if target.expected])


def _imported(provider: Provider, module: ModuleType) -> None:
    """Patches the functions of a module, as far as they are there."""
    try:
        with STATE.lock:
            if STATE.scope is not None and provider.name in STATE.wanted:
                _patch(provider, module)
    except Exception:  # the application is in the middle of importing it
        fault(f"patching {module.__name__}")


def _patch(provider: Provider, module: ModuleType) -> None:
    missing = []
    for target in STATE.targets[provider.name][module.__name__]:
        found = _find(module, target.name)
        if found is None:
            if target.expected:
                missing.append(target.label)
        elif not _stands(found):
            _put(found, target.patch(others.below(found[2], target.label)))
            if target.counts and target.label not in STATE.report.patched:
                STATE.report.patched.append(target.label)
    _miss(provider, missing)
    for label in provider.through:
        place, _, name = label.partition(":")
        if place == module.__name__ and (found := _find(module, name)) is not None and not _stands(found):
            bare = others.below(found[2], label)
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


def _miss(provider: Provider, labels: Iterable[str]) -> None:
    """Says what an SDK does not have, once."""
    new = [label for label in labels if label not in STATE.report.missing]
    if new:
        STATE.report.missing += new
        names = ", ".join(new[:NAMED]) + (f" and {len(new) - NAMED} more" if len(new) > NAMED else "")
        be, them = ("is", "it") if len(new) == 1 else ("are", "them")
        said = "%s %s not in the installed SDK (%s): calls of %s are not recorded."
        logger.warning(said, names, be, version(provider.distribution), them)


def _stands(found: tuple[Any, str, Any]) -> bool:
    """Whether a function is patched, with no other instrumentation above the patch."""
    owner, name, function = found
    patch = STATE.patches.get((owner, name))
    return (
        patch is not None
        and others.maker(function) not in others.OTHERS
        and any(layer is patch.installed for layer in others.layers(function))
    )


def _put(found: tuple[Any, str, Any], patch: PatchBase) -> None:
    """Puts a patch in place; one that it is put above is no longer in force."""
    owner, name, function = found
    if (earlier := STATE.patches.get((owner, name))) is not None:
        earlier.scope = None
    patch.replaced = others.without(vars(owner).get(name), {others.OURS})
    patch.beneath = function
    patch.scope = in_force(patch.provider)
    patch.installed = patch.method()
    patch.installed.__wrapped__ = function
    setattr(owner, name, patch.installed)
    STATE.patches[owner, name] = patch


def in_force(provider: Provider | None = None) -> Scope | None:
    """The scope for a provider's calls, or the application's own; none where nothing could come of them."""
    scope = STATE.scope
    if scope is None or (provider is not None and provider.name not in STATE.wanted):
        return None
    anybody = not isinstance(scope.tracer, NoOpTracer) or scope.followed
    return scope if anybody else None
