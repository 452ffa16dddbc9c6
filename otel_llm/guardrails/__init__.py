"""Guardrails: rules about what is sent to a model and what comes back. A filter, not a boundary.

>>> import otel_llm
>>> otel_llm.instrument(guardrails=otel_llm.guardrails.default())
"""

from __future__ import annotations

from .injection import Injection
from .interceptor import Guardrails
from .pii import PII
from .rules import Action, Detector, Guardrail, Pattern, Severity, Stage
from .wordlist import TOXIC, WordList

__all__ = [
    "PII",
    "TOXIC",
    "Action",
    "Detector",
    "Guardrail",
    "Guardrails",
    "Injection",
    "Pattern",
    "Severity",
    "Stage",
    "WordList",
    "default",
]


def default() -> tuple[Guardrail, ...]:
    """Three rules to begin with: personal data is observed; abuse and prompt injection are blocked."""
    return (
        PII(name="pii_basic", kinds=("email", "phone", "ssn")),
        WordList(name="toxic_words", type="toxic", severity="error", action="block", words=TOXIC),
        Injection(),
    )
