"""The questions of schemas/queries: each says what it is, and which parameters it has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_llm_collector import schemas

QUESTIONS = sorted((schemas.folder() / "queries").glob("*.sql"))


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path.stem)
def test_a_question_says_what_it_is(path: Path) -> None:
    header = [line for line in path.read_text().splitlines() if line.startswith("-- ")]
    assert re.fullmatch(r"-- title: \S.*[^.]", header[0])
    assert re.fullmatch(r"-- about: \S.*\.", header[1])
    said = dict(re.findall(r"^-- parameter (\w+) (\S+): \S", path.read_text(), flags=re.M))
    used = dict(re.findall(r"\{(\w+):([^}]+)\}", path.read_text()))
    assert said == used
    assert len(header) == 2 + len(said)
