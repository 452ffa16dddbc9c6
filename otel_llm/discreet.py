"""The propagator that is in force while the library is: the application's, silent towards model providers."""

from __future__ import annotations

from typing import Any

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
