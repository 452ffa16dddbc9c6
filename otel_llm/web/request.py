"""A request that is served: its id, what is said below it, and its server span, which ends exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import DefaultGetter
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode, get_current_span

from otel_llm import ambient, baggage
from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.context import NAMED, context, forget
from otel_llm.manual.around import Around
from otel_llm.web.incoming import Incoming, new_request_id, valid_request_id

#: The request that is served here. A server may run the next one of a connection in what this one left: uvicorn does
#: after a large body and where requests are sent at once (https://github.com/python/cpython/issues/140947).
_served: ContextVar[Request | None] = ContextVar("otel_llm.served", default=None)


class _Lower(DefaultGetter):
    """Finds headers by whatever letters a propagator writes them with: X-Ray's is ``X-Amzn-Trace-Id``."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        """What a header says."""
        return super().get(carrier, key.lower())


_LOWER = _Lower()


class Request:
    """A request, from when it comes in; current from :meth:`enter` to :meth:`leave`.

    Where an instrumentation has begun a server span for it, that one is its span, and theirs to end. Any other span
    that is current has to do with the server or with a client in this process, not with the request.
    """

    _said: context
    _span: Span

    def __init__(self, incoming: Incoming, accept_baggage: bool) -> None:
        self._incoming = incoming
        self.route = ""
        """The pattern of the path, once the framework has said it."""
        self._open = [True]  # is emptied by who ends it: one of all threads
        self._around: Around | None = None
        self._failed = False
        self._over = False
        span = get_current_span()
        self._theirs = _serves(span)
        before = self._before = _served.get()
        if before is not None and before._over:
            forget(before._said)
            self._theirs = self._theirs and span.is_recording() and span is not before._span
            before._before = None  # else each would keep the one before it, and so on
        here = ambient.current() if self._theirs else propagate.extract(incoming.headers, Context(), _LOWER)
        said = baggage.read(NAMED, here) if accept_baggage else {}
        self._below = here if accept_baggage else baggage.without(NAMED, here)
        self._place: baggage.Place | None = None
        self.id = incoming.request_id() or valid_request_id(said.get("request_id", "")) or new_request_id()
        self._said = context(**{**said, "request_id": self.id})
        self._span = span if self._theirs else INVALID_SPAN

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return not self._open

    def enter(self) -> None:
        """Makes it current."""
        _served.set(self)
        if self._theirs:
            self._span.set_attribute(a.REQUEST_ID.name, self.id)
            if self._below is not ambient.current():
                self._place = self._below, ambient.attach(self._below)
            self._said.__enter__()
            return
        incoming = self._incoming
        around = self._around = Around(
            incoming.verb, SpanKind.SERVER, incoming.attributes(), self._below, said=self._said
        )
        self._span = around.span

    def leave(self) -> None:
        """Goes back to what was current."""
        _served.set(self._before)
        if self._around is not None:
            self._around.leave()
            return
        self._said.__exit__(None, None, None)
        if self._place is not None:
            baggage.leave(self._place)
            self._place = None

    def headers(self, present: Iterable[str]) -> list[tuple[str, str]]:
        """What a response gets besides the headers ``present``: the ids that it has not already."""
        there = {name.lower() for name in present}
        ours = [("X-Request-ID", self.id)]
        if (identity := self._span.get_span_context()).is_valid:
            ours.append(("X-Trace-ID", f"{identity.trace_id:032x}"))
        return [(name, value) for name, value in ours if name.lower() not in there]

    def responds(self, status: int) -> None:
        """The response has begun, with an HTTP status."""
        self._failed = status >= 500
        if self._around is not None:
            self._span.set_attribute("http.response.status_code", status)
            if self._failed:
                self._span.set_attribute(a.ERROR_TYPE.name, str(status))
                self._span.set_status(Status(StatusCode.ERROR))

    def sent(self) -> None:
        """The last byte was sent; a response that says of a failure waits for the exception that tells which."""
        self._over = True
        if not self._failed:
            self.end("completed")

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends it, the first time only; ``outcome`` is how its response ended, as streams of calls do."""
        self._over = True
        try:
            self._open.pop()
        except IndexError:
            return
        if self._around is None:
            return
        try:
            if self.route:
                self._span.update_name(f"{self._incoming.verb} {self.route}")
                self._span.set_attribute("http.route", self.route)
            if outcome != "completed":
                self._span.set_attribute(a.STREAM_OUTCOME.name, outcome)
        except Exception:
            fault("the end of a request")
        self._around.end(error if isinstance(error, Exception) else None)


def outcome_of(error: BaseException) -> str:
    """What an error makes of a response."""
    if isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        return "cancelled"
    return "closed_early" if isinstance(error, GeneratorExit) else "error"


def _serves(span: Span) -> bool:
    """Whether a span, which is current, is a server's, made for this request; one that is not sampled does not say."""
    identity = span.get_span_context()
    kind = getattr(span, "kind", SpanKind.SERVER)
    return identity.is_valid and not identity.is_remote and kind is SpanKind.SERVER
