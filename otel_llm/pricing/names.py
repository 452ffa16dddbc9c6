"""The many ways to write the name of a provider or a model, brought to those of the price table."""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Names of the GenAI semantic conventions, old and new, and of SDKs, with the table's name for them.
PROVIDERS: dict[str, str] = {
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "gemini": "google",
    "gen_ai": "google",
    "google_genai": "google",
    "vertex_ai": "google",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure_openai": "azure",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
    "xai": "x-ai",
}

_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])$")
_SNAPSHOT = re.compile(r"-(?:20\d\d-\d\d-\d\d|00\d)$")


def provider_name(name: str) -> str:
    """The table's name of a provider; an unknown name is returned in lower case."""
    name = name.strip().lower()
    return PROVIDERS.get(name, name)


def model_names(name: str) -> Iterator[str]:
    """Names to look a model up by, the most exact first.

    ``publishers/google/models/gemini-2.5-flash-001`` gives itself, ``gemini-2.5-flash-001`` and ``gemini-2.5-flash``.
    A fine-tuned model never falls back to the model it was made from: it has another price.
    """
    name = name.strip().lower()
    yield name
    if "/" in name:
        name = name.rpartition("/")[2]
        yield name
    if name.startswith("ft:") or ".ft-" in name:
        return
    plain = _COMPACT_DATE.sub(r"-\1-\2-\3", name.partition("@")[0].replace("gpt-35-", "gpt-3.5-"))
    if plain != name:
        yield plain
    snapshot = _SNAPSHOT.sub("", plain)
    if snapshot != plain:
        yield snapshot
