"""OpenAI's SDK (and hosts that speak its protocol): chat completions, responses, embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, Params, Provider, Server, get, given
from otel_llm.providers import openai_messages as m
from otel_llm.providers.openai_streams import ChatFold, ResponseFold

#: ``gen_ai.provider.name`` by the end of the host name; any other host is taken for OpenAI's.
_HOSTS = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral_ai",
    "api.perplexity.ai": "perplexity",
    "api.x.ai": "x_ai",
    "openrouter.ai": "openrouter",
    "generativelanguage.googleapis.com": "gcp.gemini",
}

_TRANSPORT = frozenset({"model", "stream", "stream_options", "extra_headers", "extra_query", "extra_body", "timeout"})

_SAMPLING = {
    "temperature": a.TEMPERATURE,
    "top_p": a.TOP_P,
    "service_tier": a.REQUEST_SERVICE_TIER,
}

_IDENTITY = {
    a.RESPONSE_MODEL: "model",
    a.RESPONSE_ID: "id",
    a.RESPONSE_SERVICE_TIER: "service_tier",
}


_servers: dict[int, tuple[Any, Server]] = {}


def _server(resource: Any) -> Server:
    """Who a client talks to, worked out once for each address object, which is kept so that its id stays its own."""
    url = resource._client.base_url
    found = _servers.get(id(url))
    if found is None:
        if len(_servers) >= 256:
            _servers.clear()
        found = _servers[id(url)] = (url, _identify(resource._client, url))
    return found[1]


def _identify(client: Any, url: Any) -> Server:
    host, port = url.host, url.port or (80 if url.scheme == "http" else 443)
    if type(client).__name__ in ("AzureOpenAI", "AsyncAzureOpenAI"):
        return Server("azure.ai.openai", host, port)
    provider = next((provider for end, provider in _HOSTS.items() if host.endswith(end)), "openai")
    return Server(provider, host, port)


def _unwrapped(response: Any) -> Any:
    """What ``with_raw_response`` holds: already received, and parsed once for us and the caller.

    What ``with_streaming_response`` holds is not received yet, and the caller's to receive.
    """
    kind = type(response).__name__
    if kind == "LegacyAPIResponse":
        return response.parse()
    return None if kind in ("APIResponse", "AsyncAPIResponse") else response


def _output_type(format: Any) -> Mapping[a.Attribute, Any]:
    """``gen_ai.output.type`` of a response format: a class or a JSON form asks for JSON."""
    if format is None or not given(format):
        return {}
    kind = "json_schema" if isinstance(format, type) else get(format, "type")
    if kind in ("json_object", "json_schema"):
        return {a.OUTPUT_TYPE: "json"}
    return {a.OUTPUT_TYPE: "text"} if kind == "text" else {}


def _chat_request(params: Params) -> Mapping[a.Attribute, Any]:
    values = dict(_output_type(params.get("response_format")))
    count = params.get("n")
    if isinstance(count, int) and count != 1:
        values[a.CHOICE_COUNT] = count
    return values


def _responses_request(params: Params) -> Mapping[a.Attribute, Any]:
    values = dict(_output_type(params.get("text_format") or get(params.get("text"), "format")))
    effort = get(params.get("reasoning"), "effort")
    if effort:
        values[a.REASONING_LEVEL] = effort
    conversation = params.get("conversation")
    if conversation is not None:
        values[a.CONVERSATION_ID] = conversation if isinstance(conversation, str) else str(get(conversation, "id"))
    return values


def _responses_details(response: Any) -> Mapping[a.Attribute, Any]:
    reason = m.response_finish_reason(response)
    values: dict[a.Attribute, Any] = {a.FINISH_REASONS: [reason]} if reason else {}
    if get(response, "status") == "failed":
        values[a.ERROR_TYPE] = str(get(get(response, "error"), "code") or "failed")
    return values


def _chat_details(response: Any) -> Mapping[a.Attribute, Any]:
    reasons = [m.finish_reason(choice.finish_reason) for choice in getattr(response, "choices", None) or ()]
    return {a.FINISH_REASONS: reasons} if any(reasons) else {}


def _embedding_details(response: Any) -> Mapping[a.Attribute, Any]:
    """The size of the embedding, where the caller asked for numbers, and no output tokens where usage was said."""
    values: dict[a.Attribute, Any] = {}
    data = get(response, "data")
    vector = get(data[0], "embedding") if data else None
    if vector is not None and not isinstance(vector, str):
        values[a.DIMENSION_COUNT] = len(vector)
    if get(response, "usage") is not None:
        values[a.OUTPUT_TOKENS] = 0
    return values


_CHAT: dict[str, Any] = {
    "module": "openai.resources.chat.completions.completions",
    "operation": "chat",
    "constants": {a.API_TYPE: "chat_completions"},
    "parameters": _SAMPLING
    | {
        "frequency_penalty": a.FREQUENCY_PENALTY,
        "presence_penalty": a.PRESENCE_PENALTY,
        "max_tokens": a.MAX_TOKENS,
        "max_completion_tokens": a.MAX_TOKENS,
        "seed": a.SEED,
        "stop": a.STOP_SEQUENCES,
        "reasoning_effort": a.REASONING_LEVEL,
    },
    "unrecorded": _TRANSPORT | {"messages", "tools", "functions", "response_format", "n"},
    "paths": _IDENTITY
    | {
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
        a.PROVIDER_REQUEST_ID: "_request_id",
    },
    "messages": m.chat,
    "tool_definitions": m.tool_definitions,
    "output_messages": m.chat_output,
    "details": _chat_details,
    "details_of_request": _chat_request,
}

_RESPONSES: dict[str, Any] = {
    "module": "openai.resources.responses.responses",
    "operation": "chat",
    "constants": {a.API_TYPE: "responses"},
    "parameters": _SAMPLING | {"max_output_tokens": a.MAX_TOKENS, "previous_response_id": a.PREVIOUS_RESPONSE_ID},
    "unrecorded": _TRANSPORT
    | {"input", "instructions", "tools", "text", "text_format", "parse_as", "reasoning", "conversation"},
    "paths": _IDENTITY
    | {
        a.RESPONSE_STATUS: "status",
        a.INPUT_TOKENS: "usage.input_tokens",
        a.OUTPUT_TOKENS: "usage.output_tokens",
        a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
        a.CACHE_READ_TOKENS: "usage.input_tokens_details.cached_tokens",
        a.CACHE_WRITE_TOKENS: "usage.input_tokens_details.cache_write_tokens",
        a.REASONING_TOKENS: "usage.output_tokens_details.reasoning_tokens",
        a.PROVIDER_REQUEST_ID: "_request_id",
    },
    "messages": m.responses,
    "tool_definitions": m.tool_definitions,
    "output_messages": m.responses_output,
    "details": _responses_details,
    "details_of_request": _responses_request,
}

OPENAI = Provider(
    name="openai",
    package="openai",
    distribution="openai",
    server=_server,
    unwrapped=_unwrapped,
    endpoints=(
        Endpoint(method="Completions.create", async_method="AsyncCompletions.create", fold=ChatFold, **_CHAT),
        Endpoint(method="Completions.parse", async_method="AsyncCompletions.parse", streamed=False, **_CHAT),
        Endpoint(method="Responses.create", async_method="AsyncResponses.create", fold=ResponseFold, **_RESPONSES),
        Endpoint(method="Responses.parse", async_method="AsyncResponses.parse", fold=ResponseFold, **_RESPONSES),
        Endpoint(
            module="openai.resources.embeddings",
            method="Embeddings.create",
            async_method="AsyncEmbeddings.create",
            operation="embeddings",
            streamed=False,
            parameters={"encoding_format": a.ENCODING_FORMATS, "dimensions": a.DIMENSION_COUNT},
            unrecorded=_TRANSPORT | {"input"},
            paths={
                a.RESPONSE_MODEL: "model",
                a.INPUT_TOKENS: "usage.prompt_tokens",
                a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
                a.PROVIDER_REQUEST_ID: "_request_id",
            },
            messages=m.embeddings,
            details=_embedding_details,
        ),
    ),
)
