"""SDKs that are old, broken or half there: what cannot be recorded is said once and clearly, and nothing is harmed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from otel_llm import patches
from otel_llm.installed import installed, lacking, version


def _module(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    for parent in path.parents:
        if not (parent / "here").exists():
            (parent / "__init__.py").touch()
        else:
            break


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where an SDK stands before the real one: one that is called openai, of some version of long ago or to come."""
    (tmp_path / "here").touch()
    _module(tmp_path / "openai" / "__init__.py")
    return tmp_path


def _run(code: str, folder: Path) -> tuple[Any, list[str]]:
    """What a program says, as JSON, and what is logged."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environ = clean | {"PYTHONPATH": str(folder), "OTEL_TRACES_EXPORTER": "console"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=60, cwd=folder, env=environ, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null"), done.stderr.splitlines()


def test_an_sdk_that_is_too_old_is_said_before_it_is_imported(folder: Path) -> None:
    """None of its modules is there: one sentence, however often it is instrumented; the report names all of them."""
    said, log = _run(
        """
        import json, sys, otel_llm
        first, second = otel_llm.instrument(providers="openai"), otel_llm.instrument(providers="openai")
        print(json.dumps([second.patched, len(second.missing), second.waiting, "openai" in sys.modules]))
        """,
        folder,
    )
    patched, missing, waiting, imported = said
    assert (patched, waiting, imported) == ([], ["openai"], False)
    assert missing > 50
    (sentence,) = log
    assert f" and {missing - patches.NAMED} more are not in the installed SDK (openai " in sentence
    assert sentence.endswith("): calls of them are not recorded.")


def test_a_class_and_a_method_that_have_vanished(folder: Path) -> None:
    """What is left is recorded; what is gone is said when its module is imported, one sentence for all of it."""
    _module(
        folder / "openai" / "resources" / "embeddings.py",
        """
        class Embeddings:
            def renamed(self): ...
        """,
    )
    _module(
        folder / "openai" / "resources" / "moderations.py",
        """
        class Moderations:
            _client = type("Client", (), {"base_url": type("URL", (), {"host": "h", "port": 1, "scheme": "http"})()})()
            def create(self, **kwargs): return "answer"
        """,
    )
    said, log = _run(
        """
        import json, otel_llm
        from opentelemetry.sdk.trace import TracerProvider
        report = otel_llm.instrument(providers="openai", tracer_provider=TracerProvider())
        import openai.resources.embeddings, openai.resources.moderations
        answer = openai.resources.moderations.Moderations().create(model="m", input="x")
        print(json.dumps([report.patched, answer]))
        """,
        folder,
    )
    assert said == [["openai.resources.moderations:Moderations.create"], "answer"]
    (sentence,) = [line for line in log if "Embeddings" in line]
    assert "openai.resources.embeddings:Embeddings.create, openai.resources.embeddings:AsyncEmbeddings.create are" in (
        sentence
    )
    assert "calls of them are not recorded" in sentence
    (sentence,) = [line for line in log if "AsyncModerations" in line]
    assert "calls of it are not recorded" in sentence


def test_an_sdk_that_cannot_be_imported_fails_as_without_us(folder: Path) -> None:
    """Its own error, in the application's own import, and nothing of ours before or after it."""
    (folder / "openai" / "__init__.py").write_text("raise ImportError('a library of it is missing')")
    said, log = _run(
        """
        import json, otel_llm
        report = otel_llm.instrument()
        for _ in range(2):
            try:
                import openai
            except ImportError as error:
                said = str(error)
        print(json.dumps([said, "openai" in report.waiting, "openai" in report.absent]))
        """,
        folder,
    )
    assert said == ["a library of it is missing", True, False]
    assert [line for line in log if "Traceback" in line] == []


def test_a_fault_of_ours_does_not_break_an_import(folder: Path) -> None:
    """A module of an SDK in which nothing can be asked for: the application imports it all the same."""
    _module(
        folder / "openai" / "resources" / "embeddings.py",
        """
        def __getattr__(name):
            raise RuntimeError(name)
        """,
    )
    said, log = _run(
        """
        import otel_llm
        otel_llm.instrument(providers="openai")
        import openai.resources.embeddings
        print(1)
        """,
        folder,
    )
    assert said == 1
    assert sum("otel_llm failed in patching openai.resources.embeddings" in line for line in log) == 1


def test_what_is_installed_is_seen_without_importing_it() -> None:
    """Packages, their modules at any depth, and those that are not there; nothing is told of what cannot be seen."""
    before = set(sys.modules)
    assert installed("wsgiref")
    assert not installed("nowhere.at.all")
    modules = ["wsgiref.simple_server", "wsgiref.gone", "wsgiref.gone.too", "wsgiref.headers.none"]
    assert lacking("wsgiref", modules) == modules[1:]
    assert lacking("sys", ["sys.gone"]) == lacking("nowhere", ["nowhere.gone"]) == []
    assert {name for name in set(sys.modules) - before if name.startswith("wsgiref")} == set()
    assert version("wrapt").startswith("wrapt 2.")
    assert version("nowhere") == "nowhere"
