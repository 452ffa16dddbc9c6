"""Where values live in a response: paths such as ``usage.prompt_tokens``, followed by attribute or key.

Several paths to one attribute are summed. What is missing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from otel_llm.attributes import Attribute

#: Paths by their first step: the names of the attributes that end there, and the steps that go on from there.
_Steps = dict[str, tuple[list[str], "_Steps"]]

_UNKNOWN: Any = object()
_NONE: Mapping[str, Any] = {}


def get(thing: Any, key: str) -> Any:
    """``key`` of a mapping or an object, ``None`` where there is none."""
    if isinstance(thing, dict):
        return thing.get(key)
    return getattr(thing, key, None)


class _Asked(Mapping[str, Any]):
    """The fields of an object that may have some that do not lie in it: each is asked for."""

    def __init__(self, thing: Any) -> None:
        self._thing = thing

    def __getitem__(self, key: str) -> Any:
        found = getattr(self._thing, key, _UNKNOWN)
        if found is _UNKNOWN:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(dir(self._thing))

    def __len__(self) -> int:
        return len(dir(self._thing))


def fields(thing: Any) -> Mapping[str, Any]:
    """The fields of an object or a mapping; those of the SDKs' models, and of plain objects, as they lie.

    To ask a model for a field goes through all of its classes, and to ask for one that is not there takes it longer
    still.
    """
    if type(thing) is dict:
        return thing
    if thing is None:
        return _NONE
    more = getattr(thing, "__pydantic_extra__", _UNKNOWN)
    found: Mapping[str, Any]
    if not more or type(thing) is SimpleNamespace:
        found = thing.__dict__
    elif isinstance(thing, dict):
        found = thing
    else:
        found = {**thing.__dict__, **more} if type(more) is dict else _Asked(thing)
    return found


def dig(thing: Any, *keys: str) -> Any:
    """What lies at the end of several steps through such fields; ``None`` where there is nothing."""
    for key in keys:
        held = thing if type(thing) is dict else fields(thing)
        if (thing := held.get(key)) is None:
            return None
    return thing


def reader(table: Mapping[Attribute, str | tuple[str, ...]]) -> Callable[[Any], dict[str, Any]]:
    """A function that gives the attributes of a response, by name.

    It is written out, step by step, from a table of paths, so that no table is walked through with every response. The
    names in it are those of this library's own tables.
    """
    steps: _Steps = {}
    for attribute, paths in table.items():
        for path in (paths,) if isinstance(paths, str) else paths:
            *before, last = path.split(".")
            there = steps
            for key in before:
                there = there.setdefault(key, ([], {}))[1]
            there.setdefault(last, ([], {}))[0].append(attribute.name)
    known: dict[str, Any] = {"fields": fields}
    source = "\n    ".join(["def read(thing0):", "found = {}", *_written(steps, 0, set()), "return found"])
    exec(source, known)  # noqa: S102 - names of our own tables only, each by its repr
    read: Callable[[Any], dict[str, Any]] = known["read"]
    return read


def _written(steps: _Steps, level: int, filled: set[str]) -> Iterator[str]:
    """The lines that follow the steps from ``thing<level>``. Attributes that were ``filled`` before are added to."""
    if not steps:
        return
    yield f"held{level} = fields(thing{level})"
    for key, (names, further) in steps.items():
        yield f"value = held{level}.get({key!r})"
        yield "if value is not None:"
        if further:
            yield f"    thing{level + 1} = value"
        for name in names:
            yield f"    found[{name!r}] = value" + (f" + found.get({name!r}, 0)" if name in filled else "")
            filled.add(name)
        for line in _written(further, level + 1, filled):
            yield f"    {line}"
