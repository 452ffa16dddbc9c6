"""The SDKs that are known. A new one is a module here and a line below."""

from __future__ import annotations

from otel_llm.provider import Provider
from otel_llm.providers.google_genai import GOOGLE_GENAI
from otel_llm.providers.openai import OPENAI

PROVIDERS: tuple[Provider, ...] = (GOOGLE_GENAI, OPENAI)
