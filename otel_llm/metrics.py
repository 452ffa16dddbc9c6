"""Metrics of all calls, whatever is sampled: duration, tokens, time to the first chunk and between chunks, cost.

Names, units and boundaries are those of the GenAI conventions as instrumentations emit them today
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/); ``otel_llm.cost`` is our own. The labels are the
attributes that the dictionary marks as such, each with :data:`MOST` values at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.metrics import Counter, Histogram, MeterProvider, get_meter_provider

from otel_llm import attributes as a
from otel_llm.events import NOWHERE

#: Boundaries of seconds and of tokens, as the conventions give them.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)

#: Values that one label may have in a process; all others are OTHER.
MOST = 200
OTHER = "other"

_LABELS = tuple(attribute.name for attribute in a.DICTIONARY if attribute.label and not attribute.resource)
_TYPES = (("input", a.INPUT_TOKENS.name), ("output", a.OUTPUT_TOKENS.name))
_FIRST, _COST, _CURRENCY = a.TIME_TO_FIRST_CHUNK.name, a.COST_TOTAL.name, a.COST_CURRENCY.name


class _Instruments(NamedTuple):
    duration: Histogram
    tokens: Histogram
    first_chunk: Histogram
    per_chunk: Histogram
    cost: Counter


class Metrics:
    """Where metrics go: a MeterProvider, or the application's, once it has one."""

    def __init__(self, provider: MeterProvider | None, version: str, attributes: Mapping[str, Any]) -> None:
        self._provider = provider
        self._version = version
        self._attributes = dict(attributes)
        self._instruments: _Instruments | None = None
        self._seen: dict[str, set[Any]] = {name: set() for name in _LABELS}

    @property
    def live(self) -> bool:
        """Whether anybody takes them."""
        return type(self._provider or get_meter_provider()).__name__ not in NOWHERE

    def record(self, values: Mapping[str, Any], seconds: float, gaps: Sequence[float]) -> None:
        """Counts one call: its attributes, what it took, and the seconds between its chunks."""
        made = self._instruments
        if made is None:
            made = self._instruments = self._made()
        labels = self._labels(values)
        made.duration.record(seconds, labels)
        for kind, name in _TYPES:
            if (count := values.get(name)) is not None:
                made.tokens.record(count, {**labels, "gen_ai.token.type": kind})
        if (first := values.get(_FIRST)) is not None:
            made.first_chunk.record(first, labels)
        for gap in gaps:
            made.per_chunk.record(gap, labels)
        if (cost := values.get(_COST)) is not None:
            made.cost.add(cost, {**labels, _CURRENCY: values.get(_CURRENCY, "")})

    def _labels(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name in _LABELS:
            if (value := values.get(name)) is not None:
                seen = self._seen[name]
                if value not in seen:
                    if len(seen) >= MOST:
                        value = OTHER if isinstance(value, str) else 0
                    else:
                        seen.add(value)
                found[name] = value
        return found

    def _made(self) -> _Instruments:
        provider = self._provider or get_meter_provider()
        meter = provider.get_meter("otel_llm", self._version, attributes=self._attributes)

        def seconds(name: str, sentence: str) -> Histogram:
            return meter.create_histogram(name, "s", sentence, explicit_bucket_boundaries_advisory=SECONDS)

        return _Instruments(
            seconds("gen_ai.client.operation.duration", "Seconds that a call took."),
            meter.create_histogram(
                "gen_ai.client.token.usage", "{token}", "Tokens that a call used.",
                explicit_bucket_boundaries_advisory=TOKENS,
            ),
            seconds("gen_ai.client.operation.time_to_first_chunk", "Seconds to the first chunk of a stream."),
            seconds("gen_ai.client.operation.time_per_output_chunk", "Seconds from one chunk of a stream to the next."),
            meter.create_counter("otel_llm.cost", "{currency}", "What calls cost, in the currency of the label."),
        )  # fmt: skip
