"""Google's wire formats for pictures, videos and the embeddings of Vertex AI: predictions, and work that goes on."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from otel_llm.testing.gemini_wire import error_body, headers, method
from otel_llm.testing.script import Reply, Request, tokens
from otel_llm.testing.wire import Answer, Route, answer_json, vector

#: A picture of one pixel.
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def predict(request: Request, reply: Reply) -> Answer:
    """``POST models/…:predict``: pictures, as many as asked for, or vectors of texts."""
    instances: list[dict[str, Any]] = request.body.get("instances", [])
    if instances and "content" in instances[0]:
        return _vectors(request, reply, [str(instance["content"]) for instance in instances])
    asked = request.body.get("parameters") or {}
    if reply.finish == "blocked":
        predictions: list[dict[str, Any]] = [{"raiFilteredReason": reply.block_reason}]
    else:
        picture = {"bytesBase64Encoded": base64.b64encode(PIXEL).decode(), "mimeType": "image/png"}
        predictions = [picture] * (asked.get("sampleCount") or 1)
    return answer_json({"predictions": predictions}, headers=headers(request))


def _vectors(request: Request, reply: Reply, texts: list[str]) -> Answer:
    size = (request.body.get("parameters") or {}).get("outputDimensionality") or 768
    vectors = reply.embeddings or [vector(text, size) for text in texts]
    predictions = [
        {"embeddings": {"values": list(values), "statistics": {"truncated": False, "token_count": tokens(text)}}}
        for text, values in zip(texts, vectors, strict=True)
    ]
    body = {"predictions": predictions, "metadata": {"billableCharacterCount": sum(map(len, texts))}}
    return answer_json(body, headers=headers(request))


def begin(request: Request, reply: Reply) -> Answer:
    """``POST models/…:predictLongRunning``."""
    resource = request.path.partition("?")[0].rpartition(":")[0].split("/", 2)[2]
    return answer_json({"name": f"{resource}/operations/op-{request.number:08d}"}, headers=headers(request))


def operation(request: Request, reply: Reply) -> Answer:
    """``GET …/operations/…``, and ``POST …:fetchPredictOperation`` of Vertex AI: done, unless ``state`` says else."""
    vertex = request.operation == "fetchPredictOperation"
    name = request.body.get("operationName") or request.path.partition("?")[0].split("/", 2)[2]
    body: dict[str, Any] = {"name": name}
    if reply.state == "failed":
        body |= {"done": True, **error_body(500, reply.error)}
    elif not reply.state:
        body |= {"done": True, "response": _videos(reply) if vertex else {"generateVideoResponse": _samples(reply)}}
    return answer_json(body, headers=headers(request))


def _videos(reply: Reply) -> dict[str, Any]:
    if reply.finish == "blocked":
        return {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [reply.block_reason]}
    return {"videos": [{"gcsUri": "gs://bucket/video.mp4", "mimeType": "video/mp4"}]}


def _samples(reply: Reply) -> dict[str, Any]:
    if reply.finish == "blocked":
        return {"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [reply.block_reason]}
    return {"generatedSamples": [{"video": {"uri": "https://example.com/video.mp4", "encoding": "video/mp4"}}]}


ROUTES: Sequence[Route] = (
    ("POST", method("predict"), "predict", predict),
    ("POST", method("predictLongRunning"), "predictLongRunning", begin),
    ("POST", method("fetchPredictOperation"), "fetchPredictOperation", operation),
    ("GET", re.compile(r"/operations/(?P<id>[^/]+)$"), "operations", operation),
)
