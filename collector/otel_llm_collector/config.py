"""Settings from a file: ``otel-llm up --config collector.toml``.

Every field of :class:`Settings` by its name, and a ``[[forward]]`` table for each endpoint that gets everything too.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from otel_llm.errors import ConfigError

from .settings import Forward, Settings

_KINDS = {
    "int": (int, "a whole number"),
    "float": (int | float, "a number"),
    "bool": (bool, "true or false"),
    "str": (str, "text"),
    "str | None": (str, "text"),
    "Path": (str, "a path, as text"),
    "Path | None": (str, "a path, as text"),
    "tuple[str, ...]": (list, "a list of texts"),
    "tuple[Forward, ...]": (list, "[[forward]] tables"),
    "Mapping[str, str]": (dict, "a table of texts"),
}
"""What a field may hold in the file, by its type, and how that is said."""


def read(path: Path) -> dict[str, Any]:
    """The settings of a file, as arguments of :class:`Settings`; paths are relative to the working directory.

    Raises ``ConfigError``, with the name of the file and of the field that is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8.") from None
    try:
        return _fields(Settings, tomllib.loads(text), "")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}.") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _fields(kind: type[Settings | Forward], table: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The fields of a settings class that a table gives."""
    types = {field.name: str(field.type) for field in fields(kind)}
    given = {}
    for name, value in table.items():
        if name not in types:
            raise ConfigError(f"{where}{name} is not a setting{_nearest(name, types)}.")
        given[name] = _value(f"{where}{name}", value, types[name])
    return given


def _value(name: str, value: Any, kind: str) -> Any:
    allowed, said = _KINDS[kind]
    fits: bool = isinstance(value, allowed)
    if not fits or (isinstance(value, bool) and kind != "bool"):
        raise ConfigError(f"{name} is {_shown(value)}; it must be {said}.")
    if kind.startswith("Path"):
        return Path(value)
    if kind == "tuple[Forward, ...]":
        return tuple(_forward(f"{name}[{number}]", table) for number, table in enumerate(value))
    if kind in ("tuple[str, ...]", "Mapping[str, str]"):
        texts = value if isinstance(value, list) else value.values()
        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{name} is {_shown(value)}; it must be {said}.")
        return tuple(value) if isinstance(value, list) else value
    return value


def _forward(name: str, table: Any) -> Forward:
    if not isinstance(table, dict):
        raise ConfigError(f"{name} is {_shown(table)}; it must be a [[forward]] table.")
    if "url" not in table:
        raise ConfigError(f"{name} has no url.")
    return Forward(**_fields(Forward, table, f"{name}."))


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f"; the nearest is {near[0]}" if near else ""


def _shown(value: Any) -> str:
    """A value as far as it may be shown: what is in a table may be a secret."""
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)
