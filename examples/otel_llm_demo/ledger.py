"""What a service saw itself: its calls, their tokens and cost, to be compared with what arrives in the store."""

from __future__ import annotations

import threading
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

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

    def call(self) -> Seen:
        """``with`` it around a call: it counts, however the call ends."""
        return Seen(self)

    def add(self, seen: Seen) -> None:
        """A call is over."""
        with self._lock:
            self.calls += 1
            self.input_tokens += seen.input_tokens
            self.output_tokens += seen.output_tokens

    def as_dict(self) -> dict[str, float]:
        """The counts, and the cost in US dollars."""
        with self._lock:
            tokens = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
            return {"calls": self.calls, **tokens, "cost": float(self.cost)}


class Seen:
    """One call, and the last usage that was seen of it; a provider that reports none leaves zeros."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.input_tokens = 0
        self.output_tokens = 0

    def gemini(self, usage: Any | None) -> None:
        """Gemini's ``usage_metadata``."""
        if usage is not None:
            read = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
            self._set(read, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0))

    def chat(self, usage: Any | None) -> None:
        """The ``usage`` of OpenAI's chat completions."""
        if usage is not None:
            self._set(usage.prompt_tokens, usage.completion_tokens)

    def response(self, usage: Any | None) -> None:
        """The ``usage`` of OpenAI's Responses API."""
        if usage is not None:
            self._set(usage.input_tokens, usage.output_tokens)

    def embedding(self, usage: Any) -> None:
        """The ``usage`` of OpenAI's embeddings."""
        self._set(usage.prompt_tokens, 0)

    def body(self, body: dict[str, Any]) -> None:
        """An answer of the Responses API as it came, of which a guardrail shows the application nothing."""
        usage = body["usage"]
        self._set(usage["input_tokens"], usage["output_tokens"])

    def _set(self, read: int, written: int) -> None:
        self.input_tokens, self.output_tokens = read, written

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ledger.add(self)
