"""Google's Gen AI SDK, for the Gemini Developer API and for Vertex AI."""

from __future__ import annotations

from otel_llm.provider import Provider
from otel_llm.providers import (
    google_content,
    google_functions,
    google_interactions,
    google_jobs,
    google_live,
    google_media,
    google_retries,
)
from otel_llm.providers.google_shared import request_id, server

GOOGLE_GENAI = Provider(
    name="google_genai",
    package="google.genai",
    distribution="google-genai",
    server=server,
    endpoints=(
        *google_content.ENDPOINTS,
        *google_media.ENDPOINTS,
        *google_jobs.ENDPOINTS,
        *google_interactions.ENDPOINTS,
    ),
    hooks=(*google_functions.HOOKS, *google_interactions.HOOKS, *google_retries.HOOKS),
    sessions=google_live.SESSIONS,
    request_id=request_id,
)
