"""What workers share: spans in memory behind the application's own provider, and what the library said."""

from __future__ import annotations

import logging
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_llm.reaper import settle


class Said(logging.Handler):
    """What the library says."""

    def __init__(self) -> None:
        super().__init__()
        self.sentences: list[str] = []
        logging.getLogger("otel_llm").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it."""
        self.sentences.append(record.getMessage())


class Recording:
    """Spans of the global provider."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.processor = SimpleSpanProcessor(self._exporter)

    def provide(self) -> None:
        """Sets the application's provider."""
        provider = TracerProvider()
        provider.add_span_processor(self.processor)
        trace.set_tracer_provider(provider)

    def take(self) -> list[dict[str, Any]]:
        """The spans since the last time: scope, kind, cost."""
        settle()
        found = self._exporter.get_finished_spans()
        self._exporter.clear()
        return [
            {
                "name": span.name,
                "scope": getattr(span.instrumentation_scope, "name", ""),
                "operation": (span.attributes or {}).get("gen_ai.operation.name"),
                "cost": (span.attributes or {}).get("otel_llm.cost.status"),
            }
            for span in found
        ]
