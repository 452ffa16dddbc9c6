"""Random traces for Jaeger, from a seed: whole trees over several services, and what can be searched in them."""

from __future__ import annotations

import math
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from .otlp import value
from .random_values import DAY_NS, Values

SERVICES = ("web", "retrieval", "grün 'und' \"blau\"", "a\\b", "quiet")
OPERATIONS = ("GET /", "chat gpt-5", "日本語", "it's", 'say "hi"', "50%_off", "a\\b", "")
FINDABLE: dict[str, tuple[Any, ...]] = {
    "user.id": ("ada", "bob", "", "O'Brien", "\U0001f525"),
    "gen_ai.prompt.name": ("rag_answer", 'rag_"answer"', "rag\\answer", "%"),
    "count": (0, 1, -7, 2**53 + 1, "1"),
    "stream": (True, False, "true"),
    "ratio": (0.5, -1.25, 3.0),
    "raw": (b"\x00\xff", b""),
    "tags": (["a", "b"], [1, 2], []),
    "nested": ({"a": {"b": [1, "x"]}}, [["a"], {"k": b"v"}]),
}
"""Attributes that many spans have, somewhere: on themselves, their resource, their scope, an event."""
_DURATIONS = (0, 1, 999, 1_000, 1_500_000, 2_000_000_001, 3_600 * 10**9)
_OFTEN = 0.3


class Traces(Values):
    """Draws traces. Ids are valid, times lie in the day before ``now``; every text and value of :class:`Values` comes.

    ``finite``: without numbers that JSON does not have, which Jaeger's older API cannot show. ``clean``: every
    resource has a service and every span takes time, which Jaeger sees to in what it receives.
    """

    def __init__(self, seed: int, now: int, finite: bool = True, clean: bool = True) -> None:
        super().__init__(seed, now)
        self._weights = (*self._weights[:-1], 0)  # nothing that OTLP's readers do not know
        self._finite = finite
        self._clean = clean

    def request(self, traces: int) -> ExportTraceServiceRequest:
        """A request with some traces, of which a resource and a scope may hold more than one."""
        request = ExportTraceServiceRequest()
        resources = [self._resource(request.resource_spans.add()) for _ in range(1 + self._few(4))]
        scopes = [self._scope(resource.scope_spans.add()) for resource in resources for _ in range(1 + self._few(2))]
        for _ in range(traces):
            self._trace([self._chance.choice(scopes) for _ in range(1 + self._few(3))])
        for resource in resources:
            used = [scope for scope in resource.scope_spans if scope.spans]
            del resource.scope_spans[:]
            resource.scope_spans.extend(used)
        used_resources = [resource for resource in resources if resource.scope_spans]
        return ExportTraceServiceRequest(resource_spans=used_resources)

    def _resource(self, resource: ResourceSpans) -> ResourceSpans:
        if self._clean or self._often():
            resource.resource.attributes.add(key="service.name", value=value(self._chance.choice(SERVICES)))
        self._plain(resource.resource.attributes)
        return resource

    def _scope(self, scope: ScopeSpans) -> ScopeSpans:
        if self._often():
            scope.scope.name, scope.scope.version = self._text(), self._text()
            self._plain(scope.scope.attributes)
        return scope

    def _trace(self, scopes: list[ScopeSpans]) -> None:
        trace, began = self._chance.randbytes(16), self._now - self._chance.randrange(DAY_NS // 2, DAY_NS)
        known: list[bytes] = []
        for _ in range(1 + self._few(9)):
            span = self._chance.choice(scopes).spans.add(trace_id=trace, span_id=self._chance.randbytes(8))
            if known and self._often():
                span.parent_span_id = self._chance.choice(known)
            elif self._rarely():
                span.parent_span_id = self._chance.randbytes(8)  # of a span that never came
            self._fill(span, began)
            known.append(span.span_id)

    def _fill(self, span: Span, began: int) -> None:
        chance = self._chance
        span.name = chance.choice(OPERATIONS) if self._often() else self._text()
        span.kind = chance.randrange(6)
        span.start_time_unix_nano = began + chance.randrange(10**9)
        length = chance.choice(_DURATIONS) if self._often() else chance.randrange(10**10)
        span.end_time_unix_nano = span.start_time_unix_nano + max(length, int(self._clean))
        span.trace_state, span.flags = chance.choice(("", "a=1,b=2")), chance.choice((0, 1, 0x301))
        span.status.code = chance.randrange(3)
        span.status.message = self._text() if self._rarely() else ""
        self._plain(span.attributes)
        for _ in range(self._few(3)):
            at = chance.randrange(span.start_time_unix_nano, span.end_time_unix_nano + 1)
            event = span.events.add(time_unix_nano=at, name=self._text())
            self._plain(event.attributes)
        for _ in range(self._few(2)):
            link = span.links.add(trace_id=chance.randbytes(16), span_id=chance.randbytes(8), trace_state=self._text())
            link.attributes.add(key=f"link {self._few(9)}", value=value(self._text()))  # this Jaeger searches in none

    def _plain(self, attributes: Any) -> None:
        """Attributes of which each key comes once: of two Jaeger's stores take different ones."""
        for name, values in FINDABLE.items():
            if self._chance.random() < _OFTEN / 3:
                attributes.add(key=name, value=value(self._chance.choice(values)))
        drawn = ResourceSpans()
        self._attributes(drawn.resource.attributes)
        taken = {attribute.key for attribute in attributes} | {"service.name"}
        for attribute in drawn.resource.attributes:
            attribute.DiscardUnknownFields()
            if attribute.key not in taken:
                taken.add(attribute.key)
                attributes.append(attribute)

    def _double(self) -> float:
        drawn = super()._double()
        return drawn if math.isfinite(drawn) or not self._finite else 0.25
