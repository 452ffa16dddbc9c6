"""Where the SQL and protobuf files of ``schemas/`` are."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INCLUDE = re.compile(r"^ *-- include (\w+)\n", re.MULTILINE)


def folder() -> Path:
    """The ``schemas`` folder: inside the package in a wheel, at the root of the repository in a checkout."""
    inside = _PACKAGE / "schemas"
    return inside if inside.is_dir() else _PACKAGE.parent.parent / "schemas"


def read(name: str) -> str:
    """The text of one file with the parts that it includes, by its path below the folder."""
    return whole((folder() / name).read_text(encoding="utf-8"))


def whole(text: str) -> str:
    """A text in which the file ``parts/name.sql`` stands where a line ``-- include name`` was."""
    return _INCLUDE.sub(lambda line: read(f"parts/{line[1]}.sql"), text)
