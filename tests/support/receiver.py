"""An OTLP/HTTP receiver in this process: what arrives, from any process."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Receiver:
    """Takes spans and events on a port of its own, as a context manager."""

    def __init__(self) -> None:
        self._spans: list[dict[str, Any]] = []
        self.events: list[str] = []
        self._arrived = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.take(self.path, gzip.decompress(body) if self.headers.get("content-encoding") else body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def variables(self) -> dict[str, str]:
        """What sends a process's telemetry here; not by and by, but when it is flushed."""
        endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
        }

    def take(self, path: str, body: bytes) -> None:
        """Keeps what a request brings."""
        with self._arrived:
            if path == "/v1/logs":
                logs = ExportLogsServiceRequest.FromString(body)
                self.events += [
                    record.event_name
                    for resource in logs.resource_logs
                    for scope in resource.scope_logs
                    for record in scope.log_records
                ]
            elif path == "/v1/traces":
                spans = ExportTraceServiceRequest.FromString(body)
                self._spans += [
                    {
                        "name": span.name,
                        "id": span.span_id.hex(),
                        "scope": scope.scope.name,
                        "resource": _values(resource.resource.attributes),
                        **_values(span.attributes),
                    }
                    for resource in spans.resource_spans
                    for scope in resource.scope_spans
                    for span in scope.spans
                ]
            self._arrived.notify_all()

    def spans(self, least: int = 0, timeout: float = 30.0) -> list[dict[str, Any]]:
        """The spans so far; waits for a number of them."""
        with self._arrived:
            self._arrived.wait_for(lambda: len(self._spans) >= least, timeout)
            return list(self._spans)


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, str(each.value.WhichOneof("value")), None) for each in attributes}
