"""OpenAI's endpoints that take and give text: chat completions, legacy completions, embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.provider import Params, get, given
from otel_llm.providers import openai_messages as m
from otel_llm.providers.openai_shared import IDENTITY, beside, output_type, pair
from otel_llm.providers.openai_streams import ChatFold, CompletionFold


def _count(params: Params) -> dict[a.Attribute, Any]:
    count = params.get("n")
    return {a.CHOICE_COUNT: count} if isinstance(count, int) and count != 1 else {}


def _chat_request(params: Params) -> Mapping[a.Attribute, Any]:
    if "n" not in params and "response_format" not in params:  # as most
        return {}
    format = params.get("response_format")
    values = _count(params)
    if format is not None and given(format):
        values.update(output_type(format))
    return values


def _choices(response: Any) -> Mapping[a.Attribute, Any]:
    values = beside(response)
    reasons = [m.finish_reason(get(choice, "finish_reason")) for choice in get(response, "choices") or ()]
    if any(reasons):
        values[a.FINISH_REASONS] = reasons
    return values


def _embedding(response: Any) -> Mapping[a.Attribute, Any]:
    """The size of the embedding, where the caller asked for numbers, and no output tokens where usage was said."""
    values = beside(response)
    data = get(response, "data")
    vector = get(data[0], "embedding") if data else None
    if vector is not None and not isinstance(vector, str):
        values[a.DIMENSION_COUNT] = len(vector)
    if get(response, "usage") is not None:
        values[a.OUTPUT_TOKENS] = 0
    return values


_SAMPLING = {
    "temperature": a.TEMPERATURE,
    "top_p": a.TOP_P,
    "frequency_penalty": a.FREQUENCY_PENALTY,
    "presence_penalty": a.PRESENCE_PENALTY,
    "max_tokens": a.MAX_TOKENS,
    "seed": a.SEED,
    "stop": a.STOP_SEQUENCES,
}

_USAGE = {
    a.SYSTEM_FINGERPRINT: "system_fingerprint",
    a.INPUT_TOKENS: "usage.prompt_tokens",
    a.OUTPUT_TOKENS: "usage.completion_tokens",
    a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
    a.CACHE_READ_TOKENS: "usage.prompt_tokens_details.cached_tokens",
    a.CACHE_WRITE_TOKENS: "usage.prompt_tokens_details.cache_write_tokens",
    a.TEXT_INPUT_TOKENS: "usage.prompt_tokens_details.text_tokens",
    a.IMAGE_INPUT_TOKENS: "usage.prompt_tokens_details.image_tokens",
    a.AUDIO_INPUT_TOKENS: "usage.prompt_tokens_details.audio_tokens",
    a.REASONING_TOKENS: "usage.completion_tokens_details.reasoning_tokens",
    a.TEXT_OUTPUT_TOKENS: "usage.completion_tokens_details.text_tokens",
    a.AUDIO_OUTPUT_TOKENS: "usage.completion_tokens_details.audio_tokens",
}

_CHAT: dict[str, Any] = {
    "module": "chat.completions.completions",
    "constants": {a.API_TYPE: "chat_completions"},
    "paths": IDENTITY | _USAGE | {a.RESPONSE_SERVICE_TIER: "service_tier"},
    "output_messages": m.chat_output,
    "details": _choices,
}

_CHAT_REQUEST: dict[str, Any] = _CHAT | {
    "operation": "chat",
    "parameters": _SAMPLING
    | {
        "service_tier": a.REQUEST_SERVICE_TIER,
        "max_completion_tokens": a.MAX_TOKENS,
        "reasoning_effort": a.REASONING_LEVEL,
    },
    "unrecorded": frozenset({"messages", "tools", "functions", "response_format", "n"}),
    "messages": m.chat,
    "tool_definitions": m.tool_definitions,
    "details_of_request": _chat_request,
}


def _usage_asked(params: Params) -> Mapping[str, Any]:
    options = params.get("stream_options")
    options = options if options is not None and given(options) else {}
    if params.get("stream") is not True or not isinstance(options, dict) or "include_usage" in options:
        return {}
    return {"stream_options": {**options, "include_usage": True}}


def _usage_only(chunk: Any) -> bool:
    return not chunk.choices and chunk.usage is not None


ENDPOINTS = (
    pair(method="Completions.create", fold=ChatFold, usage_asked=_usage_asked, usage_only=_usage_only, **_CHAT_REQUEST),
    pair(method="Completions.parse", streamed=False, **_CHAT_REQUEST),
    pair(
        method="Completions.retrieve",
        operation="fetch_response",
        streamed=False,
        positional=("completion_id",),
        parameters={"completion_id": a.RESPONSE_ID},
        follows=lambda params: str(params.get("completion_id")),
        **_CHAT | {"constants": {a.API_TYPE: "chat_completions", a.COST_STATUS: "free"}},
    ),
    pair(
        "completions",
        "Completions.create",
        operation="text_completion",
        parameters=_SAMPLING,
        unrecorded=frozenset({"prompt", "n"}),
        paths=IDENTITY | _USAGE,
        messages=m.completions,
        output_messages=m.completions_output,
        details=_choices,
        details_of_request=_count,
        fold=CompletionFold,
        usage_asked=_usage_asked,
        usage_only=_usage_only,
    ),
    pair(
        "embeddings",
        "Embeddings.create",
        operation="embeddings",
        streamed=False,
        parameters={"encoding_format": a.ENCODING_FORMATS, "dimensions": a.DIMENSION_COUNT},
        unrecorded=frozenset({"input"}),
        paths={
            a.RESPONSE_MODEL: "model",
            a.PROVIDER_REQUEST_ID: "_request_id",
            a.INPUT_TOKENS: "usage.prompt_tokens",
            a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
        },
        messages=m.embeddings,
        details=_embedding,
    ),
)
