"""Google's Gen AI SDK, for the Gemini Developer API and for Vertex AI: content and embeddings. Chats go through it.

A chat that calls functions by itself is a call for each request. ``generate_content`` that does is one call, of which
the SDK gives the last request's usage only: its cost is ``partial``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, Params, Provider, Server, get
from otel_llm.providers import google_messages as m
from otel_llm.providers.google_streams import ContentFold

_TRANSPORT = frozenset({"model", "contents", "http_options", "should_return_http_response"})

#: Token counts by modality, as the API names it: where they are among the input, the output and what was cached.
_INPUT = {
    "TEXT": a.TEXT_INPUT_TOKENS,
    "IMAGE": a.IMAGE_INPUT_TOKENS,
    "AUDIO": a.AUDIO_INPUT_TOKENS,
    "VIDEO": a.VIDEO_INPUT_TOKENS,
    "DOCUMENT": a.DOCUMENT_INPUT_TOKENS,
}
_OUTPUT = {"TEXT": a.TEXT_OUTPUT_TOKENS, "IMAGE": a.IMAGE_OUTPUT_TOKENS, "AUDIO": a.AUDIO_OUTPUT_TOKENS}
_CACHED = {
    "TEXT": a.TEXT_CACHE_READ_TOKENS,
    "IMAGE": a.IMAGE_CACHE_READ_TOKENS,
    "AUDIO": a.AUDIO_CACHE_READ_TOKENS,
}
_BY_MODALITY = {
    "prompt_tokens_details": _INPUT,
    "candidates_tokens_details": _OUTPUT,
    "cache_tokens_details": _CACHED,
}


@lru_cache(maxsize=64)
def _host(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


def _server(resource: Any) -> Server:
    client = resource._api_client
    options = getattr(client, "_http_options", None)
    address, port = _host(str(get(options, "base_url") or ""))
    return Server("gcp.vertex_ai" if getattr(client, "vertexai", False) else "gcp.gemini", address, port)


def _request(params: Params) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    count = params.get("candidate_count")
    if isinstance(count, int) and count != 1:
        values[a.CHOICE_COUNT] = count
    mime_type = params.get("response_mime_type")
    if mime_type == "application/json":
        values[a.OUTPUT_TYPE] = "json"
    elif mime_type == "text/plain":
        values[a.OUTPUT_TYPE] = "text"
    level = get(params.get("thinking_config"), "thinking_level")
    if level:
        values[a.REASONING_LEVEL] = str(getattr(level, "value", level)).lower()
    return values


def _details(response: Any) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    reasons = [m.finish_reason(get(candidate, "finish_reason")) for candidate in get(response, "candidates") or ()]
    if not reasons and get(get(response, "prompt_feedback"), "block_reason"):
        reasons = ["content_filter"]
    if any(reasons):
        values[a.FINISH_REASONS] = reasons
    if get(response, "automatic_function_calling_history"):
        values[a.COST_STATUS] = "partial"
    usage = get(response, "usage_metadata")
    if usage is not None:
        if get(usage, "candidates_token_count") is None and get(usage, "thoughts_token_count") is None:
            values[a.OUTPUT_TOKENS] = 0  # the API leaves zeros out
        for name, attributes in _BY_MODALITY.items():
            for entry in get(usage, name) or ():
                modality = get(entry, "modality")
                attribute = attributes.get(str(getattr(modality, "value", modality)))
                if attribute is not None and get(entry, "token_count") is not None:
                    values[attribute] = values.get(attribute, 0) + get(entry, "token_count")
    return values


def _embedding_details(response: Any) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    embeddings = get(response, "embeddings") or ()
    vector = get(embeddings[0], "values") if embeddings else None
    if vector:
        values[a.DIMENSION_COUNT] = len(vector)
    counts = [get(get(embedding, "statistics"), "token_count") for embedding in embeddings]
    counted = [int(count) for count in counts if count is not None]
    reported = get(get(response, "usage_metadata"), "prompt_token_count")
    if reported is not None or counted:
        values[a.INPUT_TOKENS] = reported if reported is not None else sum(counted)
        values[a.OUTPUT_TOKENS] = 0
    return values


_CONTENT: dict[str, Any] = {
    "module": "google.genai.models",
    "operation": "generate_content",
    "config": "config",
    "parameters": {
        "temperature": a.TEMPERATURE,
        "top_p": a.TOP_P,
        "top_k": a.TOP_K,
        "max_output_tokens": a.MAX_TOKENS,
        "stop_sequences": a.STOP_SEQUENCES,
        "frequency_penalty": a.FREQUENCY_PENALTY,
        "presence_penalty": a.PRESENCE_PENALTY,
        "seed": a.SEED,
    },
    "unrecorded": _TRANSPORT
    | {
        "system_instruction", "tools", "candidate_count", "response_mime_type", "response_schema",
        "response_json_schema", "thinking_config", "safety_settings", "automatic_function_calling",
    },
    "paths": {
        a.RESPONSE_MODEL: "model_version",
        a.RESPONSE_ID: "response_id",
        a.INPUT_TOKENS: ("usage_metadata.prompt_token_count", "usage_metadata.tool_use_prompt_token_count"),
        a.TOOL_USE_TOKENS: "usage_metadata.tool_use_prompt_token_count",
        a.OUTPUT_TOKENS: ("usage_metadata.candidates_token_count", "usage_metadata.thoughts_token_count"),
        a.REASONING_TOKENS: "usage_metadata.thoughts_token_count",
        a.CACHE_READ_TOKENS: "usage_metadata.cached_content_token_count",
        a.REPORTED_TOTAL_TOKENS: "usage_metadata.total_token_count",
    },
    "messages": m.sent,
    "tool_definitions": m.tool_definitions,
    "output_messages": m.output,
    "details": _details,
    "details_of_request": _request,
}  # fmt: skip

GOOGLE_GENAI = Provider(
    name="google_genai",
    package="google.genai",
    distribution="google-genai",
    server=_server,
    endpoints=(
        Endpoint(
            method="Models.generate_content", async_method="AsyncModels.generate_content", streamed=False, **_CONTENT
        ),
        Endpoint(
            method="Models.generate_content_stream",
            async_method="AsyncModels.generate_content_stream",
            streamed=True,
            fold=ContentFold,
            **_CONTENT,
        ),
        Endpoint(
            module="google.genai.models",
            method="Models.embed_content",
            async_method="AsyncModels.embed_content",
            operation="embeddings",
            streamed=False,
            config="config",
            parameters={"output_dimensionality": a.DIMENSION_COUNT},
            unrecorded=_TRANSPORT,
            paths={},
            messages=m.sent,
            details=_embedding_details,
        ),
    ),
)
