"""Writes docs/coverage.md, how every public method of both SDKs is recorded; ``--check`` says whether it is current.

uv run python tools/coverage.py [--check]

The methods are those of the installed SDKs, found by walking their clients. A method that is neither an endpoint, a
session, nor on the lists of ``tools/coverage_openai.py`` and ``tools/coverage_google.py`` is an error with its name, so
that a new version of an SDK says what is new; so is an endpoint or a pattern of the lists that fits nothing.
"""

from __future__ import annotations

import contextlib
import inspect
import runpy
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import openai
from google import genai

from otel_llm.provider import Endpoint, Provider
from otel_llm.providers.google_genai import GOOGLE_GENAI
from otel_llm.providers.openai import OPENAI

TARGET = Path(__file__).parent.parent / "docs" / "coverage.md"

HEAD = """# Coverage

Generated from the SDKs themselves, {versions}, by `tools/coverage.py`; not to be edited.

Every public method is here, sync and async alike. Those of the first table are recorded, each with the operation that
its span is named after; *generic* ones say little more than that the call was made. OpenAI's `with_raw_response` and
`with_streaming_response` are recorded as the methods themselves are. What other versions have is recorded there.
"""

#: Where resources are reached in another way, or say the same again.
_ELSEWHERE = frozenset({"aio", "with_raw_response", "with_streaming_response"})


#: Methods that one pattern leaves out are named up to so many.
MOST = 6


@dataclass(frozen=True)
class Method:
    """A public method: its path from the client, and where it is defined."""

    path: str
    module: str
    name: str


@dataclass
class Lists:
    """What is decided about methods that are no endpoints, by patterns of their paths; the first that fits holds."""

    through: Mapping[str, str]
    generic: Iterable[str]
    not_covered: Mapping[str, str]

    @classmethod
    def of(cls, name: str) -> Lists:
        """The lists of a file beside this one."""
        lists = runpy.run_path(str(Path(__file__).with_name(name)))
        return cls(lists["THROUGH"], lists["GENERIC"], lists["NOT_COVERED"])


@dataclass
class Coverage:
    """How the methods of an SDK are recorded, by path, and what is wrong."""

    recorded: dict[str, tuple[str, str]] = field(default_factory=dict)
    through: dict[str, str] = field(default_factory=dict)
    left_out: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    forms: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def methods(resource: Any, package: str, path: str = "") -> Iterator[Method]:
    """Every public method below a client, in its resources and in the objects of their own modules that they give."""
    kind = type(resource)
    for name in dir(kind):
        if name.startswith("_") or name in _ELSEWHERE:
            continue
        found = inspect.getattr_static(kind, name)
        at = f"{path}.{name}".lstrip(".")
        if isinstance(found, property) or type(found).__name__ == "cached_property":
            inner = getattr(resource, name, None)
            if type(inner).__module__.startswith(f"{package}.") and not isinstance(inner, str):
                yield from methods(inner, package, at)
        elif path and callable(found):
            yield Method(at, kind.__module__, f"{kind.__name__}.{name}")
            given = getattr(found, "__annotations__", {}).get("return")
            if inspect.isclass(given) and given.__module__ == kind.__module__:
                yield from _of_class(given, f"{at}()")


def _of_class(kind: type, path: str) -> Iterator[Method]:
    """The public methods of what a method gives, such as a chat."""
    for name in dir(kind):
        if not name.startswith("_") and inspect.isfunction(inspect.getattr_static(kind, name)):
            yield Method(f"{path}.{name}", kind.__module__, f"{kind.__name__}.{name}")


def cover(provider: Provider, lists: Lists, forms: Mapping[str, Iterable[Method]]) -> Coverage:
    """How every method is recorded; ``forms`` are the methods of the sync and of the async client."""
    found = Coverage()
    endpoints = {
        (endpoint.module, target): endpoint
        for endpoint in provider.endpoints
        for target in (endpoint.method, endpoint.async_method)
    }
    sessions = {(session.module, session.connect) for session in provider.sessions}
    met: set[tuple[str, str]] = set()
    used: set[str] = set()
    for form, each in forms.items():
        for method in each:
            key = (method.module, method.name)
            decided = _decide(found, method, endpoints.get(key), key in sessions, lists)
            met.add(key)
            if decided is None:
                found.problems.append(f"{method.path} ({form}) is new: make it an endpoint, or say why not")
                continue
            used.update(decided)
            found.forms.setdefault(method.path, []).append(form)
    for (module, target), endpoint in endpoints.items():
        if target is not None and (module, target) not in met and not endpoint.optional:
            found.problems.append(f"the endpoint {module}:{target} is no method of the SDK")
    for pattern in (*lists.through, *lists.generic, *lists.not_covered):
        if pattern not in used:
            found.problems.append(f"the pattern {pattern} decides nothing")
    return found


def _decide(
    found: Coverage, method: Method, endpoint: Endpoint | None, session: bool, lists: Lists
) -> list[str] | None:
    """Notes how a method is recorded; the patterns that say so, ``None`` where nothing does."""
    path = method.path
    if pattern := _first(path, lists.through):
        found.through[path] = lists.through[pattern]
        return [pattern]
    if endpoint is not None:
        general = [pattern for pattern in lists.generic if fnmatchcase(path, pattern)]
        found.recorded[path] = (f"`{endpoint.operation}`{', generic' if general else ''}", _streamed(endpoint))
        return general
    if session:
        found.recorded[path] = ("a session: a span a turn", "by its nature")
        return []
    if pattern := _first(path, lists.not_covered):
        listed = found.left_out.setdefault((lists.not_covered[pattern], pattern), [])
        if path not in listed:
            listed.append(path)
        return [pattern]
    return None


def _first(path: str, patterns: Iterable[str]) -> str | None:
    return next((pattern for pattern in patterns if fnmatchcase(path, pattern)), None)


def _streamed(endpoint: Endpoint) -> str:
    if endpoint.fold is None or endpoint.streamed is False:
        return ""
    return "yes" if endpoint.streamed else "with `stream=True`"


def _page(title: str, coverage: Coverage) -> str:
    """The section of an SDK."""
    rows = [
        f"| `{path}` | {how} | {streamed} | {', '.join(coverage.forms[path])} |\n"
        for path, (how, streamed) in sorted(coverage.recorded.items())
    ]
    through = [f"| `{path}` | {other} |\n" for path, other in sorted(coverage.through.items())]
    left_out: dict[str, list[str]] = {}
    for (reason, pattern), paths in sorted(coverage.left_out.items()):
        many = "*" in pattern and len(paths) > MOST
        left_out.setdefault(reason, []).extend([f"`{pattern}` ({len(paths)})"] if many else _code(paths))
    reasons = [f"| {reason} | {', '.join(listed)} |\n" for reason, listed in left_out.items()]
    return (
        f"\n## {title}\n\n| method | operation | streamed | forms |\n|---|---|---|---|\n{''.join(rows)}"
        f"\nRecorded by the methods that they call:\n\n| method | calls |\n|---|---|\n{''.join(through)}"
        f"\nDeliberately not recorded:\n\n| because it | methods |\n|---|---|\n{''.join(reasons)}"
    )


def _code(paths: Iterable[str]) -> list[str]:
    return [f"`{path}`" for path in sorted(paths)]


def coverages() -> dict[str, Coverage]:
    """Both SDKs, by name and version."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # what is experimental says so
        client = stack.enter_context(openai.OpenAI(api_key="x"))
        asynchronous = openai.AsyncOpenAI(api_key="x")
        gemini = stack.enter_context(genai.Client(api_key="x", vertexai=False))
        return {
            f"openai {openai.__version__}": cover(
                OPENAI,
                Lists.of("coverage_openai.py"),
                {"sync": methods(client, "openai.resources"), "async": methods(asynchronous, "openai.resources")},
            ),
            f"google-genai {genai.__version__}": cover(
                GOOGLE_GENAI,
                Lists.of("coverage_google.py"),
                {"sync": methods(gemini, "google.genai"), "async": methods(gemini.aio, "google.genai")},
            ),
        }


def text(found: Mapping[str, Coverage]) -> str:
    """The whole page."""
    head = HEAD.format(versions=" and ".join(found))
    return head + "".join(_page(title, coverage) for title, coverage in found.items())


def main() -> int:
    """Writes the page, or says what is wrong with it."""
    found = coverages()
    problems = [f"{title}: {problem}" for title, coverage in found.items() for problem in coverage.problems]
    page = text(found)
    if "--check" not in sys.argv and not problems:
        TARGET.write_text(page)
    elif not problems and (not TARGET.exists() or TARGET.read_text() != page):
        problems.append(f"{TARGET.name} is stale: uv run python tools/coverage.py")
    print("\n".join(problems), end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
