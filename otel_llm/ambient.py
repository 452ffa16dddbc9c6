"""OpenTelemetry's current context and its global providers, as directly as they can be had.

The API asks for each through several functions, and the environment for the provider, with every call. Where the API
keeps them as is known, they are read from there; else by its functions.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

import opentelemetry.metrics._internal as metrics
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

#: The key of the current span in a context.
SPAN: str = next(iter(set_span_in_context(INVALID_SPAN, Context())))

#: The keys by which OpenTelemetry says that nothing is to be recorded in a context: the API's own, and the older one.
SUPPRESS = frozenset(
    {str(getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", "")), "suppress_instrumentation"}.difference([""])
)

_runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
_variable: Any = getattr(_runtime, "_current_context", None)
_known = type(_runtime) is ContextVarsRuntimeContext and isinstance(_variable, ContextVar)

#: The current context, not to be changed; makes one current; goes back to the one before.
current: Callable[[], Context] = _variable.get if _known else otel_context.get_current
attach: Callable[[Context], Token[Context]] = _variable.set if _known else otel_context.attach
detach: Callable[[Token[Context]], None] = _variable.reset if _known else otel_context.detach


def suppressed() -> bool:
    """Whether OpenTelemetry is told to record nothing here."""
    context = current()
    return not SUPPRESS.isdisjoint(context) and any(context.get(key) for key in SUPPRESS)


def _kept_in(module: Any, name: str, variable: str) -> Any:
    """The module of the API that keeps a global provider by a name, ``None`` before there is one.

    ``None`` in its place where the API must be asked: the environment names a provider, which it loads when it is first
    asked for.
    """
    return None if variable in os.environ or not hasattr(module, name) else module


#: Where ``_TRACER_PROVIDER`` and ``_METER_PROVIDER`` are.
TRACERS = _kept_in(trace, "_TRACER_PROVIDER", "OTEL_PYTHON_TRACER_PROVIDER")
METERS = _kept_in(metrics, "_METER_PROVIDER", "OTEL_PYTHON_METER_PROVIDER")


def logger_provider() -> Any:
    """The application's logger provider; ``None`` while nobody has imported what it would be set by."""
    if "opentelemetry._logs" not in sys.modules and "OTEL_PYTHON_LOGGER_PROVIDER" not in os.environ:
        return None
    from opentelemetry._logs import get_logger_provider

    return get_logger_provider()
