"""OpenAI's wire format: chat completions, embeddings and errors."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

from otel_llm.testing.script import Reply, Request, ToolCall, Usage, split, tokens
from otel_llm.testing.wire import EPOCH, Answer, answer_json, event, stream, vector

_ERRORS = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported.",
    ),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}
_FINISH = {"stop": "stop", "length": "length", "blocked": "content_filter", "prompt_blocked": "content_filter"}
BLOCKED_PROMPT = Reply(
    status=400,
    error="Invalid prompt: your prompt was flagged as potentially violating our usage policy.",
    error_code="invalid_prompt",
)


def headers(request: Request) -> dict[str, str]:
    """Headers of every answer."""
    return {"x-request-id": f"req_{request.number:024x}", "openai-version": "2020-10-01", "openai-processing-ms": "1"}


def error_body(status: int, message: str = "", code: str = "") -> dict[str, Any]:
    """The body of an error."""
    kind, usual, text = _ERRORS.get(status, ("server_error", None, "The server had an error processing your request."))
    return {"message": message or text, "type": kind, "param": None, "code": code or usual}


def error(request: Request, reply: Reply) -> Answer:
    """An error in place of an answer, with the headers that steer the SDK's retry."""
    extra = headers(request)
    if reply.retry_after is not None:
        extra["retry-after"] = f"{reply.retry_after:g}"
        extra["retry-after-ms"] = f"{reply.retry_after * 1000:g}"
    return answer_json({"error": error_body(reply.status, reply.error, reply.error_code)}, reply.status, extra)


def embeddings(request: Request, reply: Reply) -> Answer:
    """``POST /embeddings``, as floats or base64."""
    given = request.body.get("input", "")
    texts: list[Any] = given if isinstance(given, list) and not _is_tokens(given) else [given]
    size = request.body.get("dimensions") or 1536
    vectors = reply.embeddings or [vector(_as_text(text), size) for text in texts]
    used = reply.usage.input if reply.usage else sum(_count(text) for text in texts)
    encode = _base64 if request.body.get("encoding_format") == "base64" else list
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": encode(v)} for i, v in enumerate(vectors)],
        "model": reply.model or request.model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }
    return answer_json(body, headers=headers(request))


def chat(request: Request, reply: Reply) -> Answer:
    """``POST /chat/completions``, plain or streamed."""
    return _chat_stream(request, reply) if request.stream else _chat_plain(request, reply)


def completions(request: Request, reply: Reply) -> Answer:
    """``POST /completions``, plain or streamed."""
    prompts = request.body.get("prompt")
    count = (len(prompts) if isinstance(prompts, list) else 1) * (request.body.get("n") or 1)

    def part(texts: Sequence[tuple[int, str]], finish: str | None, counts: bool) -> dict[str, Any]:
        choices = [{"index": i, "text": text, "logprobs": None, "finish_reason": finish} for i, text in texts]
        body = {**_envelope(request, reply, "text_completion"), "id": f"cmpl-{request.number:08d}", "choices": choices}
        return {**body, "usage": usage(reply.usage_for(request))} if counts and reply.report_usage else body

    if not request.stream:
        whole = [(index, reply.text) for index in range(count)]
        return answer_json(part(whole, _finish(reply), True), headers=headers(request))
    with_usage = bool((request.body.get("stream_options") or {}).get("include_usage"))
    events = [event(part([(index, piece)], None, False)) for index in range(count) for piece in reply.pieces()]
    events += [event(part([(index, "")], _finish(reply), False)) for index in range(count)]
    events += [event(part([], None, True))] if with_usage else []
    events.append(b"data: [DONE]\n\n")
    return stream(events, reply, event({"error": error_body(500, reply.error)}), headers(request))


def usage(counts: Usage) -> dict[str, Any]:
    """``CompletionUsage``."""
    details = {"cached_tokens": counts.cached, "audio_tokens": counts.input_modalities.get("audio", 0)}
    if counts.cache_write:
        details["cache_write_tokens"] = counts.cache_write
    return {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
        "prompt_tokens_details": details,
        "completion_tokens_details": {
            "reasoning_tokens": counts.reasoning,
            "audio_tokens": counts.output_modalities.get("audio", 0),
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _chat_plain(request: Request, reply: Reply) -> Answer:
    message: dict[str, Any] = {
        **({"reasoning_content": reply.thinking} if reply.thinking else {}),
        "role": "assistant",
        "content": reply.text or None,
        "refusal": reply.refusal or None,
        "annotations": [],
    }
    if reply.tool_calls:
        message["tool_calls"] = [
            {"id": call.id or f"call_{index}", "type": "function", "function": _function(call)}
            for index, call in enumerate(reply.tool_calls)
        ]
    body = _envelope(request, reply, "chat.completion")
    body["choices"] = [
        {"index": index, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
        for index in range(request.body.get("n") or 1)
    ]
    if reply.report_usage:
        body["usage"] = usage(reply.usage_for(request)) | reply.extra.get("usage", {})
    return answer_json(body, headers=headers(request))


def _chat_stream(request: Request, reply: Reply) -> Answer:
    with_usage = bool((request.body.get("stream_options") or {}).get("include_usage")) and reply.report_usage
    events: list[bytes] = []

    def send(choices: Sequence[dict[str, Any]], counts: dict[str, Any] | None = None) -> None:
        body = _envelope(request, reply, "chat.completion.chunk")
        body["choices"] = list(choices)
        if with_usage:
            body["usage"] = counts
        events.append(event(body))

    def choice(delta: dict[str, Any], finish: str | None = None, index: int = 0) -> dict[str, Any]:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    for index in range(request.body.get("n") or 1):
        send([choice({"role": "assistant", "content": None if reply.tool_calls else "", "refusal": None}, None, index)])
        for piece in split(reply.thinking, reply.chunks):
            send([choice({"reasoning_content": piece}, None, index)])
        for piece in reply.pieces():
            send([choice({"content": piece}, None, index)])
        for piece in split(reply.refusal, reply.chunks):
            send([choice({"refusal": piece}, None, index)])
        for delta in _tool_call_deltas(reply):
            send([choice({"tool_calls": [delta]}, None, index)])
        send([choice({}, _finish(reply), index)])
    if with_usage:
        send([], usage(reply.usage_for(request)) | reply.extra.get("usage", {}))
    events.append(b"data: [DONE]\n\n")
    return stream(events, reply, event({"error": error_body(500, reply.error)}), headers(request))


def _tool_call_deltas(reply: Reply) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = []
    for index, call in enumerate(reply.tool_calls):
        named = {"name": call.name, "arguments": ""}
        deltas.append({"index": index, "id": call.id or f"call_{index}", "type": "function", "function": named})
        pieces = split(json.dumps(dict(call.arguments)), reply.chunks)
        deltas.extend({"index": index, "function": {"arguments": piece}} for piece in pieces)
    return deltas


def _function(call: ToolCall) -> dict[str, str]:
    return {"name": call.name, "arguments": json.dumps(dict(call.arguments))}


def _envelope(request: Request, reply: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": request.groups.get("id") or f"chatcmpl-{request.number:08d}",
        "object": kind,
        "created": EPOCH + request.number,
        "model": reply.model or request.model,
        "service_tier": "default",
        "system_fingerprint": "fp_scripted",
        **{name: value for name, value in reply.extra.items() if name != "usage"},
    }


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.tool_calls and reply.finish == "stop" else _FINISH[reply.finish]


def _is_tokens(given: list[Any]) -> bool:
    return bool(given) and isinstance(given[0], int)


def _as_text(given: object) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def _count(given: object) -> int:
    return len(given) if isinstance(given, list) else max(1, tokens(str(given)))


def _base64(values: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
