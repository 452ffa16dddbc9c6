"""OpenAI's endpoints around responses: made, fetched, cancelled, compacted, counted; conversations; decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message, message
from otel_llm.provider import Endpoint, Params, fields, get, given
from otel_llm.providers import openai_items as items
from otel_llm.providers.openai_messages import listed, tool_definitions
from otel_llm.providers.openai_shared import (
    IDENTITY,
    USAGE,
    beside,
    failure,
    output_type,
    pair,
)
from otel_llm.providers.openai_streams import ResponseFold

#: Tools of the provider that are charged by the call and not by the token.
_CHARGED = frozenset({"web_search_call", "file_search_call", "code_interpreter_call", "image_generation_call"})


#: Parameters that say more than the table of parameters does.
_SAY_MORE = frozenset({"text_format", "text", "reasoning", "conversation", "prompt"})


def _request(params: Params) -> Mapping[a.Attribute, Any]:
    if _SAY_MORE.isdisjoint(params):
        return {}
    format = params.get("text_format") or get(params.get("text"), "format")
    values = dict(output_type(format)) if format is not None and given(format) else {}
    if effort := get(params.get("reasoning"), "effort"):
        values[a.REASONING_LEVEL] = effort
    conversation = params.get("conversation")
    if conversation is not None:
        values[a.CONVERSATION_ID] = conversation if isinstance(conversation, str) else str(get(conversation, "id"))
    prompt = params.get("prompt")
    if isinstance(name := get(prompt, "id"), str):
        values[a.PROMPT_NAME] = name
        if isinstance(version := get(prompt, "version"), str):
            values[a.PROMPT_VERSION] = version
    return values


def _details(response: Any) -> Mapping[a.Attribute, Any]:
    held = fields(response)
    values = failure(response)
    values |= beside(response)
    output = listed(held.get("output"))
    kinds = items.kinds_of(output)
    if reason := items.finish_reason(response, kinds):
        values[a.FINISH_REASONS] = [reason]
    if len(kinds) > 1 or kinds != ["message"]:
        if not _CHARGED.isdisjoint(kinds):
            values.setdefault(a.COST_STATUS, "partial")
        if "web_search_call" in kinds:
            searches = [item for item, kind in zip(output, kinds, strict=True) if kind == "web_search_call"]
            if (many := sum(map(_searched, searches))) > 0:
                values[a.WEB_SEARCHES] = many
        if "compaction" in kinds:
            values[a.CONVERSATION_COMPACTED] = True
    return values


def _searched(item: Any) -> bool:
    """Whether a call is a search of the web; to open a page or to look something up in one is free."""
    return get(get(item, "action"), "type") in ("search", None)


def _compacted(response: Any) -> Mapping[a.Attribute, Any]:
    return {a.CONVERSATION_COMPACTED: True}


def _unfinished(response: Any) -> str | None:
    held = fields(response)
    return str(held.get("id")) if held.get("status") in ("queued", "in_progress") else None


def _named(params: Params) -> str | None:
    return str(params.get("response_id"))


def _decided(response: Any) -> list[Message]:
    parts = [{"type": "decision", "answer": answer} for answer in listed(get(response, "answers"))]
    return [message("assistant", parts)] if parts else []


_FREE = {a.API_TYPE: "responses", a.COST_STATUS: "free"}
_READ: dict[str, Any] = {
    "paths": {**IDENTITY, **USAGE, a.RESPONSE_SERVICE_TIER: "service_tier", a.RESPONSE_STATUS: "status"},
    "constants": {a.API_TYPE: "responses"},
    "output_messages": items.output,
    "details": _details,
    "unfinished": _unfinished,
}
_ASKED: dict[str, Any] = {
    "parameters": {
        "temperature": a.TEMPERATURE,
        "top_p": a.TOP_P,
        "service_tier": a.REQUEST_SERVICE_TIER,
        "max_output_tokens": a.MAX_TOKENS,
        "previous_response_id": a.PREVIOUS_RESPONSE_ID,
    },
    "unrecorded": frozenset(
        {"input", "instructions", "tools", "text", "text_format", "parse_as", "reasoning", "conversation"}
    ),
    "messages": items.request,
    "tool_definitions": tool_definitions,
    "details_of_request": _request,
}
_CREATE = {"operation": "chat", "fold": ResponseFold, **_READ, **_ASKED}
_FOLLOW: dict[str, Any] = {
    "positional": ("response_id",),
    "parameters": {"response_id": a.RESPONSE_ID, "starting_after": a.STREAM_CURSOR},
    "unrecorded": frozenset({"include", "include_obfuscation"}),
    "follows": _named,
    **_READ,
    "constants": _FREE,
}


def _of(package: str, optional: bool) -> tuple[Endpoint, ...]:
    """The methods that responses have, and those of the beta."""
    module = f"{package}.responses"
    return (
        pair(module, "Responses.create", optional=optional, **_CREATE),
        pair(
            module,
            "Responses.retrieve",
            operation="fetch_response",
            optional=optional,
            fold=ResponseFold,
            **_FOLLOW,
        ),
        pair(module, "Responses.cancel", operation="cancel_response", optional=optional, streamed=False, **_FOLLOW),
        pair(
            module,
            "Responses.compact",
            operation="compact",
            optional=True,
            streamed=False,
            constants={a.API_TYPE: "responses"},
            paths={**IDENTITY, **USAGE},
            output_messages=items.output,
            details=_compacted,
            **_ASKED,
        ),
        pair(
            f"{package}.input_tokens",
            "InputTokens.count",
            operation="count_tokens",
            optional=True,
            streamed=False,
            constants=_FREE,
            paths={a.COUNTED_TOKENS: "input_tokens", a.PROVIDER_REQUEST_ID: "_request_id"},
            **_ASKED,
        ),
    )


#: Nothing is charged for what is only kept.
_KEPT = {a.COST_STATUS: "free"}

ENDPOINTS = (
    *_of("responses", optional=False),
    pair("responses.responses", "Responses.parse", **_CREATE),
    *_of("beta.responses", optional=True),
    pair(
        "conversations.conversations",
        "Conversations.create",
        operation="create_conversation",
        constants=_KEPT,
        streamed=False,
        unrecorded=frozenset({"items"}),
        paths={a.CONVERSATION_ID: "id", a.PROVIDER_REQUEST_ID: "_request_id"},
        messages=items.stored,
    ),
    pair(
        "conversations.items",
        "Items.create",
        operation="add_conversation_items",
        constants=_KEPT,
        streamed=False,
        positional=("conversation_id",),
        parameters={"conversation_id": a.CONVERSATION_ID},
        unrecorded=frozenset({"items", "include"}),
        paths={a.PROVIDER_REQUEST_ID: "_request_id"},
        messages=items.stored,
    ),
    pair(
        "decisions",
        "Decisions.create",
        operation="decide",
        optional=True,
        streamed=False,
        unrecorded=frozenset({"input"}),
        paths={**IDENTITY, **USAGE},
        messages=items.request,
        output_messages=_decided,
    ),
)
