"""What has been entered with ``with``, to be found again where that is left."""

from __future__ import annotations

from typing import Generic, TypeVar

from opentelemetry import context as otel_context

T = TypeVar("T")


class Entered(Generic[T]):
    """Each is entered in a context of its own, by which it is found: many tasks and threads may enter one object.

    Where it is left in another context (a generator that is torn down, a dependency of a web framework) it is found if
    it is the only one.
    """

    def __init__(self) -> None:
        self._by_context: dict[int, T] = {}

    def add(self, entered: T) -> None:
        """It was entered here."""
        self._by_context[id(otel_context.get_current())] = entered

    def pop(self) -> T | None:
        """What was entered here, which is then forgotten."""
        found = self._by_context.pop(id(otel_context.get_current()), None)
        if found is None and len(self._by_context) == 1:
            _, found = self._by_context.popitem()
        return found
