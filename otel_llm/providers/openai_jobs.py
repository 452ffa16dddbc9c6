"""OpenAI's endpoints for work in bulk and for searches: batches, evaluations, fine-tuning, vector stores, and the rest
that starts a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, Params, get
from otel_llm.providers.openai_media_messages import asked
from otel_llm.providers.openai_messages import listed
from otel_llm.providers.openai_shared import IDENTITY, USAGE, binary, failure, pair

_REQUEST_ID = {a.PROVIDER_REQUEST_ID: "_request_id"}
_FREE = {a.COST_STATUS: "free"}
_STATUS = {a.RESPONSE_STATUS: "status"}
_BATCH_RUNS = ("validating", "in_progress", "finalizing", "cancelling")


def _batch_details(batch: Any) -> Mapping[a.Attribute, Any]:
    """What a batch says of its requests. Batches have a tier of their own, at a price of its own."""
    values = failure(batch)
    counts = get(batch, "request_counts")
    if (total := get(counts, "total")) is not None:
        values[a.BATCH_REQUESTS] = total
    if failed := get(counts, "failed"):
        values[a.BATCH_FAILED] = failed
    if get(batch, "usage") is not None:
        values[a.SERVICE_TIER_GIVEN] = "batch"
    return values


def _batch_unfinished(batch: Any) -> str | None:
    return str(get(batch, "id")) if get(batch, "status") in _BATCH_RUNS else None


def _batch(method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "batches",
        f"Batches.{method}",
        operation=operation,
        streamed=False,
        parameters={"batch_id": a.RESPONSE_ID},
        unrecorded=frozenset({"metadata"}),
        paths={**IDENTITY, **USAGE, **_STATUS},
        details=_batch_details,
        unfinished=_batch_unfinished,
        **described,
    )


def _batch_id(params: Params) -> str | None:
    return str(params.get("batch_id"))


def _job(method: str, operation: str, *positional: str, **described: Any) -> Endpoint:
    return pair(
        "fine_tuning.jobs.jobs",
        f"Jobs.{method}",
        operation=operation,
        streamed=False,
        optional=method in ("pause", "resume"),
        positional=positional,
        parameters={"fine_tuning_job_id": a.RESPONSE_ID},
        unrecorded=frozenset({"metadata", "integrations"}),
        paths={a.RESPONSE_ID: "id", **_STATUS, **_REQUEST_ID},
        details=failure,
        **described,
    )


def _eval_details(run: Any) -> Mapping[a.Attribute, Any]:
    """The tokens of a run's models, where it says them; they may be several, so that they have no one price."""
    used = [usage for usage in listed(get(run, "per_model_usage")) if isinstance(get(usage, "total_tokens"), int)]
    values = failure(run)
    if used and not _eval_unfinished(run):
        values[a.INPUT_TOKENS] = sum(get(usage, "prompt_tokens") or 0 for usage in used)
        values[a.OUTPUT_TOKENS] = sum(get(usage, "completion_tokens") or 0 for usage in used)
        values[a.CACHE_READ_TOKENS] = sum(get(usage, "cached_tokens") or 0 for usage in used)
        if len(used) > 1:
            values[a.COST_STATUS] = "partial"
    return values


def _eval_unfinished(run: Any) -> str | None:
    return str(get(run, "id")) if get(run, "status") in ("queued", "in_progress") else None


def _eval(method: str, operation: str, *positional: str, **described: Any) -> Endpoint:
    return pair(
        "evals.runs.runs",
        f"Runs.{method}",
        operation=operation,
        streamed=False,
        positional=positional,
        parameters={"run_id": a.RESPONSE_ID},
        unrecorded=frozenset({"metadata"}),
        paths={a.RESPONSE_MODEL: "model", a.RESPONSE_ID: "id", **_STATUS, **_REQUEST_ID},
        details=_eval_details,
        unfinished=_eval_unfinished,
        **described,
    )


def _run_id(params: Params) -> str | None:
    return str(params.get("run_id"))


def _index(module: str, method: str, *unrecorded: str) -> Endpoint:
    """What has files embedded, so that they can be searched."""
    return pair(
        f"vector_stores.{module}",
        method,
        operation="embed_file",
        subject="",
        streamed=False,
        positional=("vector_store_id",),
        parameters={"vector_store_id": a.DATA_SOURCE_ID},
        unrecorded=frozenset({"attributes", *unrecorded}),
        paths={a.RESPONSE_ID: "id", **_STATUS, **_REQUEST_ID},
        details=failure,
    )


def _documents(page: Any) -> list[dict[str, Any]]:
    """What was found, in the conventions' schema."""
    return [
        {
            "id": get(found, "file_id"),
            "score": get(found, "score"),
            "content": "\n".join(str(get(part, "text")) for part in listed(get(found, "content"))),
        }
        for found in listed(get(page, "data"))
    ]


def _search(method: str, **described: Any) -> Endpoint:
    return Endpoint(
        operation="retrieval",
        module="openai.resources.vector_stores.vector_stores",
        method=f"{method}.search",
        subject="vector_store_id",
        streamed=False,
        positional=("vector_store_id",),
        parameters={"vector_store_id": a.DATA_SOURCE_ID, "max_num_results": a.RETRIEVAL_TOP_K},
        unrecorded=frozenset({"extra_headers", "extra_query", "extra_body", "timeout"}),
        paths=_REQUEST_ID,
        content={"query": a.RETRIEVAL_QUERY},
        result=a.RETRIEVAL_DOCUMENTS,
        result_of=_documents,
        **described,
    )


def _session_request(params: Params) -> Mapping[a.Attribute, Any]:
    model = get(params.get("session"), "model")
    return {a.REQUEST_MODEL: model} if isinstance(model, str) else {}


def _session(module: str, method: str, *positional: str) -> Endpoint:
    """What starts a model that then talks to somebody else: a browser, a telephone."""
    return pair(
        module,
        method,
        operation="start_session",
        optional=True,
        streamed=False,
        positional=positional,
        parameters={"call_id": a.RESPONSE_ID, "session_id": a.RESPONSE_ID, "max_output_tokens": a.MAX_TOKENS},
        unrecorded=frozenset({"sdp", "session", "transport", "instructions", "tools", "audio", "prompt", "tracing"}),
        paths={a.RESPONSE_ID: "session.id", **_REQUEST_ID},
        details=binary,
        details_of_request=_session_request,
    )


_CALLED = _session("realtime.calls", "Calls.create")

ENDPOINTS = (
    _batch("create", "create_batch"),
    _batch("retrieve", "fetch_response", positional=("batch_id",), follows=_batch_id, constants=_FREE),
    _batch("cancel", "cancel_batch", positional=("batch_id",), follows=_batch_id, constants=_FREE),
    _job("create", "create_fine_tuning_job"),
    _job("cancel", "cancel_fine_tuning_job", "fine_tuning_job_id", constants=_FREE),
    _job("pause", "pause_fine_tuning_job", "fine_tuning_job_id", constants=_FREE),
    _job("resume", "resume_fine_tuning_job", "fine_tuning_job_id"),
    pair(
        "fine_tuning.alpha.graders",
        "Graders.run",
        operation="grade",
        streamed=False,
        unrecorded=frozenset({"item", "model_sample"}),
        paths=_REQUEST_ID,
        messages=asked("model_sample"),
    ),
    _eval("create", "create_eval_run", "eval_id"),
    _eval("retrieve", "fetch_response", "run_id", follows=_run_id, constants=_FREE),
    _eval("cancel", "cancel_eval_run", "run_id", follows=_run_id, constants=_FREE),
    _index("files", "Files.create", "file_id"),
    _index("file_batches", "FileBatches.create", "files"),
    # async, it gives a paginator at once, which asks when it is awaited
    _search("VectorStores"),
    _search("AsyncVectorStores"),
    _CALLED,
    # in 2.x a class of its own stands in the place of the other
    replace(_CALLED, module="openai.lib._realtime", method="_Calls.create", async_method="_AsyncCalls.create"),
    _session("realtime.calls", "Calls.accept", "call_id"),
    _session("live.live", "Live.create"),
    _session("live.sessions", "Sessions.accept", "session_id"),
    _session("live.sessions", "Sessions.fork", "session_id"),
    pair(
        "content_provenance_checks",
        "ContentProvenanceChecks.create",
        operation="check_provenance",
        optional=True,
        streamed=False,
        unrecorded=frozenset({"file"}),
        paths=_REQUEST_ID,
        messages=asked(file="image"),
    ),
    pair(
        "audio.voices",
        "Voices.create",
        operation="create_voice",
        optional=True,
        streamed=False,
        unrecorded=frozenset({"audio_sample", "consent", "name"}),
        paths={a.RESPONSE_ID: "id", **_REQUEST_ID},
        messages=asked(audio_sample="audio"),
    ),
)
