"""Requests that come in over HTTP: middleware for ASGI and WSGI, whatever the framework.

>>> app = otel_llm.web.ASGIMiddleware(app)
"""

from __future__ import annotations

from otel_llm.web.asgi import ASGIMiddleware
from otel_llm.web.stepped import in_context
from otel_llm.web.wsgi import WSGIMiddleware

__all__ = ["ASGIMiddleware", "WSGIMiddleware", "in_context"]
