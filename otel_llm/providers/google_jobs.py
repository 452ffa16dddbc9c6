"""Google's endpoints for work in bulk and ahead of time: batches, caches, fine-tuning, files that are embedded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message
from otel_llm.provider import Endpoint, Params, Sent, get
from otel_llm.providers import google_messages as m
from otel_llm.providers.google_parts import either
from otel_llm.providers.google_shared import FREE, error_code, pair, status
from otel_llm.providers.google_tools import tool_definitions
from otel_llm.providers.google_usage import Total, counts, modalities

_WAITING = ("queued", "in_progress", "paused")


def _key(name: Any) -> str | None:
    """The id of a job: the end of its name, which may be given without what comes before."""
    return name.rpartition("/")[2] if isinstance(name, str) and name else None


def _named(params: Params) -> str | None:
    return _key(params.get("name"))


def _running(job: Any) -> str | None:
    return _key(get(job, "name")) if status(get(job, "state")) in _WAITING else None


def _standing(job: Any) -> dict[a.Attribute, Any]:
    """How a job stands, and why it failed."""
    values: dict[a.Attribute, Any] = {}
    if (state := status(get(job, "state"))) is not None:
        values[a.RESPONSE_STATUS] = state
        if state == "failed":
            values[a.ERROR_TYPE] = error_code(get(job, "error"))
    return values


# Batches ---------------------------------------------------------------------------------------------------------


def _inlined(source: Any) -> list[Any]:
    """The requests of a batch that come with it; others lie in a file."""
    if isinstance(source, list | tuple):
        return list(source)
    requests = either(source, "inlined_requests", "inlinedRequests")
    if isinstance(requests, list | tuple):
        return list(requests)
    return [requests] if requests is not None else []


def _batched(params: Params) -> Sent:
    """What the requests of a batch say, one after the other."""
    instructions: list[Message] = []
    messages: list[Message] = []
    for request in _inlined(params.get("src")):
        config = get(request, "config")
        instructions += m.messages(either(config, "system_instruction", "systemInstruction"), "system")
        messages += m.messages(get(request, "contents"))
    return Sent(instructions, messages)


def _batch_request(params: Params) -> Mapping[a.Attribute, Any]:
    requests = _inlined(params.get("src"))
    return {a.BATCH_REQUESTS: len(requests)} if requests else {}


def _batch(job: Any) -> Mapping[a.Attribute, Any]:
    """How a batch stands, and what its answers used, where it brings them; batches have prices of their own."""
    values = _standing(job)
    done = get(job, "completion_stats")
    if done is not None:
        failed = get(done, "failed_count") or 0
        values[a.BATCH_REQUESTS] = (get(done, "successful_count") or 0) + failed
        values[a.BATCH_FAILED] = failed
    destination = get(job, "dest")
    answers = get(destination, "inlined_responses")
    vectors = get(destination, "inlined_embed_content_responses")
    if answers or vectors:
        answered = list(answers or vectors)
        values[a.BATCH_REQUESTS] = len(answered)
        values[a.BATCH_FAILED] = sum(get(one, "error") is not None for one in answered)
        values[a.SERVICE_TIER_GIVEN] = "batch"
        values.update(_used(answers) if answers else _embedded(answered))
    return values


def _used(answers: Iterable[Any]) -> dict[a.Attribute, Any]:
    usages = [usage for one in answers if (usage := get(get(one, "response"), "usage_metadata")) is not None]
    if not usages:
        return {}
    total = Total(usages)
    return counts(total) | modalities(total)


def _embedded(answers: Iterable[Any]) -> dict[a.Attribute, Any]:
    tokens = [count for one in answers if (count := get(get(one, "response"), "token_count")) is not None]
    return {a.INPUT_TOKENS: sum(tokens), a.OUTPUT_TOKENS: 0} if tokens else {}


def _answers(job: Any) -> list[Message]:
    return [
        said
        for one in get(get(job, "dest"), "inlined_responses") or ()
        if (response := get(one, "response")) is not None
        for said in m.output(response)
    ]


def _of_batches(method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "batches",
        f"Batches.{method}",
        operation=operation,
        streamed=False,
        config="config",
        unrecorded=frozenset({"src", "dest", "name"}),
        constants=FREE,
        paths={a.RESPONSE_ID: "name", a.RESPONSE_MODEL: "model"},
        details=_batch,
        **described,
    )


# Caches ----------------------------------------------------------------------------------------------------------


def _cached(cache: Any) -> Mapping[a.Attribute, Any]:
    """What a cache entry holds: read once as input, and kept at a price by the hour that is not known here."""
    tokens = get(get(cache, "usage_metadata"), "total_token_count")
    if tokens is None:
        return {}
    return {a.INPUT_TOKENS: tokens, a.CACHE_WRITE_TOKENS: tokens, a.OUTPUT_TOKENS: 0, a.COST_STATUS: "partial"}


# Tuning ----------------------------------------------------------------------------------------------------------


def _of_tunings(method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "tunings",
        f"Tunings.{method}",
        operation=operation,
        streamed=False,
        config="config",
        unrecorded=frozenset({"name", "training_dataset", "validation_dataset"}),
        details=_standing,
        **{"paths": {a.RESPONSE_ID: "name"}, **described},
    )


# Files -----------------------------------------------------------------------------------------------------------


def _of_stores(method: str, operation: str, *unrecorded: str) -> Endpoint:
    return pair(
        "file_search_stores",
        f"FileSearchStores.{method}",
        operation=operation,
        subject="file_search_store_name",
        optional=True,
        streamed=False,
        config="config",
        parameters={"file_search_store_name": a.DATA_SOURCE_ID},
        unrecorded=frozenset(unrecorded),
        paths={a.RESPONSE_ID: "name"},
        unfinished=lambda operation: None if get(operation, "done") else _key(get(operation, "name")),
    )


ENDPOINTS = (
    _of_batches(
        "create", "create_batch", messages=_batched, details_of_request=_batch_request, unfinished=_running
    ),
    _of_batches(
        "create_embeddings", "create_batch", optional=True, messages=_batched, details_of_request=_batch_request,
        unfinished=_running,
    ),
    _of_batches(
        "get", "fetch_response", follows=_named, unfinished=_running, output_messages=_answers,
    ),
    _of_batches("cancel", "cancel_batch", parameters={"name": a.RESPONSE_ID}),
    pair(
        "caches",
        "Caches.create",
        operation="create_cache",
        streamed=False,
        config="config",
        unrecorded=frozenset({"system_instruction", "tools", "tool_config"}),
        paths={a.RESPONSE_MODEL: "model", a.CACHED_CONTENT: "name"},
        messages=m.sent,
        tool_definitions=tool_definitions,
        details=_cached,
    ),
    _of_tunings(
        "tune", "create_fine_tuning_job", subject="base_model", parameters={"base_model": a.REQUEST_MODEL},
        unfinished=_running,
    ),
    _of_tunings("get", "fetch_response", constants=FREE, follows=_named, unfinished=_running),
    _of_tunings(
        "cancel", "cancel_fine_tuning_job", constants=FREE, parameters={"name": a.RESPONSE_ID}, paths={},
    ),
    pair("tunings", "Tunings.validate_reward", operation="validate_reward", optional=True, streamed=False),
    _of_stores("import_file", "embed_file", "file_name"),
    _of_stores("upload_to_file_search_store", "embed_file", "file"),
)  # fmt: skip
