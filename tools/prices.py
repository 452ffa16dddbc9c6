"""Write otel_llm/pricing/prices.json from the installed genai-prices; ``--check`` fails when the file is stale.

Run it after raising the version of genai-prices in the lock file. The table keeps token prices only (USD per million
tokens, as decimal strings); fees by search, character, page, second or request are left out. So are OpenRouter, which
says its own cost in each answer, and Perplexity, whose fee by request would make the token prices a false total.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import genai_prices
from genai_prices.data import providers
from genai_prices.types import (
    ClauseAnd,
    ClauseContains,
    ClauseEndsWith,
    ClauseEquals,
    ClauseOr,
    ClauseRegex,
    ClauseStartsWith,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from otel_llm.pricing.rates import Price
from otel_llm.pricing.table import Clause

TARGET = Path(__file__).parent.parent / "otel_llm" / "pricing" / "prices.json"

#: Providers of Gemini and OpenAI models, and hosts that speak OpenAI's API.
PROVIDERS = (
    "google", "openai", "azure", "anthropic", "cerebras", "deepseek", "fireworks", "groq", "mistral", "moonshotai",
    "together", "x-ai",
)  # fmt: skip

#: genai-prices' names of the token prices that a call's usage can tell apart, and ours.
BUCKETS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "input_video_mtok": "video_input",
    "cache_audio_read_mtok": "audio_cache_read",
    "cache_image_read_mtok": "image_cache_read",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
}


def amount(price: Decimal) -> str:
    """A price as the shortest decimal, to nine digits, which is what a Decimal(18, 9) column keeps a token."""
    return f"{round(price, 9).normalize():f}"


def bucket(price: Decimal | TieredPrices) -> Price:
    """One price, or ``[base, [start, price], …]`` where it rises with the size of the request."""
    if isinstance(price, TieredPrices):
        steps: list[str | list[int | str]] = [[tier.start, amount(tier.price)] for tier in price.tiers]
        return [amount(price.base), *steps]
    return amount(price)


def prices(price: ModelPrice) -> dict[str, Any]:
    """The token prices among a model's prices."""
    found = {ours: getattr(price, theirs) for theirs, ours in BUCKETS.items()}
    return {name: bucket(value) for name, value in found.items() if value is not None}


def moment(constraint: object) -> dict[str, Any]:
    """When a price holds: from a date on, or daily between two half hours, UTC."""
    if constraint is None:
        return {}
    if isinstance(constraint, StartDateConstraint):
        return {"from": constraint.start_date.isoformat()}
    if isinstance(constraint, TimeOfDateConstraint):
        return {"hours": [half_hour(constraint.start_time), half_hour(constraint.end_time)]}
    raise TypeError(f"A price constraint of an unknown kind: {constraint!r}. Teach tools/prices.py to write it.")


def half_hour(value: time) -> int:
    """A time of day as the number of its half hour; prices are looked up once a half hour."""
    if value.minute % 30 or value.second or value.utcoffset():
        raise ValueError(
            f"A price changes at {value}, not on a half hour UTC: make PriceBook look prices up more often."
        )
    return value.hour * 2 + value.minute // 30


def clause(match: object) -> Clause:
    """A condition on the model's name, as otel_llm/pricing/table.py reads it."""
    if isinstance(match, ClauseOr):
        return ["any", *map(clause, match.or_)]
    if isinstance(match, ClauseAnd):
        return ["all", *map(clause, match.and_)]
    if isinstance(match, ClauseEquals):
        return f"={match.equals.lower()}"
    if isinstance(match, ClauseStartsWith):
        return f"^{match.starts_with.lower()}"
    if isinstance(match, ClauseEndsWith):
        return f"${match.ends_with.lower()}"
    if isinstance(match, ClauseContains):
        return f"*{match.contains.lower()}"
    if isinstance(match, ClauseRegex):
        return f"/{match.regex}"
    raise TypeError(f"A condition of an unknown kind: {match!r}. Teach tools/prices.py to write it.")


def tiers(model: ModelInfo) -> Iterator[dict[str, Any]]:
    """The prices of service tiers, of batch processing and of other ways to ask for the same model."""
    for variant in model.price_variants or ():
        ((key, value),) = variant.when.items()
        if key in ("service_tier", "processing"):
            yield {"tier": value, **moment(variant.constraint), "prices": prices(variant.prices)}


def entry(model: ModelInfo) -> dict[str, Any]:
    """One model of the table; the last of its prices that holds applies, the first one else."""
    conditional = (
        [(None, model.prices)]
        if isinstance(model.prices, ModelPrice)
        else [(price.constraint, price.prices) for price in model.prices]
    )
    out: dict[str, Any] = {"id": model.id, "match": clause(model.match)}
    if out["match"] == f"={model.id.lower()}":
        del out["match"]
    out["prices"] = [{**moment(when), **prices(price)} for when, price in conditional]
    if variants := list(tiers(model)):
        out["tiers"] = variants
    return out


def listing(provider: Provider) -> dict[str, Any]:
    """One provider of the table."""
    fallback = [name for name in provider.fallback_model_providers or () if name in PROVIDERS]
    return {**({"fallback": fallback} if fallback else {}), "models": [entry(model) for model in provider.models]}


def table() -> str:
    """The whole file: a line a model, so that a change of price is a change of one line."""
    by_id = {provider.id: provider for provider in providers}
    out = [f'{{"version": "genai-prices {genai_prices.__version__}",', '"providers": {']
    for number, name in enumerate(PROVIDERS):
        content = listing(by_id[name])
        fallback = f'"fallback": {json.dumps(content["fallback"])}, ' if "fallback" in content else ""
        out.append(f'"{name}": {{{fallback}"models": [')
        out.append(",\n".join(json.dumps(model, separators=(",", ":")) for model in content["models"]))
        out.append("]}," if number < len(PROVIDERS) - 1 else "]}")
    out.append("}}")
    return "\n".join(out) + "\n"


def main(arguments: list[str]) -> int:
    """Write the table, or with ``--check`` only say whether it is current."""
    text = table()
    if "--check" in arguments:
        if TARGET.exists() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(f"{TARGET.name} is stale: run python tools/prices.py and commit the result.\n")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
