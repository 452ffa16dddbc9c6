"""Our table and arithmetic against genai-prices itself: every model, random usages, tiers and dates."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot

from otel_llm.pricing import PriceBook, Usage
from otel_llm.pricing.table import find, read_table

TABLE = read_table()
TOOL = Path(__file__).parents[2] / "tools" / "prices.py"

#: Four parts, each rounded to nine digits.
ROUNDING = Decimal("2e-9")

THEIRS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "output_reasoning_tokens",
    "audio_input": "input_audio_tokens",
    "image_input": "input_image_tokens",
    "video_input": "input_video_tokens",
    "audio_cache_read": "cache_audio_read_tokens",
    "image_cache_read": "cache_image_read_tokens",
    "audio_output": "output_audio_tokens",
    "image_output": "output_image_tokens",
}


def some_usage(dice: random.Random) -> Usage:
    """Counts that fit together, from none to 300 000 tokens of input."""
    total = dice.choice([0, 1, 17, 1000, 128_000, 128_001, 200_000, 200_001, 272_000, 272_001, dice.randrange(300_000)])
    output = dice.choice([0, 1, 500, dice.randrange(60_000)])
    shape = dice.randrange(4)
    if shape == 0:
        return Usage(input=total, output=output)
    read = dice.randrange(total + 1)
    write = dice.randrange(total - read + 1) if shape == 1 else 0
    thought = dice.randrange(output + 1)
    if shape < 3:
        return Usage(total, output, read, write, thought)
    audio, image, video = (dice.randrange((total - read) // 3 + 1) for _ in range(3))
    audio_read, image_read = (dice.randrange(read // 2 + 1) for _ in range(2))
    return Usage(
        total, output, read, write, 0, audio + audio_read, image + image_read, video,
        audio_read, image_read, dice.randrange(output // 2 + 1), dice.randrange(output // 2 + 1),
    )  # fmt: skip


def some_name(provider: str, entry: Mapping[str, Any]) -> str:
    """A name that means the model: its id, or where the id is only a label, a part of its condition."""
    clauses = entry.get("match", "")
    texts = [clause[1:] for clause in ([clauses] if isinstance(clauses, str) else clauses) if isinstance(clause, str)]
    for name in (entry["id"].lower(), *texts):
        found = find(TABLE, provider, name)
        if found is not None and found[0]["id"] == entry["id"]:
            return name
    raise AssertionError(f"no name finds {entry['id']} of {provider}")


@pytest.mark.parametrize("provider", TABLE["providers"])
def test_every_model_costs_what_genai_prices_says(provider: str) -> None:
    book = PriceBook(TABLE)
    dice = random.Random(f"otel_llm {provider}")
    snapshot = get_snapshot()
    priced = 0
    for entry in TABLE["providers"][provider]["models"]:
        tiers = ["", *sorted({each["tier"] for each in entry.get("tiers", ())})]
        name = some_name(provider, entry)
        _, theirs = snapshot.find_provider_model(name, None, provider, None)
        assert theirs.id == entry["id"], "the same model is found"
        for tier in tiers:
            for _ in range(8):
                at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randrange(60 * 24 * 800))
                usage = some_usage(dice)
                context = {"processing" if tier == "batch" else "service_tier": tier} if tier else None
                expected = genai_prices.calc_price(
                    genai_prices.Usage(**{THEIRS[kind]: count for kind, count in usage._asdict().items()}),
                    name,
                    provider_id=provider,
                    genai_request_timestamp=at,
                    price_context=context,
                )
                ours = book.cost(usage, provider, name, at, tier)
                where = (name, tier, at, usage)
                if ours.total is None:
                    assert expected.total_price == 0, where
                    continue
                priced += 1
                assert abs(ours.total - expected.total_price) <= ROUNDING, where
                assert abs(ours.output - expected.output_price) <= ROUNDING, where
                assert ours.total == ours.input + ours.cached + ours.cache_write + ours.output, where
    assert priced > 8 * len(TABLE["providers"][provider]["models"]) * 0.7, "most of the grid was compared"


def test_the_table_is_current_with_the_installed_genai_prices() -> None:
    run = subprocess.run([sys.executable, str(TOOL), "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_table_stays_small() -> None:
    assert (TOOL.parents[1] / "otel_llm" / "pricing" / "prices.json").stat().st_size < 200_000
