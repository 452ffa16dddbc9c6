"""What is patched in an SDK, as a list: the endpoints, hooks and sessions of a provider, function by function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from otel_llm.flow import Method, Patch, PatchBase
from otel_llm.hooks import HookPatch
from otel_llm.provider import Provider
from otel_llm.session_patches import SessionPatch
from otel_llm.session_patches import targets as session_targets


class Target(NamedTuple):
    """A function to patch, ``Class.name`` or ``name`` in ``module``, whether it must be there, and with what."""

    module: str
    name: str
    expected: bool
    counts: bool
    patch: Callable[[Method], PatchBase]

    @property
    def label(self) -> str:
        """Its name in full."""
        return f"{self.module}:{self.name}"


def targets(provider: Provider) -> dict[str, list[Target]]:
    """All that is to be patched in an SDK, by module."""
    found: dict[str, list[Target]] = {}
    for target in _each(provider):
        found.setdefault(target.module, []).append(target)
    return found


def _each(provider: Provider) -> Iterator[Target]:
    patch: Callable[[Method], PatchBase]
    for endpoint in provider.endpoints:
        for name, asynchronous in ((endpoint.method, False), (endpoint.async_method, True)):
            if name is not None:
                patch = partial(Patch, provider, endpoint, asynchronous=asynchronous)
                yield Target(endpoint.module, name, not endpoint.optional, True, patch)
    for hook in provider.hooks:
        for name, asynchronous in ((hook.function, False), (hook.async_function, True)):
            if name is not None:
                patch = partial(HookPatch, provider, hook, asynchronous=asynchronous)
                yield Target(hook.module, name, False, False, patch)
    for session in provider.sessions:
        for name, role, asynchronous, expected in session_targets(session):
            patch = partial(SessionPatch, provider, session, role, asynchronous=asynchronous)
            yield Target(session.module, name, expected, True, patch)
