"""A span around something that is no call: current while it lasts, ended exactly once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from types import TracebackType
from typing import Any, Self, TypeVar

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, Status, StatusCode, set_span_in_context

from otel_llm import attributes as a
from otel_llm.ambient import suppressed
from otel_llm.config import fault
from otel_llm.context import context, current
from otel_llm.decorated import decorated
from otel_llm.errors import error_type
from otel_llm.manual.entered import Entered
from otel_llm.patches import in_force

F = TypeVar("F", bound=Callable[..., Any])


class Around:
    """A span that has begun, with what :func:`otel_llm.context` says; where nothing is recorded it is invalid.

    ``below`` is the context that it begins in, by default the current one; it is current in that context too.
    """

    def __init__(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        below: Context | None = None,
        links: Sequence[Link] | None = None,
        said: context | None = None,
    ) -> None:
        self.span: Span = INVALID_SPAN
        self._place: tuple[Context, Token[Context]] | None = None
        self._said = said
        if said is not None:
            said.__enter__()
        try:
            scope = None if suppressed() else in_force()
            if scope is not None:
                self.span = scope.tracer.start_span(name, below, kind, {**(attributes or {}), **current()}, links)
                here = set_span_in_context(self.span, below)
            else:
                here = Context(otel_context.get_current())  # of its own, by which it is found again
            self._place = here, otel_context.attach(here)
        except Exception:
            fault("the start of a span")

    def leave(self) -> None:
        """Goes back, unless it is left in another context than it was entered in."""
        try:
            if self._place is not None and otel_context.get_current() is self._place[0]:
                otel_context.detach(self._place[1])
        except Exception:
            fault("leaving a span")
        self._place = None  # which keeps all that is in the context of the task
        if self._said is not None:
            self._said.__exit__(None, None, None)

    def end(self, error: BaseException | None) -> None:
        """Ends it; of an error its type is kept, since what it says may quote content."""
        try:
            if error is not None and not isinstance(error, GeneratorExit):
                self.span.set_attribute(a.ERROR_TYPE.name, error_type(error))
                self.span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            self.span.end()
        except Exception:
            fault("the end of a span")


class Bracket(ABC):
    """``with``, ``async with`` and decorator; one object may be used again and again, by many tasks and threads."""

    def __init__(self) -> None:
        self._entered: Entered[Around] = Entered()

    @abstractmethod
    def _begin(self) -> Around:
        """Begins what it is around."""

    @abstractmethod
    def _of(self, function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], Self]:
        """What brackets a call of a decorated function, by its arguments."""

    def __enter__(self) -> Span:
        around = self._begin()
        self._entered.add(around)
        return around.span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (around := self._entered.pop()) is not None:
            around.leave()
            around.end(error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """As a decorator of a function or a coroutine function; a generator would run when the span has ended."""
        return decorated(function, self._of(function), f"{type(self).__name__}()")
