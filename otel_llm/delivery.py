"""The exporter that is set up here, kept from troubling the application. Imported only where the SDK is used."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_llm.config import fault

#: Seconds that the end of the process may wait for spans: little once the receiver is known to be away.
GRACE, GRACE_UNREACHABLE = 5.0, 0.5


class Delivery(SpanExporter):
    """An exporter that never raises and does not hold up the end of the process for a receiver that is away."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._reached = True
        atexit.register(self._leave)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends spans; a failure is the SDK's to log."""
        try:
            result = self._exporter.export(spans)
        except Exception:
            fault("exporting spans")
            result = SpanExportResult.FAILURE
        self._reached = result is SpanExportResult.SUCCESS
        return result

    def shutdown(self) -> None:
        """Ends the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flushes the exporter."""
        return self._exporter.force_flush(timeout_millis)

    def _leave(self) -> None:
        """Runs before the provider's own end, which waits for the last batch and its retries."""
        abort = threading.Timer(GRACE if self._reached else GRACE_UNREACHABLE, self._exporter.shutdown)
        abort.daemon = True
        abort.start()
