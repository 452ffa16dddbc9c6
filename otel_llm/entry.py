"""What ``opentelemetry-instrument`` finds by the entry point ``otel_llm``, and turns on before the application."""

from __future__ import annotations

import inspect
import logging
from typing import Any

from otel_llm.errors import OtelLLMError
from otel_llm.instrument import instrument, uninstrument

logger = logging.getLogger("otel_llm")


class OtelLLMInstrumentor:
    """An instrumentor as OpenTelemetry's auto-instrumentation wants it; settings come from the variables.

    No version of an SDK is asked for: methods are looked for, not numbers.
    """

    def instrument(self, **settings: Any) -> None:
        """Calls :func:`otel_llm.instrument` with what it takes of the settings: some are for all instrumentors alike.

        A setting that cannot be used is said, and keeps no other instrumentor from its work.
        """
        taken = inspect.signature(instrument).parameters
        try:
            instrument(**{name: value for name, value in settings.items() if name in taken})
        except OtelLLMError as error:
            logger.error("otel_llm records nothing: %s", error)

    def uninstrument(self, **settings: Any) -> None:
        """Calls :func:`otel_llm.uninstrument`."""
        uninstrument()
