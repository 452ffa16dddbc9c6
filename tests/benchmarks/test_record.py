"""What the benchmarks find in spans, whatever the names are under which it stands there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan

from benchmarks.support import transport as t
from benchmarks.support.calls import BY_NAME
from benchmarks.support.record import contents

CALL = BY_NAME["openai chat"]


def _found(**attributes: Any) -> dict[str, Any]:
    span = ReadableSpan("a", attributes={name.replace("_", "."): value for name, value in attributes.items()})
    return contents([span], CALL, "What was sent.", "a prompt")


def test_a_span_of_our_own_shape_holds_everything() -> None:
    """Messages as JSON, tokens and cost as numbers."""
    found = _found(
        gen_ai_input_messages=json.dumps([{"role": "user", "parts": [{"content": "What was sent."}]}]),
        gen_ai_output_messages=json.dumps([{"parts": [{"content": t.ANSWER}]}]),
        gen_ai_usage_input=t.INPUT_TOKENS,
        gen_ai_usage_output=t.OUTPUT_TOKENS,
        x_cost_total=0.01,
        x_time_to_first_chunk=0.2,
        gen_ai_prompt_name="a prompt",
    )
    names = ("input", "output", "tokens", "cost", "prompt link")
    assert {name: found[name] for name in names} == dict.fromkeys(names, "full")


@pytest.mark.parametrize(
    ("attributes", "name", "held"),
    [
        ({"output": "omega"}, "output", "part"),
        ({"output": t.ANSWER[:-5]}, "output", "part"),
        ({"input": "What was"}, "input", ""),
        ({"usage": json.dumps({"in": t.INPUT_TOKENS, "out": t.OUTPUT_TOKENS})}, "tokens", "full"),
        ({"usage_in": t.INPUT_TOKENS, "usage_out": t.OUTPUT_TOKENS - t.REASONING_TOKENS}, "tokens", "part"),
        ({"usage_out": t.OUTPUT_TOKENS}, "tokens", ""),
        ({"request_in": t.INPUT_TOKENS, "request_out": t.OUTPUT_TOKENS}, "tokens", ""),
        ({"cost": 0.0}, "cost", ""),
        ({"cost_status": "unpriced"}, "cost", ""),
        ({"prompt": "another"}, "prompt link", ""),
    ],
)
def test_a_part_is_not_the_whole(attributes: dict[str, Any], name: str, held: str) -> None:
    """The last chunk alone, output without thoughts, a cost of nothing."""
    assert _found(**attributes)[name] == held
