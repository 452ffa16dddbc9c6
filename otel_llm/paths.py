"""Where values live in a response: paths such as ``usage.prompt_tokens``, followed by attribute or key.

``choices[].finish_reason`` gathers a list; several paths to one attribute are summed. What is missing is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from otel_llm.attributes import Attribute


def get(thing: Any, key: str) -> Any:
    """``key`` of a mapping or an object, ``None`` where there is none."""
    if isinstance(thing, dict):
        return thing.get(key)
    return getattr(thing, key, None)


class Paths:
    """A table of paths, ready to be followed."""

    __slots__ = ("_at_once", "_listed", "_names")

    def __init__(self, table: Mapping[Attribute, str | tuple[str, ...]]) -> None:
        self._listed = [
            (attribute, path.split("."))
            for attribute, paths in table.items()
            for path in ((paths,) if isinstance(paths, str) else paths)
        ]
        self._names = [attribute.name for attribute, _ in self._listed]
        dotted = [".".join(steps) for _, steps in self._listed]
        gathered = any(attribute.kind == "string[]" for attribute, _ in self._listed)
        self._at_once = None if gathered or len(dotted) < 2 else attrgetter(*dotted)

    def read(self, response: Any) -> dict[str, Any]:
        """The attributes of a response, by name."""
        found: dict[str, Any] = {}
        if self._at_once is not None:
            try:
                values = self._at_once(response)  # all of them in C
            except AttributeError:
                pass  # some of it is missing, or it is a mapping
            else:
                for name, value in zip(self._names, values, strict=True):
                    if value is not None:
                        found[name] = found[name] + value if name in found else value
                return found
        for attribute, steps in self._listed:
            for value in _follow(response, steps):
                if attribute.kind == "string[]":
                    found.setdefault(attribute.name, []).append(value)
                else:
                    found[attribute.name] = found[attribute.name] + value if attribute.name in found else value
        return found


def _follow(thing: Any, steps: list[str]) -> Iterator[Any]:
    """The values at the end of a path."""
    for number, step in enumerate(steps):
        thing = get(thing, step.removesuffix("[]"))
        if thing is None:
            return
        if step.endswith("[]"):
            for item in thing:
                yield from _follow(item, steps[number + 1 :])
            return
    yield thing
