"""What all calls of an application share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from opentelemetry.trace import ProxyTracer, ProxyTracerProvider, Tracer, get_tracer_provider

from otel_llm.ambient import TRACERS
from otel_llm.content import Content
from otel_llm.events import Events
from otel_llm.interceptor import Interceptor, looks
from otel_llm.metrics import Metrics
from otel_llm.span import Starter

if TYPE_CHECKING:
    from otel_llm.completion import Completion


@dataclass(frozen=True)
class Scope:
    """What all calls of an application share."""

    tracer: Tracer
    interceptors: tuple[Interceptor, ...]
    content: Content
    events: Events
    metrics: Metrics
    completion: Completion | None = None
    include_usage: bool = False
    start_events: bool = False
    trace_headers: bool = False

    @cached_property
    def chain(self) -> tuple[tuple[Interceptor, bool, bool], ...]:
        """The interceptors, and whether each of them looks at a call before, and after."""
        return tuple((each, looks(each, "before"), looks(each, "after")) for each in self.interceptors)

    @cached_property
    def starter(self) -> Starter | None:
        """Starts spans where the tracer's are known to be as they are."""
        return Starter.of(self.tracer)

    @cached_property
    def proxied(self) -> bool:
        """Whether the application may have no provider yet, or ever."""
        return isinstance(self.tracer, ProxyTracer) and not self.policy

    @property
    def idle(self) -> bool:
        """Whether nothing can come of a call: there is no provider, nothing counts and no policy must see it."""
        if not self.proxied or self.metrics.live:
            return False
        return (
            isinstance(get_tracer_provider(), ProxyTracerProvider) if TRACERS is None else not TRACERS._TRACER_PROVIDER
        )

    @cached_property
    def keeps(self) -> bool:
        """Whether anybody wants content."""
        return self.content.span or self.content.event or self.completion is not None

    @property
    def apart(self) -> bool:
        """Whether content is wanted of calls that are not recorded too: events and the hook do not depend on spans."""
        return self.completion is not None or (self.content.event and self.events.live)

    @property
    def followed(self) -> bool:
        """Whether calls are counted, told or shown to a policy that are not recorded."""
        return self.policy or self.metrics.live or self.apart

    @cached_property
    def policy(self) -> bool:
        """Whether a policy must see every call."""
        return any(interceptor.policy for interceptor in self.interceptors)
