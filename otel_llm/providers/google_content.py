"""Google's endpoints for content: generated, embedded, counted. Chats go through ``generate_content``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message
from otel_llm.provider import Params, dig, fields, get
from otel_llm.providers import google_messages as m
from otel_llm.providers.google_shared import FREE, pair, tier_asked, tier_given, word
from otel_llm.providers.google_streams import ContentFold
from otel_llm.providers.google_tools import tool_definitions
from otel_llm.providers.google_usage import PATHS, counts, modalities

_OUTPUT_TYPES = {"application/json": "json", "text/x.enum": "text", "text/plain": "text"}
_MODALITIES = {"TEXT": "text", "IMAGE": "image", "AUDIO": "speech"}


#: Parameters that say more than the table of parameters does.
_SAY_MORE = frozenset(
    {
        "service_tier", "http_options", "candidate_count", "response_modalities", "response_schema",
        "response_json_schema", "response_mime_type", "thinking_config",
    }
)  # fmt: skip


def _request(params: Params) -> Mapping[a.Attribute, Any]:
    if _SAY_MORE.isdisjoint(params):
        return {}
    values = tier_asked(params)
    count = params.get("candidate_count")
    if isinstance(count, int) and count != 1:
        values[a.CHOICE_COUNT] = count
    if kind := _output_type(params):
        values[a.OUTPUT_TYPE] = kind
    if level := get(params.get("thinking_config"), "thinking_level"):
        values[a.REASONING_LEVEL] = word(level)
    return values


def _output_type(params: Params) -> str | None:
    """The form asked for, where it is one: a model that makes pictures may be asked for text as well."""
    asked = params.get("response_modalities")
    named = [str(getattr(each, "value", each)).upper() for each in asked if each] if isinstance(asked, list) else []
    made = [_MODALITIES[name] for name in named if name in _MODALITIES and name != "TEXT"]
    if made:
        return made[0]
    if params.get("response_schema") is not None or params.get("response_json_schema") is not None:
        return "json"
    return _OUTPUT_TYPES.get(str(params.get("response_mime_type"))) or ("text" if named == ["TEXT"] else None)


def _whole(response: Any) -> Any:
    """An answer; where the caller wants it as the JSON that came (``should_return_http_response``), made of that."""
    body = dig(response, "sdk_http_response", "body")
    return type(response).model_validate_json(body) if isinstance(body, str) else response


def _output(response: Any) -> list[Message]:
    return m.output(_whole(response))


def details(response: Any) -> Mapping[a.Attribute, Any]:
    """What of an answer is not tabular: why it ended, who served it, its tokens by modality."""
    whole = _whole(response)
    held = fields(whole)
    usage = held.get("usage_metadata")
    values = modalities(usage)
    values |= tier_given(response, usage)
    if whole is not response:
        response = whole
        values |= counts(usage)
        for attribute, name in ((a.RESPONSE_MODEL, "model_version"), (a.RESPONSE_ID, "response_id")):
            if (value := get(whole, name)) is not None:
                values[attribute] = value
    candidates = held.get("candidates") or ()
    reasons = [m.finish_reason(candidate) for candidate in candidates]
    if "content_filter" in reasons:
        blocked = get(candidates[reasons.index("content_filter")], "finish_reason")
        values[a.BLOCK_REASON] = str(getattr(blocked, "value", blocked))
    if not reasons and (blocked := get(held.get("prompt_feedback"), "block_reason")):
        reasons = ["content_filter"]
        values[a.BLOCK_REASON] = str(getattr(blocked, "value", blocked))
    if any(reasons):
        values[a.FINISH_REASONS] = reasons
    if held.get("automatic_function_calling_history"):
        values[a.COST_STATUS] = "partial"
    for candidate in candidates:
        if (grounding := dig(candidate, "grounding_metadata")) is not None:
            searches = sum(len(get(grounding, name) or ()) for name in ("web_search_queries", "image_search_queries"))
            if searches:
                values[a.WEB_SEARCHES] = values.get(a.WEB_SEARCHES, 0) + searches
                values[a.COST_STATUS] = "partial"  # searches are charged besides the tokens
    return values


def _embedding_details(response: Any) -> Mapping[a.Attribute, Any]:
    held = fields(response)
    usage = held.get("usage_metadata")
    values = modalities(usage)
    values |= tier_given(response, usage)
    embeddings = held.get("embeddings") or ()
    vector = dig(embeddings[0], "values") if embeddings else None
    if vector:
        values[a.DIMENSION_COUNT] = len(vector)
    counts = [dig(embedding, "statistics", "token_count") for embedding in embeddings]
    counted = [int(count) for count in counts if count is not None]
    reported = dig(usage, "prompt_token_count")
    if reported is not None or counted:
        values[a.INPUT_TOKENS] = reported if reported is not None else sum(counted)
        values[a.OUTPUT_TOKENS] = 0
    return values


def _computed(response: Any) -> Mapping[a.Attribute, Any]:
    counts = [len(get(info, "tokens") or get(info, "token_ids") or ()) for info in get(response, "tokens_info") or ()]
    return {a.COUNTED_TOKENS: sum(counts)}


_SAMPLING: Mapping[str, a.Attribute] = {
    "temperature": a.TEMPERATURE,
    "top_p": a.TOP_P,
    "top_k": a.TOP_K,
    "max_output_tokens": a.MAX_TOKENS,
    "stop_sequences": a.STOP_SEQUENCES,
    "frequency_penalty": a.FREQUENCY_PENALTY,
    "presence_penalty": a.PRESENCE_PENALTY,
    "seed": a.SEED,
    "cached_content": a.CACHED_CONTENT,
}
_CONTENT: dict[str, Any] = {
    "operation": "generate_content",
    "config": "config",
    "parameters": _SAMPLING,
    "unrecorded": frozenset(
        {
            "system_instruction", "tools", "candidate_count", "response_mime_type", "response_schema",
            "response_json_schema", "safety_settings", "automatic_function_calling", "service_tier",
            "continuation_token",
        }
    ),
    "paths": {a.RESPONSE_MODEL: "model_version", a.RESPONSE_ID: "response_id", **PATHS},
    "messages": m.sent,
    "tool_definitions": tool_definitions,
    "output_messages": _output,
    "details": details,
    "details_of_request": _request,
}  # fmt: skip

ENDPOINTS = (
    pair("models", "Models.generate_content", streamed=False, **_CONTENT),
    pair("models", "Models.generate_content_stream", streamed=True, fold=ContentFold, **_CONTENT),
    pair(
        "models",
        "Models.embed_content",
        operation="embeddings",
        streamed=False,
        config="config",
        parameters={"output_dimensionality": a.DIMENSION_COUNT},
        paths={a.CHARACTERS: "metadata.billable_character_count"},
        messages=m.sent,
        details=_embedding_details,
        details_of_request=tier_asked,
    ),
    pair(
        "models",
        "Models.count_tokens",
        operation="count_tokens",
        streamed=False,
        config="config",
        unrecorded=frozenset({"system_instruction", "tools", "generation_config"}),
        constants=FREE,
        paths={a.COUNTED_TOKENS: "total_tokens", a.CACHE_READ_TOKENS: "cached_content_token_count"},
        messages=m.sent,
        tool_definitions=tool_definitions,
    ),
    pair(
        "models",
        "Models.compute_tokens",
        operation="compute_tokens",
        streamed=False,
        config="config",
        constants=FREE,
        messages=m.sent,
        details=_computed,
    ),
)
