"""Small stand-ins for other GenAI instrumentations: they patch OpenAI's SDK in the same ways, under the same names.

What the real ones do is tested by ``tests/peers``, in environments of their own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

import wrapt
from opentelemetry import context as otel_context
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
from opentelemetry.trace import SpanKind, TracerProvider, use_span

CHAT = ("openai.resources.chat.completions.completions", "Completions.create")
ASYNC_CHAT = ("openai.resources.chat.completions.completions", "AsyncCompletions.create")
RESPONSES = ("openai.resources.responses.responses", "Responses.create")
HELPER = ("openai.resources.responses.responses", "Responses.stream")
EMBEDDINGS = ("openai.resources.embeddings", "Embeddings.create")
GEMINI = ("google.genai.models", "Models.generate_content")
METHODS = (CHAT, RESPONSES, HELPER, EMBEDDINGS, GEMINI)

#: Wrappers come from the module of their instrumentation: their source is run in a module of that name.
_WRAPPERS = '''
def around(tracer, attributes, current):
    """A span around the call: the current one, as official instrumentations have it, or not, as Langfuse has it."""

    def wrapper(wrapped, instance, args, kwargs):
        span = tracer.start_span("theirs", kind=SpanKind.CLIENT, attributes=attributes)
        try:
            if not current:
                return wrapped(*args, **kwargs)
            with use_span(span):
                return wrapped(*args, **kwargs)
        finally:
            span.end()

    return wrapper

def around_async(tracer, attributes):
    async def wrapper(wrapped, instance, args, kwargs):
        span = tracer.start_span("theirs", kind=SpanKind.CLIENT, attributes=attributes)
        try:
            with use_span(span):
                return await wrapped(*args, **kwargs)
        finally:
            span.end()

    return wrapper

def afterwards(tracer, attributes):
    """A span made when the answer is there, as Traceloop has it for responses."""

    def wrapper(wrapped, instance, args, kwargs):
        answer = wrapped(*args, **kwargs)
        tracer.start_span("theirs", attributes=attributes).end()
        return answer

    return wrapper

def in_client(tracer):
    """A span around the request of a client, unless suppressed, as OpenInference has it."""

    def wrapper(wrapped, instance, args, kwargs):
        if otel_context.get_value("suppress_instrumentation"):
            return wrapped(*args, **kwargs)
        with tracer.start_as_current_span("theirs", attributes={"openinference.span.kind": "LLM"}):
            return wrapped(*args, **kwargs)

    return wrapper
'''


def module(name: str) -> ModuleType:
    """A module of that name with the wrappers in it."""
    made = ModuleType(name)
    made.__dict__.update(SpanKind=SpanKind, use_span=use_span, otel_context=otel_context)
    exec(_WRAPPERS, made.__dict__)
    return made


class StandIn:
    """An instrumentation with a switch. ``restores``: it puts the originals back, whatever is there by then."""

    def __init__(
        self,
        name: str,
        provider: TracerProvider,
        make: Callable[[ModuleType, Any], dict[tuple[str, str], Any]],
        restores: bool = False,
    ) -> None:
        own = module(name)
        tracer = provider.get_tracer(name)

        class Instrumentor(BaseInstrumentor):
            """As the real ones are."""

            def instrumentation_dependencies(self) -> Any:
                """None."""
                return ()

            def _instrument(self, **kwargs: Any) -> None:
                self.originals = {}
                for (place, method), wrapper in make(own, tracer).items():
                    of, name = owner(place, method)
                    self.originals[of, name] = getattr(of, name)
                    wrapt.wrap_function_wrapper(place, method, wrapper)

            def _uninstrument(self, **kwargs: Any) -> None:
                for (of, name), original in self.originals.items():
                    if restores:
                        setattr(of, name, original)
                    elif isinstance(present := getattr(of, name), wrapt.BaseObjectProxy):
                        setattr(of, name, present.__wrapped__)

        Instrumentor.__module__ = name
        self._switch = Instrumentor()

    def on(self) -> None:
        """Patches."""
        self._switch.instrument()

    def off(self) -> None:
        """Takes the patches back, as far as it does."""
        self._switch.uninstrument()


def owner(place: str, method: str) -> tuple[Any, str]:
    kind, _, name = method.rpartition(".")
    return getattr(importlib.import_module(place), kind), name


def _kind(method: tuple[str, str]) -> dict[str, str]:
    return {"gen_ai.operation.name": "embeddings" if method is EMBEDDINGS else "chat", "theirs": "yes"}


def official(provider: TracerProvider) -> StandIn:
    """Spans that are current; patches taken off by ``unwrap``."""

    def make(module: ModuleType, tracer: Any) -> dict[tuple[str, str], Any]:
        wrappers = {method: module.around(tracer, _kind(method), True) for method in METHODS}
        return wrappers | {ASYNC_CHAT: module.around_async(tracer, _kind(ASYNC_CHAT))}

    return StandIn("opentelemetry.instrumentation.genai.openai", provider, make)


def late(provider: TracerProvider) -> StandIn:
    """Spans that are made afterwards."""

    def make(module: ModuleType, tracer: Any) -> dict[tuple[str, str], Any]:
        return {method: module.afterwards(tracer, _kind(method)) for method in METHODS}

    return StandIn("opentelemetry.instrumentation.openai.v1", provider, make)


def unseen(provider: TracerProvider) -> StandIn:
    """Spans that are never current."""

    def make(module: ModuleType, tracer: Any) -> dict[tuple[str, str], Any]:
        return {method: module.around(tracer, _kind(method), False) for method in METHODS}

    return StandIn("openlit.instrumentation.openai", provider, make)


def restoring(provider: TracerProvider) -> StandIn:
    """Patches that are taken back by putting the originals in place, whoever has patched since."""

    def make(module: ModuleType, tracer: Any) -> dict[tuple[str, str], Any]:
        return {method: module.around(tracer, {"openinference.span.kind": "LLM"}, True) for method in METHODS}

    return StandIn("openinference.instrumentation.google_genai", provider, make, restores=True)


def in_client(provider: TracerProvider) -> StandIn:
    """A patch of the client, below every method."""

    def make(module: ModuleType, tracer: Any) -> dict[tuple[str, str], Any]:
        return {("openai", "OpenAI.request"): module.in_client(tracer)}

    return StandIn("openinference.instrumentation.openai", provider, make)


def at_import(provider: TracerProvider) -> None:
    """As Langfuse's module, which patches while it is imported."""
    langfuse = module("langfuse.openai")
    tracer = provider.get_tracer("langfuse")
    for method in METHODS:
        wrapt.wrap_function_wrapper(
            *method, langfuse.around(tracer, {"langfuse.observation.type": "generation"}, False)
        )
    wrapt.notify_module_loaded(langfuse)
