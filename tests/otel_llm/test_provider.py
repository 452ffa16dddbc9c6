"""Reading responses by paths."""

from __future__ import annotations

from types import SimpleNamespace as Thing
from typing import Any

import pytest

from otel_llm import attributes as a
from otel_llm.provider import Endpoint


def _endpoint(paths: Any) -> Endpoint:
    return Endpoint(
        module="m",
        method="C.m",
        async_method="A.m",
        operation="chat",
        parameters={},
        unrecorded=frozenset(),
        paths=paths,
    )


WHOLE = Thing(
    model="m1",
    usage=Thing(prompt=10, thoughts=3, answer=4, details=None),
)
PATHS = {
    a.RESPONSE_MODEL: "model",
    a.INPUT_TOKENS: "usage.prompt",
    a.OUTPUT_TOKENS: ("usage.answer", "usage.thoughts"),
    a.REASONING_TOKENS: "usage.thoughts",
    a.CACHE_READ_TOKENS: "usage.details.cached",
}


def test_paths_are_followed_and_summed() -> None:
    """A value, a sum of two paths; one path may fill two attributes; None is left out."""
    assert _endpoint(PATHS).read(WHOLE) == {
        "gen_ai.response.model": "m1",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.reasoning.output_tokens": 3,
    }


@pytest.mark.parametrize(
    "response",
    [
        Thing(model="m1", usage=Thing(prompt=10)),
        {"model": "m1", "usage": {"prompt": 10}},
        {"model": "m1", "usage": Thing(prompt=10), "more": []},
    ],
)
def test_what_is_missing_is_left_out(response: Any) -> None:
    """Objects of an older SDK without some of the fields, and plain mappings."""
    assert _endpoint(PATHS).read(response) == {"gen_ai.response.model": "m1", "gen_ai.usage.input_tokens": 10}


def test_one_part_of_a_sum_is_the_sum() -> None:
    """Thoughts alone are output."""
    assert _endpoint(PATHS).read(Thing(usage=Thing(thoughts=3)))["gen_ai.usage.output_tokens"] == 3
