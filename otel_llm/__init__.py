"""Every Gemini and OpenAI call of an application as an OpenTelemetry span, with one line of code.

>>> import otel_llm
>>> otel_llm.instrument()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from otel_llm import errors
from otel_llm.context import context
from otel_llm.errors import ConfigError, GuardrailBlocked, OtelLLMError, PromptError, PromptNotFound, PromptRenderError
from otel_llm.export import flush
from otel_llm.handles import call_of, last_call
from otel_llm.instrument import instrument, uninstrument, version
from otel_llm.patches import Instrumentation
from otel_llm.pricing import Usage
from otel_llm.prompts import Prompt, prompt, use_prompt

if TYPE_CHECKING:
    from otel_llm import guardrails, kinds, logs, web
    from otel_llm.jobs import carrier, job
    from otel_llm.manual import Call, Step, call, observe, record_call

__version__ = version()

__all__ = [
    "Call",
    "ConfigError",
    "GuardrailBlocked",
    "Instrumentation",
    "OtelLLMError",
    "Prompt",
    "PromptError",
    "PromptNotFound",
    "PromptRenderError",
    "Step",
    "Usage",
    "call",
    "call_of",
    "carrier",
    "context",
    "errors",
    "flush",
    "guardrails",
    "instrument",
    "job",
    "kinds",
    "last_call",
    "logs",
    "observe",
    "prompt",
    "record_call",
    "uninstrument",
    "use_prompt",
    "web",
]

#: What few applications need, and where it is; a module by itself has no place.
_LATER = {
    **dict.fromkeys(("guardrails", "kinds", "logs", "web"), ""),
    **dict.fromkeys(("Call", "Step", "call", "observe", "record_call"), "otel_llm.manual"),
    **dict.fromkeys(("carrier", "job"), "otel_llm.jobs"),
}


def __getattr__(name: str) -> Any:
    """What few applications need is imported when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not (place := _LATER[name]):
        return importlib.import_module(f"otel_llm.{name}")
    found = globals()[name] = getattr(importlib.import_module(place), name)
    return found
