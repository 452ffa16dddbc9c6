"""Anthropic's messages and answers, in the shapes of its JSON and of its SDK's objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message, Part, blob_part, message, text_part, tool_call_part, uri_part
from otel_llm.provider import Endpoint, get
from otel_llm.providers.openai_messages import content_parts, listed, responded, text_of

#: The conventions' finish reasons, by Anthropic's.
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}

#: Blocks that only Anthropic has; its text is as OpenAI's.
_BLOCKS = frozenset({"tool_use", "tool_result", "thinking", "redacted_thinking", "image", "document"})


def written(content: Any) -> bool:
    """Whether the content of a message is made of Anthropic's blocks."""
    return any(get(block, "type") in _BLOCKS for block in listed(content))


def turn(item: Any) -> Message:
    """A message whose content is made of Anthropic's blocks."""
    parts = [part for block in listed(get(item, "content")) for part in _block(block)]
    role = text_of(get(item, "role") or "user")
    if parts and all(part["type"] == "tool_call_response" for part in parts):
        role = "tool"  # to Anthropic it is the user who says what a tool gave
    return message(role, parts)


def _block(block: Any) -> list[Part]:
    kind = get(block, "type")
    if kind == "tool_use":
        return [tool_call_part(text_of(get(block, "name")), get(block, "input"), get(block, "id"))]
    if kind == "tool_result":
        return responded(get(block, "content"), get(block, "tool_use_id"))
    if kind == "thinking":
        return [{"type": "reasoning", "content": text_of(get(block, "thinking"))}]
    if kind in ("image", "document"):
        source = get(block, "source")
        if get(source, "type") == "base64":
            return [blob_part(get(source, "data"), text_of(get(source, "media_type")))]
        if get(source, "type") == "url":
            return [uri_part(text_of(get(source, "url")), text_of(kind))]
        if get(source, "type") == "text":
            return [text_part(text_of(get(source, "data")))]
        return [{"type": "file", "modality": text_of(kind), "file_id": text_of(get(source, "file_id"))}]
    return content_parts([block])


def _output(response: Any) -> list[Message]:
    said = turn(response)
    said["role"] = "assistant"
    said["finish_reason"] = _reason(response)
    return [said]


def _reason(response: Any) -> str:
    reason = text_of(get(response, "stop_reason"))
    return _FINISH.get(reason, reason)


def _details(response: Any) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    if reason := _reason(response):
        values[a.FINISH_REASONS] = [reason]
    if searches := get(get(get(response, "usage"), "server_tool_use"), "web_search_requests"):
        values[a.WEB_SEARCHES] = searches
        values[a.COST_STATUS] = "partial"  # searches are charged besides the tokens
    return values


#: How an answer is read. What was read from a cache, or written to it, is not among Anthropic's input tokens.
MESSAGE = Endpoint(
    operation="chat",
    paths={
        a.RESPONSE_MODEL: "model",
        a.RESPONSE_ID: "id",
        a.PROVIDER_REQUEST_ID: "_request_id",
        a.INPUT_TOKENS: (
            "usage.input_tokens",
            "usage.cache_read_input_tokens",
            "usage.cache_creation_input_tokens",
        ),
        a.OUTPUT_TOKENS: "usage.output_tokens",
        a.CACHE_READ_TOKENS: "usage.cache_read_input_tokens",
        a.CACHE_WRITE_TOKENS: "usage.cache_creation_input_tokens",
        a.SERVICE_TIER_GIVEN: "usage.service_tier",
    },
    output_messages=_output,
    details=_details,
)
