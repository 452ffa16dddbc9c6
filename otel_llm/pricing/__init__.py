"""What calls cost: a price table, the rules for cached, thinking and multimodal tokens, and overrides.

>>> from otel_llm.pricing import PriceBook, Usage
>>> PriceBook.load().cost(Usage(input=1000, output=100), "gcp.gemini", "gemini-2.5-flash").total
Decimal('0.000550000')
"""

from __future__ import annotations

from .book import Cost, PriceBook
from .interceptor import Pricing
from .usage import Usage

__all__ = ["Cost", "PriceBook", "Pricing", "Usage"]
