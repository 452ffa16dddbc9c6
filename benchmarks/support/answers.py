"""The answers that the transport gives, recorded once from the scripted provider in the true wire formats."""

from __future__ import annotations

from typing import Any

import httpx2

from otel_llm.testing import Reply, ScriptedProvider, Usage

from . import transport as t


def record(chunks: int = t.CHUNKS) -> dict[str, tuple[str, str]]:
    """Content type and body, by the last word of the path that is asked."""
    usage = Usage(t.INPUT_TOKENS, t.OUTPUT_TOKENS, cached=t.CACHED_TOKENS, reasoning=t.REASONING_TOKENS)
    reply = Reply(t.ANSWER, usage=usage, chunks=chunks)
    content = {"role": "user", "parts": [{"text": "hi"}]}
    chat = {"model": t.CHAT_MODEL, "messages": t.messages("hi")}
    streamed = {**chat, "stream": True, "stream_options": {"include_usage": True}}
    gemini = f"/v1beta/models/{t.GEMINI_MODEL}"
    embedding = {"model": f"models/{t.GEMINI_EMBEDDING_MODEL}", "content": content, "outputDimensionality": 256}
    asked: dict[str, tuple[str, dict[str, Any]]] = {
        "completions": ("/v1/chat/completions", chat),
        "completions stream": ("/v1/chat/completions", streamed),
        "responses": ("/v1/responses", {"model": t.CHAT_MODEL, "input": "hi"}),
        "embeddings": (
            "/v1/embeddings",
            {"model": t.EMBEDDING_MODEL, "input": "hi", "dimensions": 256, "encoding_format": "base64"},
        ),
        "generateContent": (f"{gemini}:generateContent", {"contents": [content]}),
        "streamGenerateContent": (f"{gemini}:streamGenerateContent?alt=sse", {"contents": [content]}),
        "batchEmbedContents": (
            f"/v1beta/models/{t.GEMINI_EMBEDDING_MODEL}:batchEmbedContents",
            {"requests": [embedding]},
        ),
    }
    answers = {}
    with ScriptedProvider(lambda request: reply) as provider, httpx2.Client(base_url=provider.url) as client:
        for key, (path, body) in asked.items():
            response = client.post(path, json=body)
            response.raise_for_status()
            answers[key] = (response.headers["content-type"], response.text)
    return answers
