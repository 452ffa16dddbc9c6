"""Every public method of OpenAI's SDK is recorded, recorded through another, or left out for a reason that is given."""

from __future__ import annotations

import importlib
import inspect
import logging
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import openai
import pytest
from opentelemetry.sdk.trace import TracerProvider

import otel_llm
from otel_llm.providers.openai import OPENAI
from tests.support.openai_sdk import has
from tools.coverage_openai import GENERIC, NOT_COVERED, THROUGH

RECORDED = {(endpoint.module, endpoint.method) for endpoint in OPENAI.endpoints}
SESSIONS = {(session.module, session.connect) for session in OPENAI.sessions}


def _methods(resource: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Every method below a client: its path, the module of its class, and its name in it."""
    kind = type(resource)
    for name in dir(kind):
        if name.startswith("_") or name in ("with_raw_response", "with_streaming_response"):
            continue
        found = inspect.getattr_static(kind, name)
        at = f"{path}.{name}".lstrip(".")
        if isinstance(found, property) or type(found).__name__ == "cached_property":
            if ".resources." in type(inner := getattr(resource, name, None)).__module__:
                yield from _methods(inner, at)
        elif path and callable(found):
            yield at, kind.__module__, f"{kind.__name__}.{name}"


@pytest.fixture(scope="module")
def methods() -> list[tuple[str, str, str]]:
    """All of the installed SDK's."""
    with openai.OpenAI(api_key="x") as client:
        return list(_methods(client))


def _fits(path: str, patterns: Any) -> list[str]:
    return [pattern for pattern in patterns if fnmatchcase(path, pattern)]


def test_nothing_is_forgotten(methods: list[tuple[str, str, str]]) -> None:
    """A method that the SDK gains must be decided upon."""
    assert len(methods) > 100
    forgotten = [
        path
        for path, module, name in methods
        if (module, name) not in RECORDED | SESSIONS and not _fits(path, THROUGH) and not _fits(path, NOT_COVERED)
        if not path.endswith(".connect")
    ]
    assert forgotten == []


def test_what_is_recorded_is_recorded_once(methods: list[tuple[str, str, str]]) -> None:
    """No helper is recorded beside the methods that it calls."""
    recorded = [path for path, module, name in methods if (module, name) in RECORDED]
    assert len(recorded) > 25
    assert [path for path in recorded if _fits(path, THROUGH) and not path.startswith("beta.chat.")] == []


@pytest.mark.skipif(not has("beta.agents"), reason="the lists are of a newer SDK")
def test_no_pattern_is_left_over(methods: list[tuple[str, str, str]]) -> None:
    """A pattern that fits nothing is of a method that is gone."""
    paths = [path for path, _, _ in methods]
    patterns = (*THROUGH, *GENERIC, *NOT_COVERED)
    assert [pattern for pattern in patterns if not any(fnmatchcase(path, pattern) for path in paths)] == []


def _targets() -> Iterator[tuple[Any, str, str, bool]]:
    """Every method of the endpoints that the installed SDK has: its function, module and name, and whether async."""
    for endpoint in OPENAI.endpoints:
        try:
            module = importlib.import_module(endpoint.module)
        except ModuleNotFoundError:
            assert endpoint.optional, endpoint.module
            continue
        for target, asynchronous in ((endpoint.method, False), (endpoint.async_method, True)):
            if target is not None:
                kind, _, name = target.partition(".")
                method = getattr(getattr(module, kind, None), name, None)
                assert method is not None or endpoint.optional, target
                if method is not None:
                    yield method, endpoint.module, target, asynchronous


def test_what_is_there_is_patched_and_what_is_newer_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    """``instrument()`` warns of no method that only a newer SDK has, and patches both forms of every one there is."""
    before = {(module, target): method for method, module, target, _ in _targets()}
    try:
        with caplog.at_level(logging.WARNING):
            report = otel_llm.instrument(providers=["openai"], tracer_provider=TracerProvider())
        assert report.missing == []
        assert len(before) > 60
        for method, module, target, _ in _targets():
            assert method is not before[module, target], target
        assert "installed SDK" not in caplog.text
    finally:
        otel_llm.uninstrument()


def test_every_async_method_is_a_coroutine_function() -> None:
    """What is patched as a coroutine function is one; what is not, is not."""
    for method, _, target, asynchronous in _targets():
        assert inspect.iscoroutinefunction(inspect.unwrap(method)) is asynchronous, target
