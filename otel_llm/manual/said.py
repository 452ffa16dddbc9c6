"""What the application says of an answer besides what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypedDict

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.manual import shapes
from otel_llm.pricing import Usage


class Known(TypedDict, total=False):
    """What may be said of an answer, as :meth:`otel_llm.Call.complete` takes it."""

    usage: Usage | Mapping[str, int] | Any
    cost: Decimal | float | None
    currency: str
    response_model: str | None
    response_id: str | None
    finish_reasons: Sequence[str] | str | None
    intent: str | None
    confidence: float | None


def _reasons(given: Sequence[str] | str) -> list[str]:
    return [given] if isinstance(given, str) else [str(each) for each in given]


_PLAIN: dict[str, tuple[a.Attribute, Callable[[Any], Any]]] = {
    "response_model": (a.RESPONSE_MODEL, str),
    "response_id": (a.RESPONSE_ID, str),
    "finish_reasons": (a.FINISH_REASONS, _reasons),
    "intent": (a.INTENT, str),
    "confidence": (a.INTENT_CONFIDENCE, float),
}


def said(given: Mapping[str, Any]) -> dict[a.Attribute, Any]:
    """What the application says of an answer, as attributes; what cannot be used is said once and left out."""
    found: dict[a.Attribute, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        try:
            if name == "usage":
                found.update(shapes.counts(value))
            elif name == "cost":
                found.update(_charged(value, given.get("currency", "USD")))
            elif name in _PLAIN:
                attribute, read = _PLAIN[name]
                found[attribute] = read(value)
        except Exception:
            fault(f"the {name} of an answer")
    return found


def _charged(cost: Decimal | float, currency: str) -> dict[a.Attribute, Any]:
    amount = float(cost)
    if not 0 <= amount < float("inf"):
        raise ValueError(f"{cost!r} is not an amount of {currency}")
    return {
        a.COST_TOTAL: amount,
        a.COST_CURRENCY: str(currency),
        a.COST_SOURCE: "provider",
        a.COST_STATUS: "priced",
    }
