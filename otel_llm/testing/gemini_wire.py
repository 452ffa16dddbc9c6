"""Gemini's wire format (the ``generateContent`` family): JSON, server-sent events, Google's errors."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

from otel_llm.testing.script import Reply, Request, Usage, share, split, tokens
from otel_llm.testing.wire import Answer, Route, answer_json, event, stream, vector

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_MESSAGES = {
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry.",
    503: "The model is overloaded. Please try again later.",
}
_FINISH = {"stop": "STOP", "length": "MAX_TOKENS"}


def headers(request: Request) -> dict[str, str]:
    """Headers of every answer; that of the service tier is the Developer API's."""
    tier = {} if vertex(request) else {"x-gemini-service-tier": request.body.get("serviceTier") or "standard"}
    return {**tier, "server-timing": "gfet4t7; dur=1", "vary": "Origin"}


def vertex(request: Request) -> bool:
    """Whether Vertex AI is asked."""
    return "/publishers/" in request.path or "/projects/" in request.path


def error_body(status: int, message: str = "", retry_after: float | None = None) -> dict[str, Any]:
    """The body of an error."""
    details: dict[str, Any] = {
        "code": status,
        "message": message or _MESSAGES.get(status, "Request failed."),
        "status": _STATUS.get(status, "UNKNOWN"),
    }
    if retry_after is not None:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        details["details"] = [{"@type": kind, "retryDelay": f"{retry_after:g}s"}]
    return {"error": details}


def error(request: Request, reply: Reply) -> Answer:
    """An error in place of an answer."""
    return answer_json(error_body(reply.status, reply.error, reply.retry_after), reply.status, headers(request))


def generate(request: Request, reply: Reply) -> Answer:
    """``POST models/…:generateContent`` and ``:streamGenerateContent?alt=sse``."""
    counts = reply.usage_for(request)
    if reply.finish == "prompt_blocked":
        feedback = {"promptFeedback": {"blockReason": reply.block_reason}}
        blocked = {**feedback, **_tail(request, reply, Usage(counts.input, cached=counts.cached))}
        events = [event(blocked)]
        return stream(events, reply, _failure(reply), headers(request)) if request.stream else _plain(request, blocked)
    if not request.stream:
        parts = [*reply.items, *_thoughts(reply), *_text_parts([reply.text or reply.refusal]), *_calls(reply)]
        count = (request.body.get("generationConfig") or {}).get("candidateCount") or 1
        body = {
            "candidates": [_candidate(parts, _finish(reply), reply, index) for index in range(count)],
            **_tail(request, reply, counts),
        }
        return _plain(request, body)
    return stream(_chunks(request, reply, counts), reply, _failure(reply), headers(request))


def count(request: Request, reply: Reply) -> Answer:
    """``POST models/…:countTokens``."""
    return _plain(request, {"totalTokens": reply.usage_for(request).input})


def compute(request: Request, reply: Reply) -> Answer:
    """``POST models/…:computeTokens``, of Vertex AI: a token for each word."""
    words = request.text.split()
    ids = [str(index) for index in range(len(words))]
    tokens = [base64.b64encode(word.encode()).decode() for word in words]
    return _plain(request, {"tokensInfo": [{"role": "user", "tokenIds": ids, "tokens": tokens}]})


def _plain(request: Request, body: object) -> Answer:
    return answer_json(body, headers=headers(request))


def embed(request: Request, reply: Reply) -> Answer:
    """``POST models/…:batchEmbedContents`` and ``:embedContent``."""
    batch = request.operation == "batchEmbedContents"
    asked: list[Mapping[str, Any]] = request.body.get("requests", []) if batch else [request.body]
    texts = [" ".join(part.get("text", "") for part in one.get("content", {}).get("parts", [])) for one in asked]
    sizes = [one.get("outputDimensionality") or 3072 for one in asked]
    vectors = reply.embeddings or [vector(text, size) for text, size in zip(texts, sizes, strict=True)]
    values = [{"values": list(values)} for values in vectors]
    body: dict[str, Any] = {"embeddings": values} if batch else {"embedding": values[0]}
    if reply.report_usage:
        used = reply.usage.input if reply.usage else sum(max(1, tokens(text)) for text in texts)
        details = [{"modality": "TEXT", "tokenCount": used}]
        body["usageMetadata"] = {"promptTokenCount": used, "totalTokenCount": used, "promptTokensDetails": details}
    return answer_json(body, headers=headers(request))


def usage(counts: Usage) -> dict[str, Any]:
    """``usageMetadata``; counts of zero are left out, as Google does."""
    prompt = counts.input - counts.tool_use
    written = counts.output - counts.reasoning
    found = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": written,
        "totalTokenCount": counts.input + counts.output,
        "cachedContentTokenCount": counts.cached,
        "promptTokensDetails": _modalities(counts.input_modalities or {"text": prompt}),
        "cacheTokensDetails": _modalities({"text": counts.cached}),
        "candidatesTokensDetails": _modalities(counts.output_modalities),
        "toolUsePromptTokenCount": counts.tool_use,
        "toolUsePromptTokensDetails": _modalities({"text": counts.tool_use}),
        "thoughtsTokenCount": counts.reasoning,
    }
    return {name: value for name, value in found.items() if value}


def _chunks(request: Request, reply: Reply, counts: Usage) -> list[bytes]:
    groups: list[list[Any]] = [
        *([part] for part in reply.items),
        *([part] for part in _thoughts(reply)),
        *([part] for part in _text_parts(reply.pieces() or split(reply.refusal, reply.chunks))),
        *([part] for part in _calls(reply)),
    ] or [[]]
    last = len(groups)
    return [
        event(
            {
                "candidates": [_candidate(parts, _finish(reply) if number == last else None, reply)],
                **_tail(request, reply, share(counts, number, last)),
            }
        )
        for number, parts in enumerate(groups, 1)
    ]


def _candidate(parts: list[Any], finish: str | None, reply: Reply, index: int = 0) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"} if parts else {"role": "model"}}
    if finish:
        candidate |= {"finishReason": finish, **reply.extra.get("candidate", {})}
    return {**candidate, "index": index}


def _tail(request: Request, reply: Reply, counts: Usage) -> dict[str, Any]:
    traffic = {"trafficType": "ON_DEMAND"} if vertex(request) else {}
    reported = {"usageMetadata": usage(counts) | traffic | reply.extra.get("usage", {})} if reply.report_usage else {}
    more = {name: value for name, value in reply.extra.items() if name not in ("usage", "candidate")}
    identity = {"modelVersion": reply.model or request.model, "responseId": f"gemini-{request.number:08d}"}
    return {**reported, **identity, **more}


def _thoughts(reply: Reply) -> list[dict[str, Any]]:
    return [{"text": reply.thinking, "thought": True}] if reply.thinking else []


def _text_parts(pieces: list[str]) -> list[dict[str, Any]]:
    return [{"text": piece} for piece in pieces if piece]


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {"functionCall": {"name": call.name, "args": dict(call.arguments), **({"id": call.id} if call.id else {})}}
        for call in reply.tool_calls
    ]


def _modalities(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items() if count]


def _finish(reply: Reply) -> str:
    return _FINISH.get(reply.finish, reply.block_reason)


def _failure(reply: Reply) -> bytes:
    return event(error_body(503, reply.error))


def method(name: str) -> re.Pattern[str]:
    """The path of a model's method."""
    return re.compile(rf"/models/(?P<model>[^:/]+):{name}$")


ROUTES: Sequence[Route] = (
    ("POST", method("generateContent"), "generateContent", generate),
    ("POST", method("streamGenerateContent"), "streamGenerateContent", generate),
    ("POST", method("embedContent"), "embedContent", embed),
    ("POST", method("batchEmbedContents"), "batchEmbedContents", embed),
    ("POST", method("countTokens"), "countTokens", count),
    ("POST", method("computeTokens"), "computeTokens", compute),
)
