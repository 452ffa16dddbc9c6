"""The passages that the desk knows: short excerpts of old books, long in the public domain; each names its source."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage and where it comes from."""

    source: str
    text: str


def passages() -> list[Passage]:
    """Every passage, in the order of the file names: the first line of a file is its source."""
    found = []
    for path in sorted((Path(__file__).parent / "texts").glob("*.txt")):
        source, _, text = path.read_text(encoding="utf-8").partition("\n")
        found.append(Passage(source.strip(), text.strip()))
    return found
