"""Trace headers and baggage stay out of requests to model providers, who are third parties, unless asked for.

HTTP instrumentations put them there through the global propagator; while an SDK is at work for a call, ours holds them
back. All else it hands on to the application's propagator.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from otel_llm.invocation import active


class Discreet(TextMapPropagator):
    """The application's propagator, silent towards providers."""

    def __init__(self, inner: TextMapPropagator) -> None:
        self.inner = inner

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        """Reads what came in."""
        return self.inner.extract(carrier, context, getter)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        """Writes what goes out, but not to a provider."""
        call = active.get()
        if call is None or call.scope.trace_headers:
            self.inner.inject(carrier, context, setter)

    @property
    def fields(self) -> set[str]:
        """The headers that may be written."""
        return self.inner.fields

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def hold_back() -> None:
    """Puts the propagator in force behind ours, unless it is; again when the application has set another."""
    present = propagate.get_global_textmap()
    if type(present) is not Discreet:
        propagate.set_global_textmap(Discreet(present))


def let_go() -> None:
    """Puts the application's propagator back."""
    present = propagate.get_global_textmap()
    if type(present) is Discreet:
        propagate.set_global_textmap(present.inner)
