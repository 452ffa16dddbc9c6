"""Other GenAI instrumentations in the same process: a call is one span, whoever else looks at it, and that is said.

- One that is around a call (a framework, an instrumentor that patched later) has begun a span for it: that span is
  adopted, and gets what it does not have yet.
- One whose patch of the same method is below ours is passed by.
- One that is below, in the client, is told by the context that nothing is to be recorded.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span, get_current_span

from otel_llm import attributes as a

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

#: Those that sit in the client, below every method.
IN_CLIENT = ("openinference.instrumentation.openai", "logfire._internal.integrations.llm_providers")

_INFERENCE = frozenset({"chat", "text_completion", "generate_content", "embeddings"})
_OPERATION, _OURS = a.OPERATION.name, a.COST_STATUS.name
_said: set[str] = set()


def say(key: str, sentence: str, *values: Any) -> None:
    """Says something about another instrumentation, once."""
    if key not in _said:
        _said.add(key)
        logger.warning(sentence, *values)


def loaded() -> list[str]:
    """The distributions of other instrumentations that are loaded in this process."""
    return [distribution for module, distribution in OTHERS.items() if module in sys.modules]


def adoptable(operation: str) -> Span | None:
    """The span that somebody else has begun for the very call that begins now; ``None`` where there is none."""
    span = get_current_span()
    if span is INVALID_SPAN or operation not in _INFERENCE:
        return None
    attributes = getattr(span, "attributes", None)
    if not attributes or not span.is_recording():
        return None
    known = attributes.get(_OPERATION) in _INFERENCE or attributes.get("openinference.span.kind") in _KINDS
    if not known or _OURS in attributes:
        return None
    scope = getattr(getattr(span, "instrumentation_scope", None), "name", None)
    if scope == "otel_llm":
        return None
    say(
        f"adopted {scope}",
        "%s records model calls too: otel_llm adds to its spans and makes none of its own for the same calls.",
        scope,
    )
    return span


_KINDS = frozenset({"LLM", "EMBEDDING"})


def below(function: Any, label: str) -> Any:
    """A method without the patches of other instrumentations around it, which are passed by and said."""
    while (inner := getattr(function, "__wrapped__", None)) is not None:
        module = _module(function)
        other = next((name for name in OTHERS if module == name or module.startswith(f"{name}.")), None)
        if other is None:
            break
        say(
            f"passed {other}",
            "%s has patched %s and more: while otel_llm is active its patches are passed by, so that a call is one "
            "span. To keep them, leave the SDK out of instrument(providers=…).",
            OTHERS[other],
            label,
        )
        function = inner
    return function


def _module(function: Any) -> str:
    """The module that a wrapper comes from, which says it is the wrapped function's."""
    wrapper = getattr(function, "_self_wrapper", function)
    scope = getattr(getattr(wrapper, "__func__", wrapper), "__globals__", None)
    return str(scope.get("__name__", "")) if scope else type(wrapper).__module__


def in_client() -> bool:
    """Whether one that sits in the client is loaded."""
    modules = sys.modules
    for module in IN_CLIENT:
        if module in modules:
            say(
                f"quiet {module}",
                "%s is loaded too: it is told to record nothing while otel_llm records a call (nor do HTTP "
                "instrumentations then).",
                OTHERS[module],
            )
            return True
    return False
