"""What a service saw itself: its calls and their tokens, to be compared with what arrives in the store."""

from __future__ import annotations

import threading
from decimal import Decimal
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor


class Ledger(SpanProcessor):
    """Counts model calls and the tokens that the providers reported, and what our own spans say that they cost."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost = Decimal(0)

    def on_end(self, span: ReadableSpan) -> None:
        """A span of this process has ended: its cost, if it has one."""
        cost = (span.attributes or {}).get("otel_llm.cost.total")
        if isinstance(cost, float):
            with self._lock:
                self.cost += Decimal(f"{cost:.9f}")

    def add(self, input_tokens: int | None = 0, output_tokens: int | None = 0) -> None:
        """One call."""
        with self._lock:
            self.calls += 1
            self.input_tokens += input_tokens or 0
            self.output_tokens += output_tokens or 0

    def gemini(self, usage: Any | None) -> None:
        """A Gemini call, by its ``usage_metadata``; ``None`` for a call that reported none."""
        if usage is None:
            self.add()
        else:
            read = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
            self.add(read, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0))

    def chat(self, usage: Any | None) -> None:
        """A call of OpenAI's chat completions, by its ``usage``."""
        self.add(usage and usage.prompt_tokens, usage and usage.completion_tokens)

    def response(self, usage: Any | None) -> None:
        """A call of OpenAI's Responses API, by its ``usage``."""
        self.add(usage and usage.input_tokens, usage and usage.output_tokens)

    def embedding(self, usage: Any | None) -> None:
        """A call for embeddings, by its ``usage``."""
        self.add(usage and usage.prompt_tokens)

    def body(self, body: dict[str, Any]) -> None:
        """A call of the Responses API whose answer the application never got to see, by the body that came."""
        usage = body.get("usage") or {}
        self.add(usage.get("input_tokens"), usage.get("output_tokens"))

    def as_dict(self) -> dict[str, float]:
        """The counts, and the cost in US dollars."""
        with self._lock:
            tokens = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
            return {"calls": self.calls, **tokens, "cost": float(self.cost)}
