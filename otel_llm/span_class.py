"""The class of a tracer's spans: the SDK's, with what all of them share kept in the class, and the rest made late.

A span of the SDK's has 21 fields, of which a call needs six. One that anybody else puts an attribute, an event or a
link on goes the SDK's own way from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from threading import Lock, RLock
from types import MappingProxyType
from typing import Any

from opentelemetry.attributes import BoundedAttributes

from otel_llm.fork import guard


def span_class(tracer: Any, prototype: Any, shared: Iterable[str]) -> Any:
    """A class of spans like the prototype: what all of a tracer's spans share is the class's, and what is hardly ever
    asked for is made when it is.

    ``held`` are the attributes, by name; ``late`` says that somebody has had any of the late parts in hand.
    """
    limits, parts = prototype._limits, type(prototype._events)
    settings = {name: value for name, value in vars(prototype._attributes).items() if name not in ("_dict", "_lock")}

    def bounded(span: Any) -> BoundedAttributes:
        made: Any = BoundedAttributes.__new__(BoundedAttributes)
        made.__dict__.update(settings, _dict=span.held, _lock=Lock(), _immutable=span._end_time is not None)
        attributes: BoundedAttributes = made
        return attributes

    def view(span: Any) -> Mapping[str, Any]:
        own = span._attributes if span._end_time is None else vars(span).get("_attributes", span.held)
        return MappingProxyType(own or {})

    def listed(name: str) -> property:
        return property(lambda span: tuple(vars(span).get(name, ())))

    def dropped(name: str) -> property:
        return property(lambda span: getattr(vars(span).get(name), "dropped", 0))

    base = type(prototype)
    fields = {name: value for name, value in vars(prototype).items() if name in shared}
    return type(
        base.__name__,
        (base,),
        fields
        | {
            "__module__": base.__module__,
            "_instrumentation_info": tracer.instrumentation_info,
            "_instrumentation_scope": tracer._instrumentation_scope,
            "_resource": tracer.resource,
            "_sampler": tracer.sampler,
            "_span_processor": tracer.span_processor,
            "_record_end_metrics": staticmethod(prototype._record_end_metrics),
            "_attributes": _Late(bounded),
            "_events": _Late(lambda span: parts(limits.max_events)),
            "_links": _Late(lambda span: parts(limits.max_links)),
            "_lock": _Late(lambda span: Lock()),
            "attributes": property(view),
            "events": listed("_events"),
            "links": listed("_links"),
            **{f"dropped{name}": dropped(name) for name in ("_attributes", "_events", "_links")},
            "late": False,
        },
    )


#: Held while a late part of any span is made, and while a span ends that has none.
MAKING = guard(RLock())


class _Late:
    """A field that is made when it is asked for, once for all threads."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        self._make = make

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, span: Any, _: type | None = None) -> Any:
        if span is None:
            return self
        with MAKING:
            if self._name not in vars(span):
                span.late = True
                setattr(span, self._name, self._make(span))
            return vars(span)[self._name]
