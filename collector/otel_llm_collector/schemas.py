"""Where the SQL and protobuf files of ``schemas/`` are."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def folder() -> Path:
    """The ``schemas`` folder: inside the package in a wheel, at the root of the repository in a checkout."""
    inside = _PACKAGE / "schemas"
    return inside if inside.is_dir() else _PACKAGE.parent.parent / "schemas"


def read(name: str) -> str:
    """The text of one file, by its path below the folder."""
    return (folder() / name).read_text(encoding="utf-8")
