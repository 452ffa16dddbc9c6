"""Gemini's token counts, by modality where the answer splits them so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.provider import fields, get

#: Where a modality's tokens are counted, among the input, the output and what was cached.
INPUT = {
    "TEXT": a.TEXT_INPUT_TOKENS,
    "IMAGE": a.IMAGE_INPUT_TOKENS,
    "AUDIO": a.AUDIO_INPUT_TOKENS,
    "VIDEO": a.VIDEO_INPUT_TOKENS,
    "DOCUMENT": a.DOCUMENT_INPUT_TOKENS,
}
OUTPUT = {"TEXT": a.TEXT_OUTPUT_TOKENS, "IMAGE": a.IMAGE_OUTPUT_TOKENS, "AUDIO": a.AUDIO_OUTPUT_TOKENS}
CACHED = {
    "TEXT": a.TEXT_CACHE_READ_TOKENS,
    "IMAGE": a.IMAGE_CACHE_READ_TOKENS,
    "AUDIO": a.AUDIO_CACHE_READ_TOKENS,
}

#: The counts of ``usage_metadata``; the results of the provider's own tools are input as well.
PATHS: Mapping[a.Attribute, str | tuple[str, ...]] = {
    a.INPUT_TOKENS: ("usage_metadata.prompt_token_count", "usage_metadata.tool_use_prompt_token_count"),
    a.TOOL_USE_TOKENS: "usage_metadata.tool_use_prompt_token_count",
    a.OUTPUT_TOKENS: ("usage_metadata.candidates_token_count", "usage_metadata.thoughts_token_count"),
    a.REASONING_TOKENS: "usage_metadata.thoughts_token_count",
    a.CACHE_READ_TOKENS: "usage_metadata.cached_content_token_count",
    a.REPORTED_TOTAL_TOKENS: "usage_metadata.total_token_count",
}
_BY_MODALITY = (
    ("prompt_tokens_details", INPUT),
    ("tool_use_prompt_tokens_details", INPUT),
    ("candidates_tokens_details", OUTPUT),
    ("cache_tokens_details", CACHED),
)


def split(
    entries: Any, attributes: Mapping[str, a.Attribute], values: dict[a.Attribute, Any], count: str = "token_count"
) -> None:
    """Adds the counts of a list of modalities."""
    for entry in entries or ():
        modality, tokens = get(entry, "modality"), get(entry, count)
        name = modality if isinstance(modality, str) else str(getattr(modality, "value", modality))
        attribute = attributes.get(str.upper(name))
        if attribute is not None and tokens is not None:
            values[attribute] = values.get(attribute, 0) + tokens


def modalities(usage: Any) -> dict[a.Attribute, Any]:
    """The counts by modality; an output of none where the API leaves a zero out."""
    values: dict[a.Attribute, Any] = {}
    if usage is not None:
        held = fields(usage)
        if held.get("candidates_token_count") is None and held.get("thoughts_token_count") is None:
            values[a.OUTPUT_TOKENS] = 0
        for name, attributes in _BY_MODALITY:
            split(held.get(name), attributes, values)
    return values


def counts(usage: Any) -> dict[a.Attribute, Any]:
    """The counts of a usage by itself, as the paths read them."""
    values: dict[a.Attribute, Any] = {}
    for attribute, paths in PATHS.items():
        found = [get(usage, path.partition(".")[2]) for path in ((paths,) if isinstance(paths, str) else paths)]
        if any(count is not None for count in found):
            values[attribute] = sum(filter(None, found))
    return values


#: Fields of ``usage_metadata`` that are added up over several requests: counts, and lists of counts.
_COUNTS = (
    "prompt_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "tool_use_prompt_token_count",
    "cached_content_token_count",
    "total_token_count",
)
_LISTS = tuple(name for name, _ in _BY_MODALITY)


class Total:
    """The usage of several requests together, in the fields of one."""

    def __init__(self, usages: Iterable[Any]) -> None:
        usages = [usage for usage in usages if usage is not None]
        for name in _COUNTS:
            counts = [count for usage in usages if (count := get(usage, name)) is not None]
            setattr(self, name, sum(counts) if counts else None)
        for name in _LISTS:
            setattr(self, name, [entry for usage in usages for entry in get(usage, name) or ()])
        self.traffic_type = get(usages[-1], "traffic_type") if usages else None
