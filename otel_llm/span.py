"""Starting a span of OpenTelemetry's SDK without its checks, for values that need none.

A call's span takes a fifth of all that a call costs more, most of it in checks of what the dictionary has settled. A
:class:`Starter` does what the SDK's ``Tracer.start_span`` does, in its order (enabled, parent, sampler, identity, the
SDK's own metrics, processors), and fills in a span of the SDK's class from a prototype of the same tracer. It is used
only where an SDK's span has exactly the fields that it knows of; else the tracer starts spans itself.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from threading import Lock
from time import time_ns
from typing import Any, ClassVar, cast

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    TraceFlags,
    Tracer,
    get_current_span,
)

from otel_llm.config import fault

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
_LIST = {"dropped", "_dq", "_lock"}
_ATTRIBUTES = {"_dict", "maxlen", "dropped", "max_value_len", "_lock", "_immutable"}
#: The fields of a tracer that are read.
_TRACER = {"sampler", "resource", "span_processor", "id_generator", "_span_limits", "_tracer_metrics"}
# fmt: on

#: More attributes than a call has at its start.
_FEW = 64

_FLAGS = tuple(TraceFlags(flags) for flags in range(4))


class Starter:
    """Starts the spans of one tracer of the SDK's."""

    def __init__(self, tracer: Any, prototype: Any, always: Any) -> None:
        self._tracer = tracer
        self._kind = type(prototype)
        self._span = {name: value for name, value in vars(prototype).items() if name in _SHARED}
        self._attributes = {name: value for name, value in vars(prototype._attributes).items() if name != "_lock"}
        self._list = _lazy(type(prototype._events))
        self._most = {"events": prototype._limits.max_events, "links": prototype._limits.max_links}
        sampler = tracer.sampler
        roots = [getattr(sampler, name, None) for name in ("_root", "_local_parent_sampled")]
        #: The sampler of the SDK's default, which samples every root and every child of a sampled span.
        self._default = sampler if type(sampler).__name__ == "ParentBased" and roots == [always, always] else None
        self._sampled = always.should_sample(None, 1, "").decision

    @staticmethod
    @lru_cache(maxsize=4)  # each is made by a provider, and the SDK's providers leave a trace in the process
    def of(tracer: Tracer) -> Starter | None:
        """The starter of a tracer; ``None`` for one that is not the SDK's, or whose spans are not as they are known."""
        try:
            from opentelemetry.sdk import trace as sdk
            from opentelemetry.sdk.trace.sampling import ALWAYS_ON

            if type(tracer) is not sdk.Tracer or not vars(tracer).keys() >= _TRACER or not callable(tracer._is_enabled):
                return None
            like = sdk.TracerProvider(
                ALWAYS_ON, tracer.resource, span_limits=tracer._span_limits, shutdown_on_exit=False
            ).get_tracer("otel_llm")
            prototype: Any = like.start_span("prototype")
            fields, held, lists = vars(prototype), prototype._attributes, (prototype._events, prototype._links)
            if (
                fields.keys() != _OWN | _SHARED
                or vars(held).keys() != _ATTRIBUTES
                or held.max_value_len is not None
                or (held.maxlen is not None and held.maxlen < _FEW)
                or any(vars(each).keys() != _LIST for each in lists)
                or type(lists[0]) is not type(lists[1])
            ):
                return None
            fields["_sampler"], fields["_span_processor"] = tracer.sampler, tracer.span_processor
            for name in ("instrumentation_info", "_instrumentation_scope"):
                fields[f"_{name.lstrip('_')}"] = getattr(tracer, name)
            return Starter(tracer, prototype, ALWAYS_ON)
        except Exception:
            fault("looking at the SDK's spans")
            return None

    def start(self, name: str, kind: SpanKind, attributes: dict[str, Any]) -> Span:
        """A span that begins now, below the current one. ``attributes`` are few and of plain types."""
        tracer = self._tracer
        parent: SpanContext | None = get_current_span().get_span_context()
        if not tracer._is_enabled():
            return NonRecordingSpan(parent or INVALID_SPAN_CONTEXT)
        ids = tracer.id_generator
        if parent is None or not parent.is_valid:
            parent = None
            trace_id = ids.generate_trace_id()
            random = ids.is_trace_id_random()
        else:
            trace_id = parent.trace_id
            random = parent.trace_flags.random_trace_id
        if tracer.sampler is self._default and (
            parent is None or (parent.trace_flags.sampled and not parent.is_remote)
        ):
            decision = self._sampled
            state = None if parent is None else parent.trace_state
            held = attributes.copy()
        else:
            said = tracer.sampler.should_sample(None, trace_id, name, kind, attributes, ())
            decision, state, held = said.decision, said.trace_state, dict(said.attributes)
        flags = _FLAGS[decision.is_sampled() | random << 1]
        context = SpanContext(trace_id, ids.generate_span_id(), False, flags, state)
        counted = tracer._tracer_metrics.start_span(parent, decision)
        if not decision.is_recording():
            return NonRecordingSpan(context)
        bounded: Any = BoundedAttributes.__new__(BoundedAttributes)
        bounded.__dict__.update(self._attributes, _dict=held, _lock=Lock())
        events, links = object.__new__(self._list), object.__new__(self._list)
        events.most, links.most = self._most["events"], self._most["links"]
        span: Any = object.__new__(self._kind)
        span.__dict__.update(
            self._span,
            _resource=tracer.resource,
            _name=name,
            _context=context,
            _parent=parent,
            _kind=kind,
            _start_time=time_ns(),
            _lock=Lock(),
            _attributes=bounded,
            _events=events,
            _links=links,
            _record_end_metrics=counted,
        )
        tracer.span_processor.on_start(span, parent_context=None)
        return cast(Span, span)


def _lazy(kind: Any) -> Any:
    """The SDK's list of events and links, made when something is put into it, which is hardly ever."""

    class Lazy(kind):  # type: ignore[misc]
        dropped = 0
        most: int | None = None
        _dq: ClassVar[deque[Any]] = deque(maxlen=0)
        _lock = Lock()

        def append(self, item: Any) -> None:
            if "_lock" not in vars(self):
                kind.__init__(self, self.most)
            super().append(item)

        def extend(self, seq: Any) -> None:
            if "_lock" not in vars(self):
                kind.__init__(self, self.most)
            super().extend(seq)

    return Lazy
