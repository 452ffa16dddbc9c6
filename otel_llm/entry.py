"""What ``opentelemetry-instrument`` finds by the entry point ``otel_llm``, and turns on before the application."""

from __future__ import annotations

from typing import Any

from otel_llm.instrument import instrument, uninstrument


class OtelLLMInstrumentor:
    """An instrumentor as OpenTelemetry's auto-instrumentation wants it; settings come from the variables."""

    def instrument(self, skip_dep_check: bool = False, **settings: Any) -> None:
        """Calls :func:`otel_llm.instrument`. No version is asked for: methods are looked for, not numbers."""
        instrument(**settings)

    def uninstrument(self, **settings: Any) -> None:
        """Calls :func:`otel_llm.uninstrument`."""
        uninstrument()
