"""Imports go down, never up: the house's floor plan, checked."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

#: The library's floors, lowest first. A module imports from its own floor or below.
FLOORS = (
    {
        "ambient",
        "attribute",
        "attributes",
        "errors",
        "config",
        "plain",
        "cut",
        "redaction",
        "runs",
        "installed",
        "fork",
        "paths",
        "decorated",
    },
    {
        "context",
        "baggage",
        "logs",
        "handles",
        "messages",
        "ongoing",
        "others",
        "switches",
        "provider",
        "span",
        "span_class",
        "content",
        "completion",
        "events",
        "metrics",
        "labels",
        "series",
    },
    {"providers", "interceptor", "scope", "invocation", "unseen", "asked", "failure", "record", "prompts", "pricing"},
    {"stream", "reaper", "guardrails", "headers", "discreet"},
    {"handed", "raw"},
    {"flow", "hooks"},
    {"session"},
    {"session_patches", "targets"},
    {"export", "delivery", "patches", "entry", "instrument", "local", "testing"},
    {"manual"},
    {"kinds", "jobs", "web"},
    {"__init__"},
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

#: The collector's, likewise; rooms of one floor do not know one another.
COLLECTOR_FLOORS = (
    {"errors", "settings", "signals", "schemas", "pages", "sparing", "__init__"},
    {"config", "lock", "measures"},
    {"log"},
    {"door", "otlp"},
    {"local", "clickhouse", "forwarding"},
    {"running", "sql"},
    {"receiver", "dialect", "copying", "client"},
    {"engine", "api", "jaeger"},
    {"metrics"},
    {"app"},
    {"cli"},
    {"__main__"},
)
COLLECTOR_FLOOR = {name: number for number, names in enumerate(COLLECTOR_FLOORS) for name in names}

#: Rooms of one floor that do not know one another.
STRANGERS = ({"prompts", "pricing"}, {"guardrails", "pricing"}, {"guardrails", "prompts"})


def _modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def _imports(path: Path, package: str) -> Iterator[str]:
    """Every module that a file imports, in full; what is imported for types alone is left out."""
    tree = ast.parse(path.read_text())
    typing_only = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parts, base] if base else parts)
            yield from (f"{base}.{name.name}" for name in node.names)


def _package(path: Path, root: Path) -> str:
    return ".".join(path.parent.relative_to(root).parts)


def _room(module: str) -> str:
    """The room of the library that a dotted name leads into."""
    second = [*module.split("."), "__init__"][1]
    return second if second in FLOOR else "__init__"


@pytest.mark.parametrize("path", _modules(ROOT / "otel_llm"), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_library_imports_down_only(path: Path) -> None:
    """Each file of the library, by its floor."""
    parts = path.relative_to(ROOT / "otel_llm").parts
    room = parts[0].removesuffix(".py")
    assert room in FLOOR, f"{room} has no floor: give it one in FLOORS"
    for module in _imports(path, _package(path, ROOT)):
        assert not module.startswith("otel_llm_collector"), f"{path} imports the collector"
        if module.startswith("otel_llm."):
            other = _room(module)
            assert FLOOR[other] <= FLOOR[room], f"{room} imports {other}, which stands above it"
            assert {room, other} not in STRANGERS, f"{room} imports {other}: neither may know the other"
        if room == "providers":
            assert not module.startswith("opentelemetry"), "providers know no OpenTelemetry"


@pytest.mark.parametrize("path", _modules(ROOT / "collector/otel_llm_collector"), ids=lambda path: str(path.name))
def test_the_collector_imports_down_only(path: Path) -> None:
    """Each file of the collector, by its floor."""
    parts = path.relative_to(ROOT / "collector/otel_llm_collector").parts
    room = parts[0].removesuffix(".py")
    assert room in COLLECTOR_FLOOR, f"{room} has no floor: give it one in COLLECTOR_FLOORS"
    for module in _imports(path, _package(path, ROOT / "collector")):
        if not module.startswith("otel_llm_collector."):
            continue
        second = module.split(".")[1]
        other = second if second in COLLECTOR_FLOOR else "__init__"
        if other != room:
            assert COLLECTOR_FLOOR[other] < COLLECTOR_FLOOR[room], f"{room} imports {other}, which is not below it"


def test_the_collector_never_patches() -> None:
    """The collector knows the library's leaves, not the machinery that patches."""
    upper = {name for number, names in enumerate(FLOORS) if number >= FLOOR["flow"] for name in names} - {"testing"}
    for path in _modules(ROOT / "collector" / "otel_llm_collector"):
        for module in _imports(path, _package(path, ROOT / "collector")):
            if module == "otel_llm" or module.startswith("otel_llm."):
                assert _room(module) not in upper - {"__init__"}, f"{path} imports {module}"


def test_the_demo_uses_the_public_door() -> None:
    """The demo is an application: it imports the library by its name, and its test helpers."""
    for path in _modules(ROOT / "examples" / "otel_llm_demo"):
        for module in _imports(path, _package(path, ROOT / "examples")):
            if module.split(".")[0] == "otel_llm":
                assert _room(module) in ("__init__", "testing", "guardrails", "errors"), f"{path} imports {module}"


def test_files_stay_readable() -> None:
    """No source file is longer than 350 lines."""
    sources = [*_modules(ROOT / "otel_llm"), *_modules(ROOT / "collector"), *_modules(ROOT / "examples")]
    assert {str(path.relative_to(ROOT)) for path in sources if len(path.read_text().splitlines()) > 350} == set()
