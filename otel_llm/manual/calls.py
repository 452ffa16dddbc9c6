"""``call()`` and ``record_call()``: calls of any client, while they are made and after the fact."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict, Unpack

from opentelemetry.trace import Span, SpanContext

from otel_llm import attributes as a
from otel_llm.ambient import suppressed
from otel_llm.config import fault
from otel_llm.context import context
from otel_llm.errors import OtelLLMError
from otel_llm.manual.live import Call, CallFailed, Live
from otel_llm.manual.own import Asked, Own, inference
from otel_llm.manual.recipe import Recipe
from otel_llm.manual.said import Known, said
from otel_llm.manual.shapes import Answer
from otel_llm.messages import mended
from otel_llm.patches import in_force
from otel_llm.prompts import Prompt

#: A call or a span: a handle, which is a W3C traceparent and may come from another process, or the object itself.
Parent = str | Span | SpanContext | Live


class Placed(TypedDict, total=False):
    """What may be said of any call or step."""

    parent: Parent | None
    links: Sequence[Parent] | Parent
    tags: Sequence[str] | None
    metadata: Mapping[str, Any] | None


class Said(Placed, total=False):
    """What may be said of a call before it is made, as :class:`call` takes it."""

    model: str | None
    provider: str | None
    input: Any
    system: Any
    tools: Sequence[Any] | None
    parameters: Mapping[str, Any] | None
    prompt: Prompt | tuple[str, str] | str | None


class Past(Said, Known, total=False):
    """What may be said of a call that is over."""

    call_type: str | None


class call(Recipe[Call]):
    """A call to a model by a client that is not patched, or by a patched one that it tells more about.

    >>> with otel_llm.call(model="claude-sonnet-4-5", provider="anthropic", input=question) as call:
    ...     call.complete(client.messages.create(...))

    ``operation`` is the conventions' word for it. ``call_type`` is one of :data:`otel_llm.attributes.CALL_TYPES`.
    ``input`` is a text, texts, or messages in OpenAI's, Anthropic's, Gemini's or the conventions' shape; of a decorator
    it may be a function that makes it of the decorated function's arguments. ``parameters`` are those of the request:
    temperature, max_tokens and so on. ``prompt`` is a prompt of ours or a name and a version. ``parent`` is a call or a
    span that this is part of, in whatever process; by default it is what is current. ``user_id`` and such are said by
    :func:`otel_llm.context`.

    Entering it raises :class:`~otel_llm.errors.GuardrailBlocked` where a blocking rule refuses the input.
    """

    def __init__(
        self,
        operation: str = "chat",
        *,
        model: str | None = None,
        provider: str | None = None,
        call_type: str | None = None,
        input: Any = None,
        system: Any = None,
        tools: Sequence[Any] | None = None,
        parameters: Mapping[str, Any] | None = None,
        prompt: Prompt | tuple[str, str] | str | None = None,
        parent: Parent | None = None,
        links: Sequence[Parent] | Parent = (),
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        params = {"model": text(model, "model"), "input": input, "system": system, "tools": tools}
        super().__init__(
            Call,
            Asked(
                endpoint=inference(text(operation, "operation") or "chat"),
                params=_merged(parameters, params),
                provider=text(provider, "provider"),
                prompt=prompt,
                parent=parent,
                links=links,
                stamp=stamp(call_type, tags, metadata),
            ),
        )

    def _params(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        params = super()._params(function, args, kwargs)
        if callable(made := params["input"]):
            params["input"] = None
            params["input"] = made(*args, **kwargs)
        return params


def text(value: Any, name: str) -> str | None:
    """A name as text; ``None`` where it has none, which is said."""
    if value is None or (type(value) is str and value.isascii()):
        return value
    try:
        return mended(str.__str__(value) if isinstance(value, str) else str(value))
    except Exception:
        fault(f"the {name} of a call")
        return None


def _merged(parameters: Mapping[str, Any] | None, params: dict[str, Any]) -> dict[str, Any]:
    if not parameters:
        return params
    try:
        return {**{str(name): value for name, value in parameters.items()}, **params}
    except Exception:
        fault("the parameters of a call")
        return params


def stamp(call_type: str | None, tags: Sequence[str] | None, metadata: Mapping[str, Any] | None) -> context | None:
    """What is said of one call only, in the words of :func:`otel_llm.context`."""
    try:
        if call_type is None and not tags and not metadata:
            return None
        return context(call_type=call_type, tags=tags, metadata=metadata)
    except Exception:
        fault("the tags of a call")
        return None


def record_call(
    operation: str = "chat",
    *,
    start: datetime | float | None = None,
    end: datetime | float | None = None,
    duration: float | None = None,
    output: Any = None,
    error: BaseException | str | None = None,
    time_to_first_chunk: float | None = None,
    **known: Unpack[Past],
) -> str | None:
    """Records a call that is over; its handle, or ``None`` where nothing is recorded. Never raises.

    ``start`` and ``end`` are times, or seconds since 1970; ``duration`` and ``time_to_first_chunk`` are seconds. Two of
    the three say all; without an ``end`` it is now. ``error`` is what went wrong, as an exception or in words. All else
    is as :class:`call` and :meth:`Call.complete` take it; guardrails observe and refuse nothing.
    """
    scope = in_force()
    if scope is None or suppressed():
        return None
    try:
        asked: dict[str, Any] = {name: value for name, value in known.items() if name in _ASKED}
        recipe = call(operation, **asked)._asked
        begins, ends = _times(start, end, duration)
        own = Own(scope, recipe, recipe.params, None, int(begins * 1e9))
        own.at = datetime.fromtimestamp(begins, UTC)
        own.ends = int(ends * 1e9)
        if own.wanted:
            with contextlib.suppress(OtelLLMError):
                own.ask(recipe, recipe.params)
            if time_to_first_chunk is not None:
                own.streaming = own.values[a.STREAM.name] = True
                own.values[a.TIME_TO_FIRST_CHUNK.name] = float(time_to_first_chunk)
            own.response = Answer(output, said(known))
            own.started = time.perf_counter() - (ends - begins)
            own.end(CallFailed(error) if isinstance(error, str) else error, "completed" if error is None else "error")
        return own.handle
    except Exception:
        fault("recording a call that is over")
        return None


_ASKED = Said.__annotations__.keys() | Placed.__annotations__.keys() | {"call_type"}

#: Seconds since 1970 that a time may be, which is the year 5138: more are milliseconds.
_LATEST = 1e11


def _times(start: datetime | float | None, end: datetime | float | None, duration: float | None) -> tuple[float, float]:
    """The seconds since 1970 at which a call began and ended; now, where they make no sense."""
    try:
        first, last, took = _seconds(start), _seconds(end), None if duration is None else max(0.0, float(duration))
        if last is None:
            last = time.time() if first is None or took is None else first + took
        if first is None:
            first = last - (took or 0.0)
        if not 0 <= first <= last <= _LATEST:
            raise ValueError(f"a call cannot last from {first} to {last} seconds after 1970")
    except Exception:
        fault("the times of a call")
        now = time.time()
        return now, now
    return first, last


def _seconds(moment: datetime | float | None) -> float | None:
    if moment is None:
        return None
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
