"""Google's wire formats for work in bulk and ahead of time: batches, caches, tuning, stores of files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from otel_llm.testing.gemini_wire import headers, method, usage
from otel_llm.testing.script import Reply, Request, tokens
from otel_llm.testing.wire import Answer, Route, answer_json

_WHEN = "2026-06-01T12:00:00Z"


def _path(request: Request) -> str:
    """The name of a resource: its path without the version of the API."""
    return request.path.partition("?")[0].split("/", 2)[2]


def _answer(request: Request, reply: Reply, body: dict[str, Any]) -> Answer:
    return answer_json(body | dict(reply.extra), headers=headers(request))


def batch(request: Request, reply: Reply) -> Answer:
    """``POST models/…:batchGenerateContent`` and ``:asyncBatchEmbedContent``, ``GET batches/…``, of the Developer API.

    A batch that is asked about is done, with one answer, one error and the reply's usage, unless ``state`` says else.
    """
    asked = request.operation == "batches.get"
    state = reply.state or ("BATCH_STATE_SUCCEEDED" if asked else "BATCH_STATE_PENDING")
    model = f"models/{reply.model or request.model or 'gemini-2.5-flash'}"
    metadata: dict[str, Any] = {"displayName": "batch", "state": state, "createTime": _WHEN, "model": model}
    if state == "BATCH_STATE_SUCCEEDED":
        failed = {"error": {"code": 13, "message": "It failed."}}
        if reply.embeddings:
            done = {"response": {"tokenCount": reply.usage_for(request).input,
                                 "embedding": {"values": list(reply.embeddings[0])}}}  # fmt: skip
            metadata["output"] = {"inlinedEmbedContentResponses": {"inlinedResponses": [done]}}
        else:
            content = {"role": "model", "parts": [{"text": reply.text}]}
            done = {"response": {"candidates": [{"content": content, "finishReason": "STOP"}],
                                 "usageMetadata": usage(reply.usage_for(request))}}  # fmt: skip
            metadata["output"] = {"inlinedResponses": {"inlinedResponses": [done, failed]}}
    name = _path(request) if asked else f"batches/batch-{request.number:08d}"
    return _answer(request, reply, {"name": name, "metadata": metadata})


def prediction(request: Request, reply: Reply) -> Answer:
    """``POST …/batchPredictionJobs`` and ``GET …/batchPredictionJobs/…``, of Vertex AI: its answers lie in a bucket."""
    asked = request.method == "GET"
    state = reply.state or ("JOB_STATE_SUCCEEDED" if asked else "JOB_STATE_PENDING")
    body: dict[str, Any] = {
        "name": _path(request) if asked else f"{_path(request)}/{request.number:08d}",
        "displayName": "batch",
        "model": request.body.get("model") or "publishers/google/models/gemini-2.5-flash",
        "state": state,
        "createTime": _WHEN,
    }
    if state == "JOB_STATE_SUCCEEDED":
        body["completionStats"] = {"successfulCount": "2", "failedCount": "1"}
    if state == "JOB_STATE_FAILED":
        body["error"] = {"code": 13, "message": "It failed."}
    return _answer(request, reply, body)


def nothing(request: Request, reply: Reply) -> Answer:
    """What is cancelled is answered by nothing."""
    return _answer(request, reply, {})


def cache(request: Request, reply: Reply) -> Answer:
    """``POST cachedContents``."""
    size = reply.usage.input if reply.usage else max(1, tokens(request.text))
    body = {
        "name": f"cachedContents/cache-{request.number:08d}",
        "model": request.body.get("model"),
        "createTime": _WHEN,
        "expireTime": _WHEN,
        "usageMetadata": {"totalTokenCount": size},
    }
    return _answer(request, reply, body)


def tuning(request: Request, reply: Reply) -> Answer:
    """``POST …/tuningJobs`` and ``GET …/tuningJobs/…``, of Vertex AI."""
    asked = request.method == "GET"
    body = {
        "name": _path(request) if asked else f"{_path(request)}/{request.number:08d}",
        "state": reply.state or ("JOB_STATE_SUCCEEDED" if asked else "JOB_STATE_PENDING"),
        "baseModel": request.body.get("baseModel"),
        "createTime": _WHEN,
    }
    return _answer(request, reply, body)


def imported(request: Request, reply: Reply) -> Answer:
    """``POST fileSearchStores/…:importFile``: an operation that goes on."""
    store = _path(request).rpartition(":")[0]
    return _answer(request, reply, {"name": f"{store}/operations/import-{request.number:08d}"})


_BATCH, _JOB = r"/batches/(?P<id>[^/:]+)", r"/batchPredictionJobs/(?P<id>[^/:]+)"

ROUTES: Sequence[Route] = (
    ("POST", method("batchGenerateContent"), "batchGenerateContent", batch),
    ("POST", method("asyncBatchEmbedContent"), "asyncBatchEmbedContent", batch),
    ("GET", re.compile(f"{_BATCH}$"), "batches.get", batch),
    ("POST", re.compile(f"{_BATCH}:cancel$"), "batches.cancel", nothing),
    ("POST", re.compile(r"/batchPredictionJobs$"), "batchPredictionJobs", prediction),
    ("GET", re.compile(f"{_JOB}$"), "batchPredictionJobs.get", prediction),
    ("POST", re.compile(f"{_JOB}:cancel$"), "batchPredictionJobs.cancel", nothing),
    ("POST", re.compile(r"/cachedContents$"), "cachedContents", cache),
    ("POST", re.compile(r"/tuningJobs$"), "tuningJobs", tuning),
    ("GET", re.compile(r"/tuningJobs/(?P<id>[^/:]+)$"), "tuningJobs.get", tuning),
    ("POST", re.compile(r"/tuningJobs/(?P<id>[^/:]+):cancel$"), "tuningJobs.cancel", nothing),
    ("POST", re.compile(r"/fileSearchStores/(?P<id>[^/:]+):importFile$"), "importFile", imported),
)
