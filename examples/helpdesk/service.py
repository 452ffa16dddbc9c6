"""What each process of the help desk does first: telemetry, log lines in JSON, and an end that loses nothing."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.logging import LoggingInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

import otel_llm
from otel_llm.logs import JSONFormatter

GATEWAY = os.environ.get("GATEWAY_URL", "http://127.0.0.1:8101")
ANSWERS = os.environ.get("ANSWERS_URL", "http://127.0.0.1:8102")
TICKETS = os.environ.get("TICKETS_URL", "http://127.0.0.1:8103")
QUEUE = Path(os.environ.get("QUEUE_FILE", "helpdesk-queue.sqlite"))


def begin(name: str) -> None:
    """Call this once, before the first model call. ``name`` is the name of the service."""
    # Content is what customers write: leave capture_content out where that must not be stored.
    otel_llm.instrument(service_name=name, capture_content=True, prompts=Path(__file__).parent / "prompts")
    HTTPXClientInstrumentor().instrument()  # requests to the other services carry the trace with them
    RequestsInstrumentor().instrument()
    LoggingInstrumentor().instrument()
    lines = logging.StreamHandler()
    lines.setFormatter(JSONFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    for noisy in ("httpx", "httpx2", "google_genai", "werkzeug", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # so that what is recorded is sent before the end


def port(url: str) -> int:
    """The port of a service's address."""
    return int(url.rpartition(":")[2])
