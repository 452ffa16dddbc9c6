"""OpenAI's SDK: its clients talk to OpenAI, to Azure, and to other hosts that speak the same protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from otel_llm.provider import Hook, Provider
from otel_llm.providers import (
    openai_agents,
    openai_jobs,
    openai_media,
    openai_realtime,
    openai_responses,
    openai_responses_socket,
    openai_text,
)
from otel_llm.providers.openai_hosts import server
from otel_llm.providers.openai_shared import request_id

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation


def _retried(call: Invocation, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """The SDK waits before it sends a request again."""
    call.retries += 1


def _requests(resource: Any) -> Any:
    return resource._client.request


#: The helpers, which call ``create``.
_STREAMS = tuple(
    f"openai.resources.{module}:{name}.stream"
    for module, names in (
        ("chat.completions.completions", ("Completions", "AsyncCompletions")),
        ("responses.responses", ("Responses", "AsyncResponses")),
    )
    for name in names
)

OPENAI = Provider(
    name="openai",
    package="openai",
    distribution="openai",
    server=server,
    request_id=request_id,
    requests=_requests,
    through=_STREAMS,
    hooks=(
        Hook(
            module="openai._base_client",
            function="SyncAPIClient._sleep_for_retry",
            async_function="AsyncAPIClient._sleep_for_retry",
            before=_retried,
        ),
    ),
    sessions=(*openai_realtime.SESSIONS, *openai_responses_socket.SESSIONS),
    endpoints=(
        *openai_text.ENDPOINTS,
        *openai_responses.ENDPOINTS,
        *openai_media.ENDPOINTS,
        *openai_jobs.ENDPOINTS,
        *openai_agents.ENDPOINTS,
    ),
)
