"""Steps without a model, such as a rule or a query: plain spans, so that a pipeline stays one trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otel_llm.manual.around import Around, Bracket


class observe(Bracket):
    """A span around a step, with what :func:`otel_llm.context` says; as ``with``, ``async with`` or decorator.

    ``with`` gives the OpenTelemetry span, for attributes of the application's own. A decorated function gives the span
    its name where there is none. One object may be used again and again, by many tasks and threads at once.
    """

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self._name = str(name)

    def _begin(self) -> Around:
        return Around(self._name or "step")

    def _of(self, function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], observe]:
        step = self if self._name else observe(function.__qualname__)
        return lambda args, kwargs: step
