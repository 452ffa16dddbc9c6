"""Writes docs/attributes.md from the attribute dictionary; ``--check`` only says whether it is current.

uv run python tools/attributes.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from otel_llm.attributes import DICTIONARY, Attribute

TARGET = Path(__file__).parent.parent / "docs" / "attributes.md"

HEAD = """# Attributes

Generated from `otel_llm/attributes.py` by `tools/attributes.py`; not to be edited.

Names below `gen_ai.` are those of OpenTelemetry's GenAI semantic conventions, all of them of stability *development*
there; what has no standard name lives below `otel_llm.`. A name that ends in a dot is a family of keys. *Content* is
recorded only when content capture is on; *label* may become a label of metrics; *resource* is set for the process, not
the call. The column is that of the table `llm_calls`; where other names are read for the same thing, they are given.

| attribute | type | what it is | column | notes |
|---|---|---|---|---|
"""


def _row(attribute: Attribute) -> str:
    notes = [
        word
        for word, applies in (
            (attribute.source, attribute.source in ("stable", "candidate")),
            ("content", attribute.content),
            ("label", attribute.label),
            ("resource", attribute.resource),
        )
        if applies
    ]
    if attribute.aliases:
        notes.append("also read: " + ", ".join(f"`{alias}`" for alias in attribute.aliases))
    column = f"`{attribute.column}` {attribute.type}" if attribute.column else ""
    return f"| `{attribute.name}` | {attribute.kind} | {attribute.sentence} | {column} | {'; '.join(notes)} |\n"


def text() -> str:
    """The whole page."""
    return HEAD + "".join(_row(attribute) for attribute in DICTIONARY)


def main() -> int:
    """Writes the page, or says that it is stale."""
    if "--check" not in sys.argv:
        TARGET.write_text(text())
        return 0
    if TARGET.exists() and TARGET.read_text() == text():
        return 0
    print(f"{TARGET.name} is stale: uv run python tools/attributes.py")
    return 1


if __name__ == "__main__":
    sys.exit(main())
