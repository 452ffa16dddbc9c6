"""What OpenAI's endpoints share: how they are named, what is never recorded, and what hosts say a call cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, get

#: Parameters that say how a request travels.
TRANSPORT = frozenset(
    {"model", "stream", "stream_options", "extra_headers", "extra_query", "extra_body", "timeout", "betas"}
)

#: What most answers say of themselves.
IDENTITY: dict[a.Attribute, str] = {
    a.RESPONSE_MODEL: "model",
    a.RESPONSE_ID: "id",
    a.PROVIDER_REQUEST_ID: "_request_id",
}

#: The usage of everything but chat, legacy completions and embeddings.
USAGE: dict[a.Attribute, str] = {
    a.INPUT_TOKENS: "usage.input_tokens",
    a.OUTPUT_TOKENS: "usage.output_tokens",
    a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
    a.CACHE_READ_TOKENS: "usage.input_tokens_details.cached_tokens",
    a.CACHE_WRITE_TOKENS: "usage.input_tokens_details.cache_write_tokens",
    a.REASONING_TOKENS: "usage.output_tokens_details.reasoning_tokens",
}

_UNKNOWN: Any = object()
_NONE: Mapping[str, Any] = {}

#: Fields of an answer that :func:`beside` reads, and of its usage.
_SAID = frozenset({"provider", "moderation"})
_USED = frozenset({"cost", "estimated_cost", "cost_in_usd_ticks"})

#: Units of xAI's cost in a dollar.
_TICKS = 10**10


def pair(module: str, method: str, *, asynchronous: bool = True, **described: Any) -> Endpoint:
    """A method below ``openai.resources`` and its async twin, whose class is named after it."""
    return Endpoint(
        module=f"openai.resources.{module}",
        method=method,
        async_method=f"Async{method}" if asynchronous else None,
        unrecorded=TRANSPORT | described.pop("unrecorded", frozenset()),
        **described,
    )


def extra(thing: Any) -> Mapping[str, Any]:
    """Fields of an answer that OpenAI's own API does not have."""
    if (found := getattr(thing, "__pydantic_extra__", _UNKNOWN)) is _UNKNOWN:
        found = getattr(thing, "model_extra", None)
    return found or _NONE


def _amount(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


def reported(response: Any) -> dict[a.Attribute, Any]:
    """What a router says of an answer: who gave it, and what it cost.

    OpenRouter's ``usage.cost`` is in credits, which are dollars; where the caller's own key is used, it is the
    router's fee, and the model's provider charges ``upstream_inference_cost`` besides. Perplexity gives an object,
    DeepInfra ``estimated_cost``, xAI ten-billionths of a dollar.
    """
    values: dict[a.Attribute, Any] = {}
    said, usage = extra(response), extra(getattr(response, "usage", None))
    if not said and not usage:  # as from OpenAI itself
        return values
    if isinstance(upstream := said.get("provider"), str):
        values[a.UPSTREAM_PROVIDER] = upstream
    currency = "USD"
    cost = usage.get("cost")
    if isinstance(cost, dict):
        currency, cost = cost.get("currency") or currency, cost.get("total_cost")
    total = _amount(cost)
    if total is not None and usage.get("is_byok") is True:
        total += _amount(get(usage.get("cost_details"), "upstream_inference_cost")) or 0.0
    if total is None:
        total = _amount(usage.get("estimated_cost"))
    if total is None and (ticks := _amount(usage.get("cost_in_usd_ticks"))) is not None:
        total = ticks / _TICKS
    if total is not None:
        values[a.COST_TOTAL] = total
        values[a.COST_CURRENCY] = str(currency)
        values[a.COST_SOURCE] = "provider"
        values[a.COST_STATUS] = "priced"
    return values


def moderated(results: Sequence[Any]) -> dict[a.Attribute, Any]:
    """Whether anything was flagged, and for what, over all that was shown to a moderator."""
    found: set[str] = set()
    for result in results:
        categories = get(result, "categories")
        marks = categories.model_dump(by_alias=True) if hasattr(categories, "model_dump") else categories or {}
        found.update(name for name, flagged in marks.items() if flagged is True)
    values: dict[a.Attribute, Any] = {a.MODERATION_FLAGGED: any(get(result, "flagged") for result in results)}
    if found:
        values[a.MODERATION_CATEGORIES] = sorted(found)
    return values


def moderated_beside(response: Any) -> dict[a.Attribute, Any]:
    """The same of a request and its answer, where moderation was asked for beside the answer."""
    moderation = getattr(response, "__dict__", _NONE).get("moderation")
    if moderation is None and (more := extra(response)):
        moderation = more.get("moderation")
    if moderation is None:
        return {}
    results: list[Any] = []
    for side in (get(moderation, "input"), get(moderation, "output")):
        results += get(side, "results") or ([side] if get(side, "categories") is not None else [])
    return moderated(results) if results else {}


def beside(response: Any) -> dict[a.Attribute, Any]:
    """What an answer says beside the model's: what a router reports of it, and what moderation found."""
    return {} if _usual(response) else {**reported(response), **moderated_beside(response)}


def _usual(response: Any) -> bool:
    """Whether nothing of that is there, as in OpenAI's own answers: told without reading any of it."""
    try:
        held = response.__dict__
        said, used = response.__pydantic_extra__, held["usage"].__pydantic_extra__
    except (AttributeError, KeyError):
        return False
    return (
        (not said or _SAID.isdisjoint(said)) and (not used or _USED.isdisjoint(used)) and held.get("moderation") is None
    )


def output_type(format: Any) -> Mapping[a.Attribute, Any]:
    """``gen_ai.output.type`` of a response format: a class or a JSON form asks for JSON."""
    kind = "json_schema" if isinstance(format, type) else get(format, "type")
    if kind in ("json_object", "json_schema"):
        return {a.OUTPUT_TYPE: "json"}
    return {a.OUTPUT_TYPE: "text"} if kind == "text" else {}


def failure(response: Any) -> dict[a.Attribute, Any]:
    """``error.type`` of work that failed although the request for it did not."""
    if get(response, "status") != "failed":
        return {}
    error = get(response, "error") or get(response, "last_error")
    return {a.ERROR_TYPE: str(get(error, "code") or "failed")}


def binary(response: Any) -> dict[a.Attribute, Any]:
    """What there is to say of a file: the id of its request."""
    id = request_id(response)
    return {} if id is None else {a.PROVIDER_REQUEST_ID: id}


def request_id(thing: Any) -> str | None:
    """The provider's id of the HTTP request of an error, of a response to be parsed, a stream or a file."""
    found = getattr(thing, "request_id", None)
    if found is None and (response := getattr(thing, "response", None)) is not None:
        found = response.headers.get("x-request-id")
    return found if isinstance(found, str) else None
