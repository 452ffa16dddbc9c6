"""Starting and ending spans of OpenTelemetry's SDK without its checks, for values that need none.

A call's span takes a fifth of all that a call costs more, most of it in checks of what the dictionary has settled and
in calls of what does nothing. A :class:`Starter` does what the SDK's ``Tracer.start_span`` and ``Span.end`` do, in
their order (enabled, parent, sampler, identity, the SDK's own metrics, processors), and fills in a span of the SDK's
class from a prototype of the same tracer. It is used only where an SDK's span has exactly the fields that it knows of;
else the tracer starts spans itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from random import getrandbits
from time import time_ns
from typing import Any

from opentelemetry.context import Context
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
)

from otel_llm.ambient import SPAN
from otel_llm.config import fault
from otel_llm.span_class import MAKING, span_class

# fmt: off
#: The fields of a span that a start sets, and those that every span of a tracer shares.
_OWN = {
    "_name", "_context", "_parent", "_kind", "_start_time", "_lock", "_attributes", "_events", "_links",
    "_record_end_metrics",
}
_SHARED = {
    "_instrumentation_info", "_instrumentation_scope", "_end_time", "_resource", "_status", "_sampler", "_trace_config",
    "_record_exception", "_set_status_on_exception", "_span_processor", "_limits",
}
_ATTRIBUTES = {"_dict", "maxlen", "dropped", "max_value_len", "_lock", "_immutable"}
#: The fields of a tracer that are read.
_TRACER = {"sampler", "resource", "span_processor", "id_generator", "_span_limits", "_tracer_metrics"}
# fmt: on

#: Attributes that a span has at most, by OpenTelemetry's default, but for one.
MOST_ATTRIBUTES = 127

_FLAGS = tuple(TraceFlags(flags) for flags in range(4))
_SAMPLED, _RANDOM = 1, 2


_STATELESS = INVALID_SPAN_CONTEXT.trace_state

#: What is decided of every span: of those without a parent, and of those below one that is remote or not, and sampled
#: or not; ``None`` where the sampler must be asked.
_Decisions = tuple[Any, ...]


class Starter:
    """Starts and ends the spans of one tracer of the SDK's."""

    def __init__(self, tracer: Any, prototype: Any, sdk: Any) -> None:
        self._tracer = tracer
        self.kind = span_class(tracer, prototype, _SHARED)
        self._uncounted = prototype._record_end_metrics
        self._quiet = type(tracer._tracer_metrics).__name__ == "NoOpTracerMetrics"
        self._plain_ids = type(tracer.id_generator) is sdk.RandomIdGenerator
        self._drop, self._sample = sdk.sampling.Decision.DROP, sdk.sampling.Decision.RECORD_AND_SAMPLE
        self._sampler: Any = None
        self._decisions: _Decisions = (None,) * 5
        #: Whether spans without a parent are dropped, whatever they are.
        self.sheds = False
        self._ask()
        self._one_by_one = sdk.SynchronousMultiSpanProcessor
        self._heard = True
        #: The processors, whether one is told of a span that is about to end, and what takes one for each of them.
        self._seen: tuple[Any, bool, list[tuple[Any, Callable[[Any], object] | None]]] = (None, True, [])

    @staticmethod
    @lru_cache(maxsize=4)  # each is made by a provider, and the SDK's providers leave a trace in the process
    def of(tracer: Tracer) -> Starter | None:
        """The starter of a tracer; ``None`` for one that is not the SDK's, or whose spans are not as they are known."""
        try:
            from opentelemetry.sdk import trace as sdk
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON

            if type(tracer) is not sdk.Tracer or not vars(tracer).keys() >= _TRACER or not callable(tracer._is_enabled):
                return None
            settings: dict[str, Any] = {"span_limits": tracer._span_limits, "shutdown_on_exit": False}
            if "meter_provider" in sdk.TracerProvider.__init__.__code__.co_varnames:  # the prototype is not counted
                settings["meter_provider"] = NoOpMeterProvider()
            like = sdk.TracerProvider(ALWAYS_ON, tracer.resource, **settings).get_tracer("otel_llm")
            prototype: Any = like.start_span("prototype")
            identity: Any = prototype.get_span_context()
            fields, held = vars(prototype), prototype._attributes
            if (
                fields.keys() != _OWN | _SHARED
                or vars(held).keys() != _ATTRIBUTES
                or held.max_value_len is not None
                or (held.maxlen is not None and held.maxlen < MOST_ATTRIBUTES)
                or type(prototype._events) is not type(prototype._links)
                or tuple(identity) != (identity.trace_id, identity.span_id, False, *identity[3:5], True)
            ):
                return None
            return Starter(tracer, prototype, sdk)
        except Exception:
            fault("looking at the SDK's spans")
            return None

    def unseen(self, here: Context) -> Any:
        """What is current in place of a span that would not be recorded in the context ``here``.

        ``None`` where it would be, and where that is known only when the sampler is asked.
        """
        parent = _parent(here)
        if (
            self._decision(parent) is not self._drop
            or not self._quiet
            or not self._plain_ids
            or not self._tracer._is_enabled()
        ):
            return None
        if parent is None or not parent[5]:
            trace_id, flags, state = getrandbits(128) or 1, _RANDOM, _STATELESS
        else:
            trace_id, flags, state = parent[0], parent[3] & _RANDOM, parent[4]
        span = object.__new__(NonRecordingSpan)
        span._context = tuple.__new__(SpanContext, (trace_id, getrandbits(64) or 1, False, _FLAGS[flags], state, True))
        return span

    def start(self, name: str, kind: SpanKind, attributes: dict[str, Any], here: Context) -> Any:
        """A span that begins now, below that of the context ``here``; one that is recorded is of the class ``kind``.

        ``attributes`` are few and of plain types.
        """
        tracer = self._tracer
        parent = _parent(here)
        if not tracer._is_enabled():
            return NonRecordingSpan(parent or INVALID_SPAN_CONTEXT)
        decision, said = self._decision(parent), None
        if parent is None or not parent[5]:
            parent = None
            ids = tracer.id_generator
            trace_id = (getrandbits(128) or 1) if self._plain_ids else ids.generate_trace_id()
            chance = _RANDOM if self._plain_ids or ids.is_trace_id_random() else 0
        else:
            trace_id, flags = parent[0], parent[3]
            chance = _RANDOM if flags.random_trace_id else 0
        if decision is None:
            said = tracer.sampler.should_sample(None, trace_id, name, kind, attributes.copy(), ())
            decision, state = said.decision, said.trace_state
        else:
            state = None if parent is None else parent[4]
        identity = tuple.__new__(
            SpanContext,
            (
                trace_id,
                (getrandbits(64) or 1) if self._plain_ids else tracer.id_generator.generate_span_id(),
                False,
                _FLAGS[(decision is self._sample) | chance],
                _STATELESS if state is None else state,
                True,
            ),
        )
        counted = None if self._quiet else tracer._tracer_metrics.start_span(parent, decision)
        if decision is self._drop:
            return NonRecordingSpan(identity)
        span = object.__new__(self.kind)
        span._name = name
        span._context = identity
        span._parent = parent
        span._kind = kind
        span.held = attributes.copy() if said is None else dict(said.attributes or ())
        if counted is not None:
            span._record_end_metrics = counted
        processor = tracer.span_processor
        if processor is not span._span_processor:
            span._span_processor = processor
        if tracer.resource is not span._resource:  # a fork has another
            span._resource = tracer.resource
        span._start_time = time_ns()
        if self._heard or getattr(processor, "_span_processors", None) is not self._seen[0]:
            self._look(processor)
            processor.on_start(span, parent_context=None)
        return span

    def end(self, span: Any, at: int) -> None:
        """Ends a span that it started, ``at`` so many nanoseconds since 1970.

        The SDK's batch processor is given the span itself, which does not change any more; any other a copy, as by the
        SDK. Where somebody else has had a part of the span in hand, or looks at it before its end, the SDK ends it.
        """
        processors, heard, takes = self._seen
        if heard or getattr(span._span_processor, "_span_processors", None) is not processors:
            span.end(at)
            return
        with MAKING:
            alone = not span.late and span._end_time is None
            if alone:
                span._end_time = at
        if not alone:
            span.end(at)
            return
        if (counted := span._record_end_metrics) is not self._uncounted:
            counted()
        readable = None
        for processor, emit in takes:
            if emit is None:
                readable = readable or span._readable_span()
                processor.on_end(readable)
            elif span._context[3] & _SAMPLED:
                emit(span)

    def _decision(self, parent: Any) -> Any:
        """What the sampler decides by itself of a span below a parent; ``None`` where it must be asked."""
        if self._tracer.sampler is not self._sampler:
            self._ask()
        if parent is None or not parent[5]:
            return self._decisions[0]
        return self._decisions[1 + (parent[3] & _SAMPLED) + (2 if parent[2] else 0)]

    def _ask(self) -> None:
        """Sees what the sampler decides by itself."""
        self._sampler = self._tracer.sampler
        self._decisions = _decisions(self._sampler)
        self.sheds = self._decisions[0] is self._drop

    def _look(self, processor: Any) -> None:
        """Sees what the processors do at the start of a span, before its end, and with it."""
        if type(processor) is self._one_by_one and (found := processor._span_processors) is not self._seen[0]:
            self._heard = _listens(found, "on_start")
            self._seen = found, _listens(found, "_on_ending"), [(each, _emit(each)) for each in found]


def _parent(here: Context) -> Any:
    """The context of the current span there: a tuple, of which the last says whether it is valid; or ``None``."""
    span = here.get(SPAN)
    return span.get_span_context() if isinstance(span, Span) else None


def _emit(processor: Any) -> Callable[[Any], object] | None:
    """What takes a sampled span for the SDK's batch processor, which asks a span whether it is by five functions."""
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    if type(processor) is not BatchSpanProcessor or "on_end" in vars(processor):
        return None
    emit: Callable[[Any], object] | None = getattr(getattr(processor, "_batch_processor", None), "emit", None)
    return emit


def _decisions(sampler: Any) -> _Decisions:
    """What a sampler decides, where that depends on nothing but the parent: the SDK's static ones do, each by itself
    or below its ``ParentBased``.
    """
    from opentelemetry.sdk.trace.sampling import ParentBased, StaticSampler

    if type(sampler) is not ParentBased:
        return (getattr(sampler, "_decision", None) if type(sampler) is StaticSampler else None,) * 5
    names = (
        "_root",
        "_local_parent_not_sampled",
        "_local_parent_sampled",
        "_remote_parent_not_sampled",
        "_remote_parent_sampled",
    )
    each = (getattr(sampler, name, None) for name in names)
    return tuple(getattr(one, "_decision", None) if type(one) is StaticSampler else None for one in each)


def _listens(processors: Iterable[Any], name: str) -> bool:
    """Whether a method of any of the processors is another than those of the SDK's that do nothing."""
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    nothing = {getattr(kind, name, None) for kind in (SpanProcessor, BatchSpanProcessor, SimpleSpanProcessor)}
    return any(name in vars(each) or getattr(type(each), name, None) not in nothing for each in processors)
