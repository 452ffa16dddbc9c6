"""Calls that have begun: completed, failed or dropped, and ended exactly once."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Any, Self, Unpack

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.errors import OtelLLMError
from otel_llm.handles import giver
from otel_llm.invocation import Place
from otel_llm.manual.entered import Entered
from otel_llm.manual.own import Own
from otel_llm.manual.said import Known, said
from otel_llm.manual.shapes import COST, Answer
from otel_llm.reaper import dropped, watch
from otel_llm.stream import AsyncStream, Recording, SyncStream

_STREAM = a.STREAM.name


class CallFailed(Exception):
    """What the application says went wrong, in words."""


class Abandoned(Exception):
    """Nobody ended a call: its object was dropped, or the process ended first."""


class _Came:
    """What came back: as the application says, else the text that the chunks add up to."""

    def __init__(self, call: Own) -> None:
        self._call = call
        self._texts: list[str] = []
        self.answer = Answer()

    def add(self, chunk: Any) -> None:
        if isinstance(chunk, str):
            self._texts.append(chunk)

    def response(self) -> Any:
        answer = self.answer
        if answer.output is None and not self._call.answered:
            answer.output = "".join(self._texts) or None
        if self._call.endpoint.result is not None:
            return answer.output
        return answer if answer.output is not None or answer.said else None


class _Flight(Recording):
    """A call in flight. It is ``handed`` on where a stream of the application's own ends it."""

    __slots__ = ("came", "handed")

    def __init__(self, call: Own) -> None:
        self.came = _Came(call)
        self.handed = False
        super().__init__(call, self.came)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the call with what is known of it."""
        if outcome == "abandoned" and not self.handed and error is None:
            error = Abandoned("Nobody ended the call: its object was dropped, or the process ended first.")
        super().end(outcome, error)


class Live:
    """A call or a step that has begun; as ``with`` and ``async with`` it is the current span, and ends when left.

    It may be completed or failed anywhere else too, in another thread, task or context. The first end counts, any other
    does nothing; one that is dropped without an end is ended as a failure that says so.
    """

    _flight: _Flight | None = None

    def __init__(self, own: Own | None) -> None:
        self._own = own
        if own is None:
            return
        self._places: Entered[Place] = Entered()
        if own.wanted:
            self._once = threading.Lock()
            self._flight = _Flight(own)
            watch(self._flight)

    @property
    def handle(self) -> str | None:
        """The call's handle, a W3C traceparent; ``None`` where nothing is recorded."""
        if self._own is None or not self._own.span.get_span_context().is_valid:
            return None
        return self._own.handle

    def fail(self, error: BaseException | str) -> None:
        """Ends it as failed, by an exception or by words for it."""
        self._finish(None, error if isinstance(error, BaseException) else CallFailed(error))

    def __enter__(self) -> Self:
        if self._own is not None:
            try:
                place = self._own.enter()
                self._places.add(place)
            except Exception:
                fault("entering a call")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._own is None:
            return
        try:
            if (place := self._places.pop()) is not None:
                self._own.leave(place)
        except Exception:
            fault("leaving a call")
        if isinstance(error, GeneratorExit):  # the generator that it is in was closed
            self._finish(None, None, "closed_early")
        else:
            self._finish(None, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def returned(self, result: Any) -> Any:
        """What a decorated function returned, as its caller gets it: a stream ends the call when it ends."""
        flight, own = self._flight, self._own
        if flight is None or own is None or own.pending:
            return result
        stream = _stream(result)
        if stream is None:
            self._finish(Answer(result))
        elif self._once.acquire(blocking=False):
            own.streaming = own.values[_STREAM] = flight.handed = True
            return stream(result, flight)
        return result

    def _finish(self, answer: Answer | None, error: BaseException | None = None, outcome: str | None = None) -> None:
        """Ends it, the first time only; raises only what a policy raises."""
        flight, own = self._flight, self._own
        if flight is None or own is None or not self._once.acquire(blocking=False):
            return
        try:
            if answer is not None:
                _settle(own, answer)
                own.gave(answer.output)
                flight.came.answer = answer
                own.response = flight.came.response()
            flight.end(outcome or _outcome(error), error)
        except OtelLLMError:
            raise
        except Exception:
            fault("ending a call")

    def __del__(self) -> None:
        if self._flight is not None and not self._once.locked():
            dropped(self._flight)


def _settle(own: Own, answer: Answer) -> None:
    """Leaves nothing of what the call inside has said that the application says otherwise, and counts nothing twice."""
    given_by = giver(answer.output)
    if given_by is not None and given_by == own.span.get_span_context():
        answer.output = None  # by the call inside, which has read it
    answer.counted = own.step or given_by is not None
    counted = a.INPUT_TOKENS in answer.said or a.OUTPUT_TOKENS in answer.said
    for name in a.USAGE if counted else ():
        own.values.pop(name, None)
    for attribute in COST if counted or a.COST_TOTAL in answer.said else ():
        own.values.pop(attribute.name, None)


def _stream(result: Any) -> type[SyncStream] | type[AsyncStream] | None:
    """How a result is gone through, where it is something to be gone through once."""
    try:
        return SyncStream if hasattr(result, "__next__") else AsyncStream if hasattr(result, "__anext__") else None
    except Exception:
        fault("what a function returned")
        return None


def _outcome(error: BaseException | None) -> str:
    """What an error makes of a stream."""
    if error is None:
        return "completed"
    return "cancelled" if isinstance(error, asyncio.CancelledError | KeyboardInterrupt) else "error"


class Step(Live):
    """A step between requests that has begun."""

    def complete(self, result: Any = None) -> None:
        """Ends it with what came of it."""
        self._finish(None if result is None else Answer(result))


class Call(Live):
    """A call to a model that has begun."""

    def chunk(self, text: str = "") -> None:
        """A chunk has come, with its text where the chunks are to add up to the output."""
        flight, own = self._flight, self._own
        if flight is None or own is None or self._once.locked():
            return
        try:
            own.streaming = own.values[_STREAM] = True
            flight.began()
            flight.add(text)
        except Exception:
            fault("a chunk")

    def complete(self, output: Any = None, **known: Unpack[Known]) -> None:
        """Ends the call with what came back.

        ``output`` is a text, messages, or an answer in the shape of OpenAI's, Anthropic's or Gemini's SDK or JSON, of
        which usage, model, id and reasons are read where they are not given. ``usage`` is in tokens: a
        :class:`~otel_llm.Usage`, a mapping with some of its names, or the provider's own. ``cost`` is what the provider
        said it charged, in ``currency``, an ISO 4217 code; without it the price table says. ``intent`` and
        ``confidence`` (0 to 1) are what the application took from the answer.

        Raises :class:`~otel_llm.errors.GuardrailBlocked` where a blocking rule refuses the output.
        """
        if self._flight is not None:
            self._finish(Answer(output, said(known) if known else {}))
