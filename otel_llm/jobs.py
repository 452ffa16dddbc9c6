"""Work that is done later, elsewhere: a message carries the trace, and who takes it from the queue goes on with it.

>>> queue.put({"text": text, "trace": otel_llm.carrier()})
>>> with otel_llm.job("summarise", message["trace"], job_id=message["id"], queue="summaries"):
...     summarise(message["text"])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, get_current_span, set_span_in_context

from otel_llm import ambient, baggage
from otel_llm.config import fault
from otel_llm.context import NAMED, context
from otel_llm.manual.around import Around, Bracket

Carrier = Mapping[str, str]
_Made = Callable[..., Any]

#: Longest value of a carrier that is read, in characters, which is that of W3C's baggage.
_MOST = 8192


def carrier() -> dict[str, str]:
    """The place in the trace, to be put in a message: traceparent, tracestate where there is one, and baggage.

    They are what the application's propagators write, by default W3C's; empty where nothing is current.
    """
    carried: dict[str, str] = {}
    try:
        propagate.inject(carried)
    except Exception:
        fault("what a message carries")
    return carried


class job(Bracket):
    """A piece of work from a queue, as ``with``, ``async with`` or decorator.

    ``carrier`` is what :func:`carrier` gave the message: the work is part of that trace, below the current span where
    that is part of it already. Without one it is below what is current. Several are a batch: a trace of its own, with a
    link to each. ``job_id`` is in force as ``context(task_id=...)``. With ``accept_baggage`` so is what the sender said
    with ``context(..., baggage=True)``; a batch has many senders and accepts none.

    ``with`` gives the OpenTelemetry span. An error is recorded by its type and raised on. Of a decorator ``carrier``
    and ``job_id`` may be functions of the decorated function's arguments; the rest is the same.
    """

    def __init__(
        self,
        name: str,
        carrier: Carrier | Sequence[Carrier] | _Made | None = None,
        *,
        job_id: str | _Made | None = None,
        queue: str | None = None,
        accept_baggage: bool = False,
    ) -> None:
        super().__init__()
        self._name = str(name)
        self._carrier = carrier
        self._job_id = job_id
        self._queue = queue
        self._accept_baggage = accept_baggage

    def _begin(self) -> Around:
        attributes: dict[str, Any] = {"messaging.operation.type": "process", "messaging.operation.name": self._name}
        said: dict[str, Any] = {}
        below: Context | None = None
        links: list[Link] | None = None
        try:
            if self._queue is not None:
                attributes["messaging.destination.name"] = str(self._queue)
            if self._job_id is not None:
                said["task_id"] = attributes["messaging.message.id"] = str(self._job_id)
            if isinstance(self._carrier, list | tuple):
                attributes["messaging.batch.message_count"] = len(self._carrier)
                below, links = Context(), [Link(identity) for identity in _identities(self._carrier)]
            else:
                below = _below(self._carrier if isinstance(self._carrier, Mapping) else {})
                said = {**(baggage.read(NAMED, below) if self._accept_baggage else {}), **said}
        except Exception:
            fault("the carrier of a job")
        return Around(self._name, SpanKind.CONSUMER, attributes, below, links, context(**said))

    def _of(self, function: Callable[..., Any]) -> Callable[[tuple[Any, ...], dict[str, Any]], job]:
        def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> job:
            return job(
                self._name,
                _made(self._carrier, args, kwargs),
                job_id=_made(self._job_id, args, kwargs),
                queue=self._queue,
                accept_baggage=self._accept_baggage,
            )

        return of


def _made(value: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function makes of the arguments of another; nothing where it fails."""
    if not callable(value):
        return value
    try:
        return value(*args, **kwargs)
    except Exception:
        fault("what a job is told of its arguments")
        return None


def _below(carrier: Carrier) -> Context:
    """The context that a carrier leads to, with the current span where that is in the same trace."""
    here = ambient.current()
    there = _extracted(carrier, here)
    current, sender = _identity(here), _identity(there)
    if current.is_valid and not current.is_remote and current.trace_id == sender.trace_id:
        return set_span_in_context(get_current_span(here), there)
    return there


def _extracted(carrier: Carrier, below: Context) -> Context:
    short = {str(key): value for key, value in carrier.items() if isinstance(value, str) and len(value) <= _MOST}
    return propagate.extract(short, below)


def _identity(context: Context) -> SpanContext:
    return get_current_span(context).get_span_context()


def _identities(carriers: Sequence[Carrier]) -> Iterator[SpanContext]:
    """The spans that sent messages, of those that say so."""
    for carrier in carriers:
        if isinstance(carrier, Mapping) and (identity := _identity(_extracted(carrier, Context()))).is_valid:
            yield identity
