"""Putting the cost of a call on its span."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.interceptor import Interceptor

from .book import PriceBook

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_COUNTS = tuple(
    attribute.name
    for attribute in (
        a.INPUT_TOKENS,
        a.OUTPUT_TOKENS,
        a.CACHE_READ_TOKENS,
        a.CACHE_WRITE_TOKENS,
        a.REASONING_TOKENS,
        a.AUDIO_INPUT_TOKENS,
        a.IMAGE_INPUT_TOKENS,
        a.VIDEO_INPUT_TOKENS,
        a.AUDIO_CACHE_READ_TOKENS,
        a.IMAGE_CACHE_READ_TOKENS,
        a.AUDIO_OUTPUT_TOKENS,
        a.IMAGE_OUTPUT_TOKENS,
    )
)
_NONE = (0,) * len(_COUNTS)
_INPUT, _OUTPUT = a.INPUT_TOKENS.name, a.OUTPUT_TOKENS.name
_RESPONSE_MODEL, _REQUEST_MODEL = a.RESPONSE_MODEL.name, a.REQUEST_MODEL.name
#: The tier that served the call, else the one that was asked for.
_TIERS = tuple(
    attribute.name
    for attribute in (
        a.RESPONSE_SERVICE_TIER,
        a.SERVICE_TIER_GIVEN,
        a.REQUEST_SERVICE_TIER,
        a.SERVICE_TIER_REQUESTED,
    )
)
_TOTAL, _COST_INPUT, _COST_OUTPUT = a.COST_TOTAL.name, a.COST_INPUT.name, a.COST_OUTPUT.name
_CACHED, _CACHE_WRITE = a.COST_CACHED.name, a.COST_CACHE_WRITE.name
_CURRENCY, _SOURCE = a.COST_CURRENCY.name, a.COST_SOURCE.name
_VERSION, _STATUS = a.PRICE_VERSION.name, a.COST_STATUS.name

_NANO = 1_000_000_000


class Pricing(Interceptor):
    """The interceptor that prices a call from its token counts when it ends.

    The model that answered is looked up first, then the one that was asked for. A call whose model or usage is unknown
    gets ``otel_llm.cost.status`` = unpriced and no cost: never a false zero. A reader of responses that knows the usage
    not to be the whole of it has said partial, an endpoint for which nothing is charged free. A cost that the provider
    said stays as it is; a call that is over already is priced as of when it was made.
    """

    policy = False

    def __init__(self, book: PriceBook | None = None) -> None:
        self._book = book

    def after(self, call: Invocation) -> None:
        """Set the cost attributes; microseconds, no input or output."""
        values: dict[str, Any] = call.values
        if values.get(_SOURCE) == "provider":
            return
        if _INPUT not in values and _OUTPUT not in values:
            values.setdefault(_STATUS, "unpriced")
            return
        book = self._book or PriceBook.load()
        tier = next(filter(None, map(values.get, _TIERS)), None)
        rates = None
        for model in (values.get(_RESPONSE_MODEL), values.get(_REQUEST_MODEL)):
            if model and (rates := book.rates(call.provider, model, tier, call.at)):
                break
        try:
            charge = rates.charge(tuple(map(values.get, _COUNTS, _NONE))) if rates else None
        except TypeError:  # counts that are no numbers
            charge = None
        if rates is None or charge is None:
            values[_STATUS] = "unpriced"
            return
        paid_input, paid_output, cached, cache_write, problem = charge
        values[_TOTAL] = (paid_input + paid_output + cached + cache_write) / _NANO
        values[_COST_INPUT] = paid_input / _NANO
        values[_COST_OUTPUT] = paid_output / _NANO
        if cached:
            values[_CACHED] = cached / _NANO
        if cache_write:
            values[_CACHE_WRITE] = cache_write / _NANO
        values[_CURRENCY] = "USD"
        values[_SOURCE] = "local"
        values[_VERSION] = rates.version
        values[_STATUS] = "partial" if problem or values.get(_STATUS) == "partial" else "priced"
