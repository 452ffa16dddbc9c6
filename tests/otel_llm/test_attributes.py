"""The dictionary and what derives from it."""

from __future__ import annotations

import re

from otel_llm import attributes
from otel_llm.attributes import DICTIONARY
from otel_llm.providers import PROVIDERS
from tools.attributes import TARGET, text


def test_the_page_is_current() -> None:
    """docs/attributes.md is what the dictionary says."""
    assert TARGET.read_text() == text(), "stale: uv run python tools/attributes.py"


def test_names_and_columns_are_unique_and_well_formed() -> None:
    """No name, alias or column twice; own names below otel_llm."""
    names = [attribute.name for attribute in DICTIONARY] + [alias for item in DICTIONARY for alias in item.aliases]
    assert len(names) == len(set(names))
    columns = [attribute.column for attribute in attributes.columns()]
    assert len(columns) == len(set(columns))
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", str(column)) for column in columns)
    for attribute in DICTIONARY:
        assert attribute.name.startswith("otel_llm.") == (attribute.source == "own"), attribute.name
        assert bool(attribute.column) == bool(attribute.type), attribute.name
        assert attribute.sentence.endswith("."), attribute.name
        assert attribute.name.endswith(".") == (attribute.kind == "map"), attribute.name


def test_content_has_no_column_but_what_is_named() -> None:
    """Messages never become columns of the light table."""
    assert {item.name for item in DICTIONARY if item.content and item.column} == {
        "gen_ai.prompt.variable.",
        "otel_llm.request.",
    }


def test_endpoints_speak_the_dictionary() -> None:
    """Every attribute that a provider fills is in the dictionary."""
    for provider in PROVIDERS:
        for endpoint in provider.endpoints:
            for attribute in [*endpoint.parameters.values(), *endpoint.paths, *endpoint.constants]:
                assert attributes.BY_NAME[attribute.name] is attribute
