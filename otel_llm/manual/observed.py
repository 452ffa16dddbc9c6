"""Steps without a model, such as a rule or a query: plain spans, so that a pipeline stays one trace."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Any, TypeVar, cast

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, Status, StatusCode, set_span_in_context

from otel_llm import attributes as a
from otel_llm.ambient import suppressed
from otel_llm.config import fault
from otel_llm.context import current
from otel_llm.errors import error_type
from otel_llm.manual.entered import Entered
from otel_llm.patches import in_force

F = TypeVar("F", bound=Callable[..., Any])


class observe:
    """A span around a step, with what :func:`otel_llm.context` says; as ``with``, ``async with`` or decorator.

    ``with`` gives the OpenTelemetry span, for attributes of the application's own. A decorated function gives the span
    its name where there is none. One object may be used again and again, by many tasks and threads at once.
    """

    def __init__(self, name: str = "") -> None:
        self._name = str(name)
        self._entered: Entered[_Observed] = Entered()

    def __enter__(self) -> Span:
        observed = _Observed(self._name)
        self._entered.add(observed)
        return observed.span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (observed := self._entered.pop()) is not None:
            observed.end(error)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """As a decorator of a function or a coroutine function; a generator would run when the span has ended."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"observe() cannot decorate the generator {function.__qualname__}: use `with` inside it.")
        step = self if self._name else observe(function.__qualname__)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with step:
                return function(*args, **kwargs)

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with step:
                return await function(*args, **kwargs)

        return cast(F, run_async if inspect.iscoroutinefunction(function) else run)


class _Observed:
    """A step that has begun, and is current."""

    def __init__(self, name: str) -> None:
        self.span: Span = INVALID_SPAN
        self._place: tuple[Context, Token[Context]] | None = None
        try:
            scope = None if suppressed() else in_force()
            if scope is not None:
                self.span = scope.tracer.start_span(name or "step", attributes=current())
                here = set_span_in_context(self.span)
                self._place = here, otel_context.attach(here)
        except Exception:
            fault("observing a step")

    def end(self, error: BaseException | None) -> None:
        """Ends it, and goes back unless it is left in another context than it was entered in."""
        if self._place is None:
            return
        here, token = self._place
        try:
            if otel_context.get_current() is here:
                otel_context.detach(token)
            if error is not None and not isinstance(error, GeneratorExit):
                self.span.set_attribute(a.ERROR_TYPE.name, error_type(error))
                self.span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            self.span.end()
        except Exception:
            fault("the end of a step")
