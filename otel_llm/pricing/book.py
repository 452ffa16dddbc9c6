"""The price book: what a call costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from time import time
from typing import Any, Literal, NamedTuple

from otel_llm.errors import ConfigError

from .names import model_names, provider_name
from .rates import FALLBACK, Rates
from .table import HALF_HOUR, find, prices_at, read_table, slot, tier_name
from .usage import Usage

Status = Literal["priced", "partial", "unpriced"]

#: Prices are looked up once for each provider, model, tier and half hour; more entries than this start afresh.
CACHE_SIZE = 4096


class Cost(NamedTuple):
    """What a call cost, in ``currency``, to nine digits; the parts sum to ``total``.

    ``input`` is what was neither read from nor written to a cache. When ``status`` is ``unpriced`` there are no
    numbers; when it is ``partial`` the numbers are a best estimate and ``problem`` says what is wrong with them.
    """

    total: Decimal | None = None
    input: Decimal | None = None
    output: Decimal | None = None
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    status: Status = "unpriced"
    price_version: str = ""
    problem: str = ""
    currency: str = "USD"
    source: str = "local"


class PriceBook:
    """Prices by provider, model, service tier and date, from a table and from overrides."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.version = str(table["version"])
        self._table = table
        self._overrides: dict[tuple[str, str], dict[str, str]] = {}
        self._cache: dict[tuple[int, str, str, str | None], Rates | None] = {}

    @staticmethod
    @cache
    def load() -> PriceBook:
        """The process's price book, read on first use from the table shipped with this version."""
        return PriceBook(read_table())

    def override(self, provider: str, model: str, **prices: Decimal | float | str) -> None:
        """Set prices of a model in USD per million tokens, for every date, service tier and size of request.

        ``prices`` are named as the counts of :class:`Usage` (``input=``, ``output=``, ``cache_read=``…). Those not
        named keep their listed price. Raises ConfigError for a name or a price that cannot be used.
        """
        found = {name: _price(name, price) for name, price in prices.items()}
        self._overrides.setdefault((provider_name(provider), model.strip().lower()), {}).update(found)
        self._cache = {}

    def cost(
        self, usage: Usage, provider: str, model: str, at: date | None = None, service_tier: str | None = None
    ) -> Cost:
        """What the usage cost at a moment: a datetime, a date (its first moment, UTC) or now. Never raises for data."""
        rates = self.rates(provider, model, service_tier, at)
        if rates is None:
            return Cost(price_version=self.version, problem=f"no price is known for model {model} of {provider}")
        charge = rates.charge(usage)
        if charge is None:
            return Cost(price_version=rates.version, problem=f"model {model} of {provider} is not priced by token")
        *nanos, problem = charge
        total, paid_input, output, cached, cache_write = (Decimal(n).scaleb(-9) for n in (sum(nanos), *nanos))
        status: Status = "partial" if problem else "priced"
        return Cost(total, paid_input, output, cached, cache_write, status, rates.version, problem)

    def rates(self, provider: str, model: str, service_tier: str | None = None, at: date | None = None) -> Rates | None:
        """The prices of a model at a moment, or None when it is unknown; remembered either way."""
        moment = int(time()) // HALF_HOUR if at is None else slot(at)
        key = (moment, provider, model, service_tier)
        try:
            return self._cache[key]
        except KeyError:
            if len(self._cache) >= CACHE_SIZE:
                self._cache = {}
            rates = self._cache[key] = self._find(provider_name(provider), model, tier_name(service_tier), moment)
            return rates

    def _find(self, provider: str, model: str, tier: str, moment: int) -> Rates | None:
        names = []
        prices: dict[str, Any] = {}
        problem = ""
        for name in model_names(model):
            names.append(name)
            if found := find(self._table, provider, name):
                entry, own = found
                names.append(entry["id"].lower())
                prices, known = prices_at(entry, tier if own else "", moment)
                if tier and not (own and known):
                    problem = f"no price is known for service tier {tier}, the standard price was taken"
                break
        for name in names:
            if (provider, name) in self._overrides:
                return Rates({**prices, **self._overrides[provider, name]}, "override", problem)
        return Rates(prices, self.version, problem) if prices else None


def _price(name: str, price: Decimal | float | str) -> str:
    """A price as the table writes it."""
    if name not in FALLBACK:
        raise ConfigError(f"{name} is not a price. Use one of {', '.join(FALLBACK)}.")
    try:
        value = Decimal(str(price))
    except ArithmeticError:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise ConfigError(f"The price {name}={price!r} is not an amount of USD per million tokens, such as 0.30.")
    return str(round(value, 9))
