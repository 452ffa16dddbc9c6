"""What the documents promise is there, and what they show runs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from otel_llm.testing import ScriptedProvider
from tests.support.nodes import defined

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

#: How many items each part of the feature list has.
ITEMS = {"A": 28, "B": 47, "C": 26, "D": 18, "E": 22}


def test_every_feature_has_its_row_and_every_claim_its_test() -> None:
    """All items, in order, once each; a test that is named exists, and a row with one says where the feature lives."""
    rows = [line.split(" | ") for line in (ROOT / "docs" / "features.md").read_text().splitlines() if line[:3] != "| i"]
    rows = [row for row in rows if len(row) == 4]
    assert [row[0].removeprefix("| ") for row in rows] == [
        f"{part}{number}" for part, count in ITEMS.items() for number in range(1, count + 1)
    ]
    proven = [(row[2], row[3].strip(" |`")) for row in rows if row[3].strip(" |")]
    assert proven
    assert [test for where, test in proven if not defined(test) or not where or where.startswith("partly")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the repository, and every file named as code."""
    text = page.read_text()
    named = re.findall(r"\]\((?!https?:|#)([^)#]+)\)", text)
    assert [link for link in named if not (page.parent / link).exists()] == []
    files = re.findall(r"`((?:otel_llm|collector|schemas|tests|tools|benchmarks|docs|examples)/[\w./-]+?)`", text)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_the_readme_is_short() -> None:
    """One can read it whole."""
    assert len(README.splitlines()) < 150


def test_the_readmes_commands_exist() -> None:
    """Every command that it names."""
    from otel_llm_collector.cli import _app

    known = {command.name for command in _app().registered_commands}
    assert set(re.findall(r"^otel-llm (\w+)", README, re.MULTILINE)) <= known
    assert {"demo", "up"} <= known


def _calls(data: Path, expected: int) -> list[dict[str, Any]]:
    """What ``otel-llm calls`` shows, once there is as much: a span can be asked for within two seconds."""
    deadline = time.monotonic() + 20
    while True:
        asked = subprocess.run(
            [sys.executable, "-m", "otel_llm_collector", "calls", "--json", "--data", str(data)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        found: list[dict[str, Any]] = json.loads(asked.stdout)
        if len(found) >= expected or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def test_the_readmes_code_runs(tmp_path: Path) -> None:
    """The Python blocks, one after the other, as a user would paste them; the provider alone is scripted."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 4
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "greeting.yaml").write_text('versions: {"1": {template: "Say hello to {{ name }}."}}')
    away = "import otel_llm.local; otel_llm.local.DEFAULT = 'http://127.0.0.1:9'\n"
    with ScriptedProvider() as provider:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environ |= {"OPENAI_API_KEY": "x", "OPENAI_BASE_URL": provider.openai_base_url}
        try:
            done = subprocess.run(
                [sys.executable, "-c", "import fastapi\n" + away + "\n".join(blocks)],
                capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environ, check=False,
            )  # fmt: skip
            calls = _calls(tmp_path / ".otel-llm", 4)
        finally:
            state = json.loads((tmp_path / ".otel-llm" / "collector.json").read_text())
            os.kill(state["pid"], signal.SIGTERM)
    assert done.returncode == 0, done.stderr
    assert re.search(r"This is a scripted answer .* 00-[0-9a-f]{32}-[0-9a-f]{16}-\d\d\n", done.stdout)
    assert {(call["user_id"], call["call_type"], call["prompt_name"]) for call in calls} == {
        ("ada", "summarization", ""), ("", "", ""), ("", "", "greeting"), ("", "", "greeting"),
    }  # fmt: skip
