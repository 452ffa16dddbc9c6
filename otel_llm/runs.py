"""LangChain's runs of models: its instrumentations trace by callbacks, and never make their spans current.

So a handler of ours notes which run begins in a context, and whoever traces runs is asked for its span. The handler is
put in place when one of these instrumentations is loaded, by the door that LangChain has for it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import wrapt
from opentelemetry.trace import Span

from otel_llm.config import fault

#: Those that trace runs; the official one makes its spans current, and needs no help.
TRACERS = ("openinference.instrumentation.langchain", "opentelemetry.instrumentation.langchain")

#: Runs that are remembered in a context: of a list of prompts, each is one.
MOST = 32

#: The runs that have begun in this context.
begun: ContextVar[tuple[Any, ...]] = ContextVar("otel_llm.runs", default=())
_awaited: set[str] = set()


def listen() -> None:
    """Sees to it that runs are noted where somebody traces them, now or once it is loaded."""
    for module in TRACERS:
        if module not in _awaited:
            _awaited.add(module)
            wrapt.register_post_import_hook(_tracer_loaded, module)


def spans() -> Iterator[Span]:
    """The spans of the runs that have begun in this context, as far as they are known, the first one first."""
    for run in begun.get():
        for handler in _handlers():
            span = _span(handler, run)
            if span is not None:
                yield span


def _tracer_loaded(_: Any) -> None:
    if "langchain_core" not in _awaited:
        _awaited.add("langchain_core")
        wrapt.register_post_import_hook(_note_runs, "langchain_core.tracers.context")


def _note_runs(context: Any) -> None:
    try:
        base = importlib.import_module("langchain_core.callbacks.base").BaseCallbackHandler
        noted = {"on_chat_model_start": _noted, "on_llm_start": _noted}
        in_its_context = {"run_inline": True}  # and in no other thread
        handler = type("Runs", (base,), {**noted, **in_its_context})()
        context.register_configure_hook(ContextVar("otel_llm.langchain", default=handler), True)
    except Exception:
        fault("listening to LangChain")


def _noted(_: Any, *args: Any, run_id: Any, **kwargs: Any) -> None:
    """A model begins."""
    begun.set((*begun.get()[1 - MOST :], run_id))


def _handlers() -> Iterator[Any]:
    """The handlers that trace runs, which put themselves into every manager that is made."""
    manager = getattr(sys.modules.get("langchain_core.callbacks"), "BaseCallbackManager", None)
    layer = getattr(manager, "__init__", None)
    while layer is not None:
        wrapper = getattr(layer, "_self_wrapper", None)
        for name in ("_tracer", "_callback_handler"):
            if (handler := getattr(wrapper, name, None)) is not None:
                yield handler
        layer = getattr(layer, "__wrapped__", None)


def _span(handler: Any, run: Any) -> Span | None:
    """The span that a handler keeps for a run."""
    if (get := getattr(handler, "get_span", None)) is not None:
        found: Span | None = get(run)
        return found
    return getattr(getattr(handler, "spans", {}).get(run), "span", None)
