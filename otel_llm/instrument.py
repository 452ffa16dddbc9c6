"""``instrument()`` and ``uninstrument()``: the patches, put in place as the SDKs are imported and taken back whole."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry.trace import NoOpTracer, TracerProvider

from otel_llm import attributes, config
from otel_llm.errors import ConfigError
from otel_llm.export import provider as tracer_provider_in_force
from otel_llm.flow import HookPatch, Patch
from otel_llm.guardrails import Guardrail, Guardrails
from otel_llm.interceptor import Interceptor
from otel_llm.invocation import Scope
from otel_llm.pricing import Pricing
from otel_llm.prompts import PromptLink, configure
from otel_llm.provider import Provider
from otel_llm.providers import PROVIDERS

logger = logging.getLogger("otel_llm")

#: Instrumentors of the same SDKs, by distribution: with one of them active a call would be recorded twice.
OTHERS = (
    "opentelemetry-instrumentation-genai-openai",
    "opentelemetry-instrumentation-openai-v2",
    "opentelemetry-instrumentation-openai",
    "opentelemetry-instrumentation-google-genai",
    "opentelemetry-instrumentation-google-generativeai",
    "openinference-instrumentation-openai",
    "openinference-instrumentation-google-genai",
    "openlit",
)


@dataclass
class Instrumentation:
    """What is instrumented: methods ``patched`` and ``missing``, SDKs ``waiting`` to be imported and ``absent``."""

    patched: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


@dataclass
class _State:
    """The process's patches; a module is hooked once, however often it is instrumented."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    scope: Scope | None = None
    wanted: frozenset[str] = frozenset()
    hooked: set[str] = field(default_factory=set)
    patches: dict[tuple[Any, str], Patch | HookPatch] = field(default_factory=dict)
    report: Instrumentation = field(default_factory=Instrumentation)


_state = _State()


def instrument(
    *,
    providers: Iterable[str] | None = None,
    capture_content: bool | None = None,
    guardrails: Sequence[Guardrail] = (),
    prompts: str | Path | None = None,
    interceptors: Sequence[Interceptor] = (),
    service_name: str | None = None,
    tracer_provider: TracerProvider | None = None,
    local: bool = False,
) -> Instrumentation:
    """Records every model call of the SDKs that are installed, from now on and whenever they are imported.

    ``providers`` names some of ``google_genai`` and ``openai``; all by default. ``capture_content`` puts messages on
    the span; by default the variable ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` decides.
    ``guardrails`` are checked on every call. ``prompts`` is the folder where :func:`otel_llm.prompt` looks. Spans go to
    ``tracer_provider``, else to the one that the application has set, else by OTLP to where the ``OTEL_*`` variables
    say. ``local=True`` finds a collector on this machine, or starts one on ``./.otel-llm``, and says where to look.

    Calling it again changes the settings and patches nothing twice. Raises
    :class:`~otel_llm.errors.ConfigError` for a provider, exporter or rule that is not known.
    """
    known = {provider.name: provider for provider in PROVIDERS}
    names = frozenset(known if providers is None else [providers] if isinstance(providers, str) else providers)
    if unknown := names - known.keys():
        raise ConfigError(f"Unknown provider {', '.join(sorted(unknown))}: use {' or '.join(known)}.")
    if prompts is not None:
        configure(Path(prompts))
    endpoint = None
    if local:
        from otel_llm.local import collector

        endpoint = collector()
    capture = config.captures_content() if capture_content is None else capture_content
    tracer = (tracer_provider or tracer_provider_in_force(service_name, endpoint)).get_tracer(
        "otel_llm", version(), attributes={attributes.SCHEMA_VERSION.name: attributes.VERSION}
    )
    chain: list[Interceptor] = [PromptLink(capture_content=capture)]
    if guardrails:
        chain.append(Guardrails(guardrails))
    with _state.lock:
        _state.scope = Scope(tracer, (*chain, *interceptors, Pricing()), capture)
        _state.wanted = names
        for patch in _state.patches.values():
            patch.scope = _in_force(patch.provider)
        for name in sorted(names):
            _hook(known[name])
        if names and (providers is not None or len(_state.report.absent) == len(known)):
            for name in names.intersection(_state.report.absent):
                logger.warning("%s is not installed, none of its calls can be recorded.", known[name].distribution)
        _say_others()
        return _state.report


def uninstrument() -> None:
    """Takes every patch back; methods that a client has kept pass calls through untouched."""
    with _state.lock:
        _state.scope = None
        for (owner, name), patch in _state.patches.items():
            patch.scope = None
            if getattr(owner.__dict__.get(name), "__wrapped__", None) is patch.original:
                setattr(owner, name, patch.original)
        _state.patches.clear()
        _state.report = Instrumentation()


def version() -> str:
    """The version of this library."""
    return importlib.metadata.version("otel-llm")


def _hook(provider: Provider) -> None:
    """Patches what is imported, and sees to the rest when it is imported."""
    modules = [endpoint.module for endpoint in provider.endpoints] + [hook.module for hook in provider.hooks]
    for module in dict.fromkeys(modules):
        if module in sys.modules:
            _patch(provider, sys.modules[module])
        elif module not in _state.hooked:
            wrapt.register_post_import_hook(functools.partial(_patch, provider), module)
            _state.hooked.add(module)
    if provider.package not in sys.modules or sys.modules[provider.package] is None:
        found = _state.report.waiting if installed(provider) else _state.report.absent
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
    with _state.lock:
        if _state.scope is None or provider.name not in _state.wanted:
            return
        for endpoint in provider.endpoints:
            for target, asynchronous in ((endpoint.method, False), (endpoint.async_method, True)):
                if endpoint.module == module.__name__ and target is not None:
                    found = _find(module, target)
                    if found is None:
                        _miss(f"{module.__name__}:{target}", endpoint.optional)
                    elif found[:2] not in _state.patches:
                        _put(found, Patch(provider, endpoint, found[2], asynchronous))
                        _state.report.patched.append(f"{module.__name__}:{target}")
        for hook in provider.hooks:
            for target, asynchronous in ((hook.function, False), (hook.async_function, True)):
                if hook.module == module.__name__ and target is not None:
                    found = _find(module, target)
                    if found is not None and found[:2] not in _state.patches:
                        _put(found, HookPatch(provider, hook, found[2], asynchronous))
        if provider.name in _state.report.waiting:
            _state.report.waiting.remove(provider.name)


def _find(module: ModuleType, target: str) -> tuple[Any, str, Any] | None:
    """The owner, the name and the function of ``Class.name``, or of ``name`` in the module; ``None`` where missing."""
    class_name, _, name = target.rpartition(".")
    owner = getattr(module, class_name, None) if class_name else module
    original = getattr(owner, name, None)
    return None if original is None else (owner, name, original)


def _miss(label: str, optional: bool) -> None:
    if label not in _state.report.missing and not optional:
        _state.report.missing.append(label)
        logger.warning("%s is not in the installed SDK: calls of it are not recorded.", label)


def _put(found: tuple[Any, str, Any], patch: Patch | HookPatch) -> None:
    owner, name, _ = found
    patch.scope = _in_force(patch.provider)
    setattr(owner, name, patch.method())
    _state.patches[owner, name] = patch


def _in_force(provider: Provider) -> Scope | None:
    """The scope for a provider's calls; none where nothing could come of them."""
    scope = _state.scope
    if scope is None or provider.name not in _state.wanted:
        return None
    return None if isinstance(scope.tracer, NoOpTracer) and not scope.policy else scope


_others_said: set[str] = set()


def others() -> list[str]:
    """Other instrumentors of the same SDKs that are active in this process."""
    found = []
    for distribution in OTHERS:
        module = distribution.replace("opentelemetry-instrumentation-", "opentelemetry.instrumentation.").replace(
            "openinference-instrumentation-", "openinference.instrumentation."
        )
        if module.replace("-", "_") in sys.modules:
            found.append(distribution)
    return found


def _say_others() -> None:
    for distribution in others():
        if distribution not in _others_said:
            _others_said.add(distribution)
            logger.warning(
                "%s is loaded too: each call would be recorded twice. Turn one of the two off (with it, leave the SDK "
                "out of instrument(providers=…)).",
                distribution,
            )
