"""The price book: known prices, names, tiers, dates, overrides and the interceptor."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from otel_llm import attributes as a
from otel_llm.errors import ConfigError
from otel_llm.pricing import Cost, PriceBook, Pricing, Usage
from otel_llm.pricing.book import CACHE_SIZE
from otel_llm.pricing.table import read_table

TODAY = date(2026, 11, 20)


@pytest.fixture
def book() -> PriceBook:
    return PriceBook(read_table())


def cost(book: PriceBook, provider: str, model: str, tier: str | None = None, **tokens: int) -> Cost:
    return book.cost(Usage(**tokens), provider, model, TODAY, tier)


KNOWN = [
    # provider, model, tokens, USD
    ("gcp.gemini", "gemini-2.5-flash", {"input": 1000, "output": 100}, "0.000550000"),
    ("gcp.gemini", "gemini-2.5-flash", {"input": 1000, "output": 400, "reasoning": 300}, "0.001300000"),
    ("gcp.gemini", "gemini-2.5-flash", {"input": 1000, "cache_read": 800, "output": 100}, "0.000334000"),
    ("gcp.gemini", "gemini-2.5-flash", {"input": 1000, "audio_input": 1000}, "0.001000000"),
    ("gcp.gemini", "gemini-2.5-flash", {"input": 1000}, "0.000300000"),
    ("gcp.gemini", "gemini-2.5-flash", {}, "0"),
    ("gcp.gemini", "gemini-2.5-flash", {"input": 10**9, "output": 10**9}, "2800"),
    ("gcp.gemini", "gemini-2.5-pro", {"input": 200_000, "output": 1000}, "0.260000000"),
    ("gcp.gemini", "gemini-2.5-pro", {"input": 200_001, "output": 1000}, "0.515002500"),
    ("gcp.gemini", "gemini-2.5-pro", {"input": 200_001, "cache_read": 200_001}, "0.050000250"),
    ("gcp.gemini", "gemini-2.5-flash-image", {"input": 10, "output": 1290, "image_output": 1290}, "0.038703000"),
    ("gcp.vertex_ai", "gemini-3.8-flash", {"input": 1_000_000, "output": 1_000_000}, "4.50"),
    ("gcp.gemini", "gemini-embedding-001", {"input": 1_000_000}, "0.15"),
    ("openai", "gpt-4o", {"input": 1000, "output": 500}, "0.007500000"),
    ("openai", "gpt-4o-2024-05-13", {"input": 1000, "output": 500}, "0.012500000"),
    ("openai", "gpt-4o-mini", {"input": 1000, "cache_read": 400, "output": 500}, "0.000420000"),
    ("openai", "gpt-5-mini", {"input": 1000, "output": 500, "reasoning": 500}, "0.001250000"),
    ("openai", "text-embedding-3-small", {"input": 1_000_000}, "0.02"),
    ("openai", "gpt-audio", {"input": 100, "audio_input": 90, "output": 50, "audio_output": 40}, "0.005565000"),
    ("azure.ai.openai", "gpt-4o-2024-08-06", {"input": 1000, "output": 500}, "0.007500000"),
    ("gcp.vertex_ai", "claude-sonnet-4@20250514", {"input": 1000, "cache_write": 1000}, "0.003750000"),
]


@pytest.mark.parametrize(("provider", "model", "tokens", "total"), KNOWN)
def test_known_costs(book: PriceBook, provider: str, model: str, tokens: dict[str, int], total: str) -> None:
    found = cost(book, provider, model, **tokens)
    assert found.total == Decimal(total)
    assert found.status == "priced"
    assert (found.currency, found.source, found.price_version) == ("USD", "local", book.version)


def test_the_price_of_the_sources_was_wrong(book: PriceBook) -> None:
    """They had Gemini 2.5 Flash at $0.075 / $0.30 per million tokens on 2025-11-06: 5.2 times too low for this call.

    That pair was the price of Gemini 2.0 Flash-Lite (and 1.5 Flash); 2.5 Flash was $0.30 / $2.50 then and is now.
    """
    call = Usage(input=1000, output=100)
    theirs = (1000 * Decimal("0.075") + 100 * Decimal("0.30")) / 1_000_000
    assert book.cost(call, "gcp.gemini", "gemini-2.0-flash-lite").total == theirs
    for day in (date(2025, 11, 6), TODAY):
        right = book.cost(call, "gcp.gemini", "gemini-2.5-flash", day).total
        assert right == (1000 * Decimal("0.30") + 100 * Decimal("2.50")) / 1_000_000
        assert right / theirs > Decimal("5.2")


def test_the_parts_sum_to_the_total(book: PriceBook) -> None:
    found = cost(book, "openai", "gpt-5.6", input=1013, cache_read=401, cache_write=97, output=31)
    assert found.total == found.input + found.output + found.cached + found.cache_write
    assert min(found.input, found.output, found.cached, found.cache_write) > 0
    assert all(part.as_tuple().exponent == -9 for part in found[:5])


@pytest.mark.parametrize(
    ("provider", "model", "same"),
    [
        ("gcp.gemini", "models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gcp.gemini", "Gemini-2.5-Flash", "gemini-2.5-flash"),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        ("gcp.vertex_ai", "projects/p/locations/l/publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gcp.gemini", "google/gemini-2.5-flash-lite", "gemini-2.5-flash-lite"),
        ("gcp.gemini", "gemini-2.5-flash-001", "gemini-2.5-flash"),
        ("gcp.gemini", "models/gemini-embedding-001", "gemini-embedding-001"),
        ("gcp.gemini", "gemini-flash-latest", "gemini-3.8-flash"),
        ("openai", "gpt-4o-20241120", "gpt-4o"),
        ("openai", "gpt-4.1-2031-01-02", "gpt-4.1"),
        ("openai", "openai/gpt-4o-mini", "gpt-4o-mini"),
        ("azure", "gpt-35-turbo-0125", "gpt-3.5-turbo"),
    ],
)
def test_a_model_has_many_names(book: PriceBook, provider: str, model: str, same: str) -> None:
    found = cost(book, provider, model, input=1000)
    assert found.status == "priced"
    assert found == cost(book, provider, same, input=1000)


@pytest.mark.parametrize(
    "provider",
    ["gcp.gemini", "gcp.vertex_ai", "gcp.gen_ai", "vertex_ai", "gemini", "gen_ai", "google", "GCP.Gemini"],
)
def test_google_has_many_names(book: PriceBook, provider: str) -> None:
    assert cost(book, provider, "gemini-2.5-flash", input=1000).total == Decimal("0.0003")


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("azure.ai.openai", "gpt-4o"),
        ("az.ai.openai", "gpt-4o"),
        ("azure.ai.inference", "gpt-4o"),
        ("x_ai", "grok-4"),
        ("xai", "grok-4"),
        ("mistral_ai", "mistral-large-latest"),
        ("moonshot_ai", "kimi-k2-thinking"),
        ("deepseek", "deepseek-chat"),
        ("groq", "llama-3.3-70b-versatile"),
    ],
)
def test_hosts_that_speak_openai_are_priced(book: PriceBook, provider: str, model: str) -> None:
    assert cost(book, provider, model, input=1000, output=10).status == "priced"


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "no-such-model"),
        ("openai", "gemini-2.5-flash"),
        ("openai", "ft:gpt-4.1-2025-04-14:acme::abc"),  # a tuned model costs more than its base: never its price
        ("openai", ""),
        ("no-such-provider", "gpt-4o"),
        ("openai", "whisper-1"),  # priced by the hour
        ("gcp.gemini", "gemma-3-27b-it"),  # listed without any price: not a zero
    ],
)
def test_an_unknown_price_is_not_zero(book: PriceBook, provider: str, model: str) -> None:
    found = cost(book, provider, model, input=1000, output=10)
    assert found.status == "unpriced"
    assert found[:5] == (None,) * 5
    assert model in found.problem


def test_a_bucket_without_a_price_makes_the_cost_partial(book: PriceBook) -> None:
    found = cost(book, "openai", "text-embedding-3-small", input=1000, output=10)
    assert (found.status, found.total, found.output) == ("partial", Decimal("0.00002"), 0)
    assert found.problem == "the model has no price for output tokens"
    assert cost(book, "openai", "text-embedding-3-small", output=10).status == "unpriced"


@pytest.mark.parametrize(
    ("tokens", "same_as", "problem"),
    [
        ({"input": 100, "cache_read": 150}, {"input": 100, "cache_read": 100}, "more cached tokens"),
        ({"input": -5, "output": 10}, {"output": 10}, "negative"),
        ({"input": 5, "output": -10}, {"input": 5}, "negative"),
        ({"output": 10, "reasoning": 30}, {"output": 10, "reasoning": 10}, "more reasoning"),
        ({"input": 10, "audio_input": 30}, {"input": 10, "audio_input": 10}, "more audio, image and video"),
        ({"input": 10, "cache_read": 4, "cache_write": 9}, {"input": 10, "cache_read": 4, "cache_write": 6}, "cached"),
    ],
)
def test_impossible_counts_are_cut_and_said(
    book: PriceBook, tokens: dict[str, int], same_as: dict[str, int], problem: str
) -> None:
    found = cost(book, "gcp.gemini", "gemini-2.5-flash", **tokens)
    assert found.status == "partial"
    assert problem in found.problem
    assert found.total == cost(book, "gcp.gemini", "gemini-2.5-flash", **same_as).total


def test_cached_audio_that_the_provider_did_not_name_is_inferred(book: PriceBook) -> None:
    """1000 tokens, 900 of them audio, 800 cached: at least 700 of the cached ones were audio."""
    tokens = {"input": 1000, "audio_input": 900, "cache_read": 800}
    assert cost(book, "gcp.gemini", "gemini-2.5-flash", **tokens) == cost(
        book, "gcp.gemini", "gemini-2.5-flash", **tokens, audio_cache_read=700
    )


@pytest.mark.parametrize(
    ("provider", "model", "tier", "total", "status"),
    [
        ("openai", "gpt-5", None, "1.25", "priced"),
        ("openai", "gpt-5", "default", "1.25", "priced"),
        ("openai", "gpt-5", "auto", "1.25", "priced"),
        ("openai", "gpt-5", "flex", "0.625", "priced"),
        ("openai", "gpt-5", "priority", "2.5", "priced"),
        ("openai", "gpt-5", "batch", "0.625", "priced"),
        ("openai", "gpt-5", "scale", "1.25", "partial"),
        ("openai", "o1", "flex", "15", "partial"),
        ("gcp.gemini", "gemini-2.5-flash", "batch", "0.15", "priced"),
        ("gcp.gemini", "gemini-2.5-flash", "ON_DEMAND", "0.3", "priced"),
        ("gcp.vertex_ai", "gemini-2.5-flash", "ON_DEMAND_FLEX", "0.3", "partial"),
        ("azure.ai.openai", "gpt-5", "priority", "1.25", "partial"),
    ],
)
def test_service_tiers(book: PriceBook, provider: str, model: str, tier: str | None, total: str, status: str) -> None:
    found = cost(book, provider, model, tier, input=1_000_000)
    assert (found.total, found.status) == (Decimal(total), status)


def test_a_tier_before_its_price_was_known_is_partial(book: PriceBook) -> None:
    found = book.cost(Usage(input=1_000_000), "openai", "gpt-5", date(2026, 10, 11), "flex")
    assert (found.total, found.status) == (Decimal("1.25"), "partial")
    assert "service tier flex" in found.problem


def test_a_price_holds_from_its_date_on(book: PriceBook) -> None:
    def o3(at: date) -> Decimal | None:
        return book.cost(Usage(input=1_000_000), "openai", "o3", at).total

    assert (o3(date(2025, 6, 9)), o3(date(2025, 6, 10))) == (10, 2)
    assert (o3(datetime(2025, 6, 9, 23, 59, tzinfo=UTC)), o3(datetime.fromisoformat("2025-06-10"))) == (10, 2)


def test_a_price_may_change_with_the_hour(book: PriceBook) -> None:
    def chat(hour: int, minute: int) -> Decimal | None:
        at = datetime(2026, 11, 20, hour, minute, tzinfo=UTC)
        return book.cost(Usage(input=1_000_000), "deepseek", "deepseek-chat", at).total

    assert (chat(0, 29), chat(0, 30), chat(16, 29), chat(16, 30)) == tuple(
        Decimal(price) for price in ("0.135", "0.27", "0.27", "0.135")
    )


class TestOverride:
    def test_replaces_the_named_prices_only(self, book: PriceBook) -> None:
        book.override("openai", "gpt-4o", input=2, output="7.5")
        found = cost(book, "openai", "gpt-4o", input=1_000_000, cache_read=500_000, output=1_000_000)
        assert (found.input, found.output, found.cached) == (1, Decimal("7.5"), Decimal("0.625"))
        assert (found.price_version, found.source) == ("override", "local")

    def test_holds_for_the_dated_name_that_the_provider_answers_with(self, book: PriceBook) -> None:
        book.override("openai", "gpt-4o", input=2)
        assert cost(book, "openai", "gpt-4o-2024-08-06", input=1_000_000).total == 2
        assert cost(book, "openai", "gpt-4o-2024-05-13", input=1_000_000).total == 5, "a model of its own"
        assert cost(book, "azure", "gpt-4o", input=1_000_000).total == Decimal("2.5"), "another provider"

    def test_prices_a_model_that_the_table_lacks(self, book: PriceBook) -> None:
        model = "ft:gpt-4.1-2025-04-14:acme::abc"
        assert cost(book, "openai", model, input=1).status == "unpriced"
        book.override("openai", model, input=3, output=12, reasoning=24)
        found = cost(book, "openai", model, input=1_000_000, output=1_000_000, reasoning=500_000)
        assert (found.input, found.output, found.status) == (3, 18, "priced")

    def test_of_a_snapshot_is_found_for_a_path(self, book: PriceBook) -> None:
        book.override("gcp.vertex_ai", "house-model", input=4)
        name = "projects/p/locations/l/publishers/google/models/house-model-001"
        assert cost(book, "gcp.gemini", name, input=1_000_000).total == 4

    @pytest.mark.parametrize("prices", [{"input": -1}, {"input": "dear"}, {"input": "nan"}, {"input": float("inf")}])
    def test_refuses_what_is_not_a_price(self, book: PriceBook, prices: dict[str, Any]) -> None:
        with pytest.raises(ConfigError, match="USD per million tokens"):
            book.override("openai", "gpt-4o", **prices)

    def test_refuses_an_unknown_bucket(self, book: PriceBook) -> None:
        with pytest.raises(ConfigError, match=r"imput is not a price\. Use one of input, output, cache_read"):
            book.override("openai", "gpt-4o", imput=1)


def test_unknown_models_are_remembered_in_bounded_space(book: PriceBook) -> None:
    for number in range(CACHE_SIZE + 10):
        assert book.rates("openai", f"no-such-model-{number}") is None
    assert len(book._cache) <= CACHE_SIZE


class TestInterceptor:
    def price(self, book: PriceBook, values: dict[str, Any], provider: str = "openai") -> dict[str, Any]:
        call: Any = SimpleNamespace(values=dict(values), provider=provider, at=None)
        pricing = Pricing(book)
        pricing.before(call)
        pricing.after(call)
        return {name: value for name, value in call.values.items() if name not in values}

    def test_sets_the_cost(self, book: PriceBook) -> None:
        values = {
            a.REQUEST_MODEL.name: "gpt-4o-mini",
            a.RESPONSE_MODEL.name: "gpt-4o-mini-2024-07-18",
            a.INPUT_TOKENS.name: 1000,
            a.CACHE_READ_TOKENS.name: 400,
            a.OUTPUT_TOKENS.name: 500,
        }
        assert self.price(book, values) == {
            a.COST_TOTAL.name: 0.00042,
            a.COST_INPUT.name: 0.00009,
            a.COST_OUTPUT.name: 0.0003,
            a.COST_CACHED.name: 0.00003,
            a.COST_CURRENCY.name: "USD",
            a.COST_SOURCE.name: "local",
            a.PRICE_VERSION.name: book.version,
            a.COST_STATUS.name: "priced",
        }

    def test_takes_the_model_asked_for_when_the_one_that_answered_is_unknown(self, book: PriceBook) -> None:
        values = {a.REQUEST_MODEL.name: "gpt-4o", a.RESPONSE_MODEL.name: "my-deployment", a.INPUT_TOKENS.name: 1000}
        assert self.price(book, values)[a.COST_TOTAL.name] == 0.0025

    def test_a_blocked_answer_still_costs_its_input(self, book: PriceBook) -> None:
        values = {a.REQUEST_MODEL.name: "gemini-2.5-flash", a.INPUT_TOKENS.name: 1000, a.OUTPUT_TOKENS.name: 0}
        assert self.price(book, values, "gcp.gemini")[a.COST_TOTAL.name] == 0.0003

    def test_the_tier_given_goes_before_the_tier_asked_for(self, book: PriceBook) -> None:
        values = {a.REQUEST_MODEL.name: "gpt-5", a.INPUT_TOKENS.name: 1000, a.REQUEST_SERVICE_TIER.name: "priority"}
        assert self.price(book, values)[a.COST_TOTAL.name] == 0.0025
        values[a.RESPONSE_SERVICE_TIER.name] = "default"
        assert self.price(book, values)[a.COST_TOTAL.name] == 0.00125

    @pytest.mark.parametrize(
        "values",
        [
            {a.REQUEST_MODEL.name: "gpt-4o"},  # failed before an answer
            {a.REQUEST_MODEL.name: "no-such-model", a.INPUT_TOKENS.name: 10},
            {a.INPUT_TOKENS.name: 10},
            {a.REQUEST_MODEL.name: "whisper-1", a.INPUT_TOKENS.name: 10},
        ],
    )
    def test_unpriced_sets_no_number(self, book: PriceBook, values: dict[str, Any]) -> None:
        assert self.price(book, values) == {a.COST_STATUS.name: "unpriced"}

    def test_contradictory_usage_is_partial(self, book: PriceBook) -> None:
        values = {a.REQUEST_MODEL.name: "gpt-4o", a.INPUT_TOKENS.name: 10, a.CACHE_READ_TOKENS.name: 20}
        assert self.price(book, values)[a.COST_STATUS.name] == "partial"

    def test_the_shared_book_is_read_once(self) -> None:
        assert PriceBook.load() is PriceBook.load()


def test_importing_it_imports_no_price_library_and_no_sdk() -> None:
    code = (
        "import sys, otel_llm.pricing as p; p.PriceBook.load().cost(p.Usage(1, 1), 'openai', 'gpt-4o')\n"
        "print([name for name in ('genai_prices', 'openai', 'google.genai', 'pydantic') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
