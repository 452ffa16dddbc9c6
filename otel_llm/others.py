"""Other GenAI instrumentations in the same process: a call is one span, whoever else looks at it, and that is said.

- One that patches the same methods is passed by, whoever came first: a call is recorded here, and by nobody else.
- One that sits in the client, below every method, is told by the context that nothing is to be recorded.
- One that is around a call (a framework that calls the SDK) has begun a span for it: that span is adopted, and gets
  what it does not have yet. A span that goes elsewhere than ours is none of it: each place gets one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, get_current_span

from otel_llm import attributes as a
from otel_llm import runs

logger = logging.getLogger("otel_llm")

#: Instrumentations of the same SDKs, by module, and their distributions.
OTHERS = {
    "opentelemetry.instrumentation.genai.openai": "opentelemetry-instrumentation-genai-openai",
    "opentelemetry.instrumentation.openai_v2": "opentelemetry-instrumentation-openai-v2",
    "opentelemetry.instrumentation.openai": "opentelemetry-instrumentation-openai",
    "opentelemetry.instrumentation.google_genai": "opentelemetry-instrumentation-google-genai",
    "opentelemetry.instrumentation.google_generativeai": "opentelemetry-instrumentation-google-generativeai",
    "openinference.instrumentation.openai": "openinference-instrumentation-openai",
    "openinference.instrumentation.google_genai": "openinference-instrumentation-google-genai",
    "openlit": "openlit",
    "logfire._internal.integrations.llm_providers": "logfire",
    "langfuse.openai": "langfuse",
}

OURS = "otel_llm"

#: Those that patch while they are imported; all others have a switch.
AT_IMPORT = ("langfuse.openai",)

#: What kind of call an operation is, in OpenInference's word, and in that of older instrumentations.
_KINDS = {
    "chat": "LLM",
    "text_completion": "LLM",
    "generate_content": "LLM",
    "embeddings": "EMBEDDING",
    "completion": "LLM",
    "embedding": "EMBEDDING",
}
_OPERATION = a.OPERATION.name
_said: set[str] = set()
_adopted: WeakSet[Span] = WeakSet()


#: Those that have been met since the library was last turned on, by distribution or by their scope.
met: list[str] = []


def say(key: str, sentence: str, *values: Any) -> None:
    """Says something about another instrumentation, once."""
    if key not in _said:
        _said.add(key)
        logger.warning(sentence, *values)


def _meet(name: str) -> str:
    if name not in met:
        met.append(name)
    return name


def known(module: str) -> str | None:
    """The instrumentation that a module belongs to, by its own module, or :data:`OURS`; ``None`` for any other."""
    return next((name for name in (OURS, *OTHERS) if module == name or module.startswith(f"{name}.")), None)


# Around a call --------------------------------------------------------------------------------------------------------


def adoptable(operation: str, tracer: Tracer, here: Context) -> Span | None:
    """The span that somebody else has begun for the very call that begins here; ``None`` where there is none."""
    if (kind := _KINDS.get(operation)) is None:
        return None
    for span in _candidates(kind, here):
        if span.is_recording() and span not in _adopted and _same_place(span, tracer):
            scope = _meet(str(getattr(getattr(span, "instrumentation_scope", None), "name", None)))
            say(
                f"adopted {scope}",
                "%s records model calls too: otel_llm adds to its spans and makes none of its own for the same calls.",
                scope,
            )
            with suppress(TypeError):  # not every span can be remembered weakly
                _adopted.add(span)
            return span
    return None


def _candidates(kind: str, here: Context) -> Iterator[Span]:
    """Spans of the kind that are begun and not ended here: the current one, and those of runs."""
    span = get_current_span(here)
    if span is not INVALID_SPAN:
        attributes = getattr(span, "attributes", None)
        if attributes and kind in (
            attributes.get("openinference.span.kind"),
            _KINDS.get(attributes.get(_OPERATION)),
            _KINDS.get(attributes.get("llm.request.type")),
        ):
            scope = getattr(getattr(span, "instrumentation_scope", None), "name", None)
            if scope != "otel_llm":
                yield span
    if kind == "LLM":
        yield from runs.spans()


def _same_place(span: Any, tracer: Any) -> bool:
    """Whether a span goes where a tracer's spans go; where that cannot be seen, it is taken to."""
    theirs = getattr(span, "_span_processor", None) or getattr(getattr(span, "span", None), "_span_processor", None)
    tracer = getattr(tracer, "_tracer", None) or getattr(tracer, "tracer", None) or tracer  # behind a proxy
    ours = getattr(tracer, "span_processor", None)
    return theirs is None or ours is None or theirs is ours


# Patches of the same methods ------------------------------------------------------------------------------------------


def below(function: Any, label: str) -> Any:
    """A method without the patches of other instrumentations around it, which are passed by and said.

    Nor with patches of ours: they are of an earlier time.
    """
    while (inner := getattr(function, "__wrapped__", None)) is not None and (other := maker(function)) is not None:
        function = inner
        if other != OURS:
            say(
                f"passed {other}",
                "%s has patched %s and more: while otel_llm is active its patches are passed by, so that a call is one "
                "span. To keep them, leave the SDK out of instrument(providers=…).",
                _meet(OTHERS[other]),
                label,
            )
    return function


def without(function: Any, makers: Collection[str]) -> Any:
    """A method without the patches around it that come from certain instrumentations."""
    while (inner := getattr(function, "__wrapped__", None)) is not None and maker(function) in makers:
        function = inner
    return function


def layers(function: Any) -> Iterator[Any]:
    """A method, and what is below it, patch by patch."""
    while function is not None:
        yield function
        function = getattr(function, "__wrapped__", None)


def maker(function: Any) -> str | None:
    """The instrumentation that a patch comes from, as :func:`known` has it; a patch says that it is what it patches."""
    wrapper = getattr(function, "_self_wrapper", function)
    scope = getattr(getattr(wrapper, "__func__", wrapper), "__globals__", None)
    return known(str(scope.get("__name__", "")) if scope else type(wrapper).__module__)


# In the client --------------------------------------------------------------------------------------------------------


def in_client(request: Any) -> bool:
    """Whether one sits in a client: around the function through which all of its requests go."""
    if getattr(request, "__wrapped__", None) is None:
        return False
    other = next((found for layer in layers(request) if (found := maker(layer)) in OTHERS), None)
    if other is None:
        return False
    say(
        f"quiet {other}",
        "%s has patched the client: it is told to record nothing while otel_llm records a call (nor do HTTP "
        "instrumentations then).",
        _meet(OTHERS[other]),
    )
    return True
