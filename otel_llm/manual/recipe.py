"""What the application is about to do: entered, started or put around a function, it begins a call each time."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from otel_llm import headers, others
from otel_llm.ambient import current, suppressed
from otel_llm.config import fault
from otel_llm.manual.entered import Entered
from otel_llm.manual.live import Live
from otel_llm.manual.own import Asked, Own
from otel_llm.patches import in_force

F = TypeVar("F", bound=Callable[..., Any])
L = TypeVar("L", bound=Live)


class Recipe(Generic[L]):
    """As ``with``, ``async with`` or decorator, or by :meth:`start`. One object may be used again and again, by many
    tasks and threads at once."""

    def __init__(self, kind: type[L], asked: Asked) -> None:
        self._kind = kind
        self._asked = asked
        self._entered: Entered[L] = Entered()

    def start(self) -> L:
        """Begins it, to be ended by ``complete()`` or ``fail()`` wherever that is known.

        Raises :class:`~otel_llm.errors.GuardrailBlocked` where a blocking rule refuses what is asked.
        """
        return self._begin(self._asked.params)

    def _begin(self, params: Mapping[str, Any]) -> L:
        return self._kind(begin(self._asked, params))

    def _params(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What is asked where it is put around a function."""
        return dict(self._asked.params)

    def __enter__(self) -> L:
        live = self.start().__enter__()
        self._entered.add(live)
        return live

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        live = self._entered.pop()
        if live is not None:
            live.__exit__(kind, error, trace)

    async def __aenter__(self) -> L:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Around a function, each call of it is one: what it returns is what came of it.

        A generator, or anything else that is gone through once, is a stream: it ends the call when it ends, and its
        texts are the output.
        """

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self._around(function, args, kwargs) as live:
                return live.returned(function(*args, **kwargs))

        @functools.wraps(function)
        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with self._around(function, args, kwargs) as live:
                return live.returned(await function(*args, **kwargs))

        return cast(F, run_async if inspect.iscoroutinefunction(function) else run)

    def _around(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> L:
        try:
            params: Mapping[str, Any] = self._params(function, args, kwargs)
        except Exception:
            fault("the arguments of a function")
            params = self._asked.params
        return self._begin(params)


def begin(asked: Asked, params: Mapping[str, Any]) -> Own | None:
    """Begins a call; ``None`` where nothing is recorded. Raises only what a policy raises."""
    scope = in_force()
    if scope is None or suppressed():
        return None
    try:
        adopted = (
            None if asked.parent is not None else others.adoptable(asked.endpoint.operation, scope.tracer, current())
        )
        own = Own(scope, asked, params, adopted)
        if not own.step:
            headers.hold_back()
    except Exception:
        fault("starting a call")
        return None
    if own.wanted:
        try:
            own.ask(asked, params)
        except BaseException as refusal:
            own.end(refusal)
            raise
    return own
