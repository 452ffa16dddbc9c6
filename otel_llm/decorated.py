"""Functions that run inside a ``with``: what decorators of ours have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

Of = Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[Any]]
"""What a call is inside of, by its arguments."""


def decorated(function: F, of: Of, by: str) -> F:
    """A function or coroutine function whose calls are inside what ``of`` gives.

    Raises ``TypeError``, in the name of ``by``, for a generator: it would run when the ``with`` has been left.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{by} cannot decorate the generator {function.__qualname__}: use `with` inside it.")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with of(args, kwargs):
            return function(*args, **kwargs)

    @functools.wraps(function)
    async def run_async(*args: Any, **kwargs: Any) -> Any:
        with of(args, kwargs):
            return await function(*args, **kwargs)

    return cast(F, run_async if inspect.iscoroutinefunction(function) else run)
