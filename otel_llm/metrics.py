"""Metrics of all calls, whatever is sampled: duration, tokens, time to the first chunk and between chunks, cost.

Names, units and boundaries are those of the GenAI conventions as instrumentations emit them today
(https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/); ``otel_llm.cost`` is our own. The labels are the
attributes that the dictionary marks as such.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

from opentelemetry.context import Context
from opentelemetry.metrics import Counter, Histogram, Meter, MeterProvider, get_meter_provider
from opentelemetry.trace import Span, set_span_in_context

from otel_llm import attributes as a
from otel_llm.ambient import METERS
from otel_llm.events import NOWHERE
from otel_llm.labels import Labelled
from otel_llm.series import Series

#: Boundaries of seconds and of tokens, as the conventions give them.
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
#: The same for agents and for workflows, which take longer.
AGENT_SECONDS = tuple(0.1 * 2**power for power in range(13))
WORKFLOW_SECONDS = (1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)

_ERROR, _TYPE, _CURRENCY = a.ERROR_TYPE.name, "gen_ai.token.type", a.COST_CURRENCY.name
_FIRST, _COST, _OPERATION = a.TIME_TO_FIRST_CHUNK.name, a.COST_TOTAL.name, a.OPERATION.name
_INPUT, _OUTPUT = a.INPUT_TOKENS.name, a.OUTPUT_TOKENS.name

#: The labels of a request to a provider.
LABELS = tuple(attribute.name for attribute in a.DICTIONARY if attribute.label and not attribute.resource)

#: What the conventions have for steps that are no request, by operation: metric, boundaries and labels.
STEPS: dict[str, tuple[str, Sequence[float], tuple[str, ...]]] = {
    "execute_tool": (
        "gen_ai.execute_tool.duration",
        SECONDS,
        (a.TOOL_NAME.name, a.TOOL_TYPE.name, a.AGENT_NAME.name, _ERROR),
    ),
    "invoke_agent": (
        "gen_ai.invoke_agent.duration",
        AGENT_SECONDS,
        (a.AGENT_NAME.name, a.REQUEST_MODEL.name, _ERROR),
    ),
    "invoke_workflow": ("gen_ai.invoke_workflow.duration", WORKFLOW_SECONDS, (a.WORKFLOW_NAME.name, _ERROR)),
}


class Metrics:
    """Where metrics go: a MeterProvider, or the application's, once it has one."""

    def __init__(self, provider: MeterProvider | None, version: str, attributes: Mapping[str, Any]) -> None:
        self._provider = provider
        self._version = version
        self._attributes = dict(attributes)
        self._calls: Labelled[_Calls] | None = None
        self._steps: dict[str, Labelled[Series]] = {}

    @property
    def live(self) -> bool:
        """Whether anybody takes them."""
        provider = self._provider or (get_meter_provider() if METERS is None else METERS._METER_PROVIDER)
        return type(provider).__name__ not in NOWHERE

    def call(self, values: Mapping[str, Any], seconds: float, gaps: Iterable[float], span: Span) -> None:
        """Counts one call: its attributes, what it took, and the seconds between its chunks."""
        if self._calls is None:
            self._calls = Labelled(LABELS, partial(_Calls, _Instruments.of(self._meter())))
        self._calls.of(values).add(values, seconds, gaps, set_span_in_context(span, Context()))

    def step(self, values: Mapping[str, Any], seconds: float, span: Span) -> None:
        """Counts one of :data:`STEPS`."""
        operation = values[_OPERATION]
        if (steps := self._steps.get(operation)) is None:
            name, boundaries, labels = STEPS[operation]
            made = _seconds(self._meter(), name, f"Seconds that {operation} took.", boundaries)
            steps = self._steps[operation] = Labelled(labels, partial(Series, made, made.record))
        step = steps.of(values)
        step.add(seconds, step.now(seconds, set_span_in_context(span, Context())))

    def _meter(self) -> Meter:
        provider = self._provider or get_meter_provider()
        return provider.get_meter("otel_llm", self._version, attributes=self._attributes)


def _seconds(meter: Meter, name: str, sentence: str, boundaries: Sequence[float] = SECONDS) -> Histogram:
    return meter.create_histogram(name, "s", sentence, explicit_bucket_boundaries_advisory=boundaries)


class _Instruments(NamedTuple):
    duration: Histogram
    tokens: Histogram
    first_chunk: Histogram
    per_chunk: Histogram
    cost: Counter

    @classmethod
    def of(cls, meter: Meter) -> Self:
        return cls(
            _seconds(meter, "gen_ai.client.operation.duration", "Seconds that a call took."),
            meter.create_histogram(
                "gen_ai.client.token.usage", "{token}", "Tokens that a call used.",
                explicit_bucket_boundaries_advisory=TOKENS,
            ),
            _seconds(meter, "gen_ai.client.operation.time_to_first_chunk", "Seconds to the first chunk of a stream."),
            _seconds(meter, "gen_ai.client.operation.time_per_output_chunk", "Seconds from one chunk to the next."),
            meter.create_counter("otel_llm.cost", "{currency}", "What calls cost, in the currency of the label."),
        )  # fmt: skip


class _Calls:
    """Calls of the same labels. That one failed is said of its duration only, as in the conventions."""

    __slots__ = ("_cost", "_costs", "_duration", "_first", "_gaps", "_input", "_labels", "_output")

    def __init__(self, made: _Instruments, labels: Mapping[str, Any]) -> None:
        self._duration = Series(made.duration, made.duration.record, labels)
        self._labels = {name: value for name, value in labels.items() if name != _ERROR}
        self._input, self._output = (
            Series(made.tokens, made.tokens.record, {**self._labels, _TYPE: kind}) for kind in ("input", "output")
        )
        self._first = Series(made.first_chunk, made.first_chunk.record, self._labels)
        self._gaps = Series(made.per_chunk, made.per_chunk.record, self._labels)
        self._cost = made.cost
        self._costs: dict[str, Series] = {}

    def add(self, values: Mapping[str, Any], seconds: float, gaps: Iterable[float], context: Context) -> None:
        """Counts one of them."""
        moment = self._duration.now(seconds, context)
        self._duration.add(seconds, moment)
        if (count := values.get(_INPUT)) is not None:
            self._input.add(count, moment)
        if (count := values.get(_OUTPUT)) is not None:
            self._output.add(count, moment)
        if (first := values.get(_FIRST)) is not None:
            self._first.add(first, moment)
        self._gaps.add_all(gaps, moment)
        if (cost := values.get(_COST)) is not None:
            currency = str(values.get(_CURRENCY, ""))
            if (costs := self._costs.get(currency)) is None:
                costs = self._costs[currency] = Series(
                    self._cost, self._cost.add, {**self._labels, _CURRENCY: currency}
                )
            costs.add(cost, moment)
