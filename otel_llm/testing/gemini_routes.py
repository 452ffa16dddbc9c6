"""All of Google's routes."""

from __future__ import annotations

from collections.abc import Sequence

from otel_llm.testing import gemini_interactions_wire, gemini_jobs_wire, gemini_media_wire, gemini_wire
from otel_llm.testing.script import Reply, Request
from otel_llm.testing.wire import Answer, Route

ROUTES: Sequence[Route] = (
    *gemini_wire.ROUTES,
    *gemini_media_wire.ROUTES,
    *gemini_jobs_wire.ROUTES,
    *gemini_interactions_wire.ROUTES,
)

_GENERATED = frozenset(operation for _, _, operation, _ in gemini_interactions_wire.ROUTES)


def headers(request: Request) -> dict[str, str]:
    """Headers of every answer."""
    if request.operation in _GENERATED:
        return gemini_interactions_wire.headers(request)
    return gemini_wire.headers(request)


def error(request: Request, reply: Reply) -> Answer:
    """An error in place of an answer."""
    if request.operation in _GENERATED:
        return gemini_interactions_wire.error(request, reply)
    return gemini_wire.error(request, reply)
