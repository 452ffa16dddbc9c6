"""The command as a whole: what is there, how it says that something is wrong, and the doctor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import clean, otel_llm, sentence


def test_help_names_every_command() -> None:
    done = otel_llm("--help", COLUMNS="200")
    assert done.returncode == 0
    for name in ("up", "status", "demo", "calls", "trace", "sql", "doctor"):
        assert f" {name} " in done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from otel_llm_collector.cli import _app; _app(); "
        "heavy = {'chdb', 'clickhouse_connect', 'aiohttp', 'grpc', 'openai', 'google.genai', 'rich', 'genai_prices'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_extra_it_says_what_to_install(package: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{package!r}] = None; from otel_llm_collector.cli import main; "
        f"sys.argv = ['otel-llm', 'doctor', '--data', {str(tmp_path)!r}]; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean({}), check=False)
    assert "pip install 'otel-llm[collector]'" in sentence(done)
    assert package in done.stderr


@pytest.mark.parametrize("command", [["calls"], ["trace", "abc"], ["sql", "SELECT 1"]])
def test_a_folder_without_data_is_said(command: list[str], tmp_path: Path) -> None:
    said = sentence(otel_llm(*command, "--data", str(tmp_path / "none")))
    assert "There is no data" in said
    assert "otel-llm demo" in said


def test_an_option_that_cannot_be_is_said(tmp_path: Path) -> None:
    done = otel_llm("calls", "--limit", "0", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "--limit" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_demo_needs_a_folder_that_it_can_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = sentence(otel_llm("demo", "--exit", "--data", str(tmp_path / "file")))
    assert "cannot be written" in said
    assert "--data" in said


def test_the_live_demo_names_the_keys_that_it_lacks(tmp_path: Path) -> None:
    said = sentence(otel_llm("demo", "--live", "--data", str(tmp_path), OPENAI_API_KEY="x"))
    assert "GEMINI_API_KEY" in said
    assert "OPENAI_API_KEY" not in said


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A disk that is full; a terminal whose letters are few gets question marks."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "otel_llm_collector", "doctor", "--data", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=clean({}),
            check=False,
        )
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert otel_llm("doctor", "--data", str(tmp_path / "→"), PYTHONIOENCODING="ascii").returncode == 0


# The doctor --------------------------------------------------------------------------------------------------------
def doctor(data: Path, **environment: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Its exit code, and what it found by subject."""
    done = otel_llm("doctor", "--json", "--data", str(data), **environment)
    found: dict[str, list[tuple[str, str]]] = {}
    for finding in json.loads(done.stdout):
        found.setdefault(finding["check"], []).append((finding["state"], finding["text"]))
    return done.returncode, found


def test_the_doctor_finds_what_is_wired(tmp_path: Path) -> None:
    code, found = doctor(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    assert code == 0
    assert found["google-genai"][0][0] == found["openai"][0][0] == "ok"
    assert [(state, text.partition(" ")[2]) for state, text in found["patches"]] == [
        ("ok", "methods of google-genai would be recorded"), ("ok", "methods of openai would be recorded"),
    ]  # fmt: skip
    assert all(int(text.partition(" ")[0]) > 50 for _, text in found["patches"])
    state, text = found["exporter"][0]
    assert (state, "http://127.0.0.1:1 is not reachable" in text) == ("warn", True)
    assert found["collector"][0][1].startswith("none runs on")
    assert str(tmp_path) in found["store"][0][1]
    assert any("OTEL_TRACES_EXPORTER=otlp (default)" in text for _, text in found["setting"])


def test_the_doctor_says_what_is_wrong_with_an_sdk(tmp_path: Path) -> None:
    """One that cannot be imported, and one of which a method is gone."""
    broken = tmp_path / "broken" / "openai"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('half installed')")
    code, found = doctor(tmp_path / "data", PYTHONPATH=str(broken.parent))
    assert code == 1
    failed = [text for state, text in found["patches"] if state == "fail"]
    assert any("cannot be imported: RuntimeError: half installed" in text for text in failed)
    assert any("methods of openai would be recorded: it is broken or too old" in text for text in failed)
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "sitecustomize.py").write_text(
        "import openai.resources.embeddings as embeddings\ndel embeddings.Embeddings.create\n"
    )
    code, found = doctor(tmp_path / "data", PYTHONPATH=str(gone))
    assert code == 0
    warned = [text for state, text in found["patches"] if state == "warn"]
    assert len(warned) == 1
    assert "Embeddings.create is not in the installed SDK" in warned[0]


def test_the_doctor_leaves_nothing_behind(tmp_path: Path) -> None:
    doctor(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_fails_where_the_store_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, found = doctor(tmp_path / "file" / "data")
    assert code == 1
    state, text = found["store"][0]
    assert (state, "cannot be written" in text) == ("fail", True)


def test_the_doctor_says_that_spans_go_nowhere(tmp_path: Path) -> None:
    _, found = doctor(tmp_path, OTEL_TRACES_EXPORTER="none")
    assert found["exporter"] == [("warn", "OTEL_TRACES_EXPORTER=none: no collector gets the spans")]


def test_the_doctor_prints_a_line_for_each_subject(tmp_path: Path) -> None:
    done = otel_llm("doctor", "--data", str(tmp_path))
    assert done.returncode == 0
    for subject in ("python", "openai", "patches", "exporter", "store", "setting"):
        assert any(line.split()[1:2] == [subject] for line in done.stdout.splitlines())
