"""Sessions: connections that stay open, on which a model is asked again and again. Each turn is a call.

A turn begins when the application asks for an answer, or when the provider begins one by itself (it has heard somebody
speak); what was sent since the last turn is its input. It ends when the provider says so (``completed``, ``cancelled``
where it was interrupted, ``error``), when the connection is lost (``error``), when the session is closed before
(``closed_early``; ``cancelled`` where that is because a task is), or when it is dropped (``abandoned``).

The parent of a turn is what is current where it was asked for, or where the provider's word was received; where nothing
is, it is what was current when the session was connected. A span is never current while the application's code runs,
and nothing can be refused: interceptors are shown a turn when it is over.

A session keeps its turns in flight and what was sent for the next one, and nothing that could keep the SDK's object
alive: when that goes, so does all of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from contextvars import Context, copy_context
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.trace import get_current_span

from otel_llm import attributes as a
from otel_llm.ambient import suppressed
from otel_llm.config import fault
from otel_llm.context import current
from otel_llm.errors import OtelLLMError
from otel_llm.invocation import Invocation
from otel_llm.provider import Dialogue, Endpoint, Fold, Params, Server, Session
from otel_llm.reaper import dropped, watch
from otel_llm.scope import Scope
from otel_llm.stream import Recording

#: Turns in flight that a session may have; the oldest is given up for one more.
MOST = 256

_FIRST, _PER_CHUNK = a.TIME_TO_FIRST_CHUNK.name, a.TIME_PER_OUTPUT_CHUNK.name


class Turn(Recording):
    """A turn in flight. ``unasked`` says that it began with its first chunk; ``whole`` that all chunks have come."""

    __slots__ = ("context", "unasked", "whole")

    def __init__(self, call: Invocation, fold: Fold, context: Context) -> None:
        super().__init__(call, fold)
        self.context = context
        self.unasked = self.whole = False

    def note(self, message: Any) -> None:
        """Takes in a message that carries nothing of the answer."""
        try:
            self.fold.add(message)
        except Exception:
            fault("folding a message")

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the turn with what has come so far."""
        call = self.call
        if call.ended:
            return
        if self.whole and outcome != "cancelled":
            outcome, error = "completed", None
        try:
            call.outcome = outcome
            self.context.run(_show, call)
            call.response = self.fold.response()
        except Exception:
            fault("a turn of a session")
        super().end(outcome, error)

    def _measure(self, call: Invocation) -> None:
        super()._measure(call)
        if self.unasked:
            del call.values[_FIRST]
        if self.chunks > 1:  # what is said about a turn after its last chunk is no chunk
            call.values[_PER_CHUNK] = (self.last - self.first) / (self.chunks - 1)


class Followed:
    """A session in use: what its messages mean, and its turns in flight."""

    def __init__(self, scope: Scope, session: Session, server: Server, params: Params, connection: Any) -> None:
        self.reading = False
        self._turns: dict[Hashable, Turn | None] = {}
        self._begun: list[Hashable] = []
        self._over: list[tuple[Turn, str, BaseException | None]] = []
        self._lock = threading.RLock()
        self._scope = scope
        self._server = server
        self._lost = session.lost
        self._context = otel_context.get_current()
        self._said = current()
        self._dialogue: Dialogue = session.dialogue(params, connection, scope.keeps)

    # What happens on the connection -------------------------------------------------------------------------------

    def sent(self, method: str, args: tuple[Any, ...], kwargs: Params) -> list[Hashable]:
        """A method is about to send something; the turns that begin with it."""
        return self._tell(None, self._dialogue.sent, self, method, args, kwargs)

    def unsent(self, begun: list[Hashable], error: BaseException) -> None:
        """What was to be sent was not."""
        self._tell(None, self._finish_all, None if self._gone(error) else begun, outcome_of(error), error)

    def received(self, message: Any) -> None:
        """A message has come."""
        self._tell(message, self._dialogue.received, self, message)

    def failed(self, error: BaseException) -> None:
        """An error has come in place of a message; while the connection is there, nothing follows from that."""
        if self._gone(error):
            self._tell(None, self._finish_all, None, "error", error)

    def left(self) -> None:
        """The application closes the session."""
        error = sys.exception()
        if error is not None and outcome_of(error) == "cancelled":
            self._tell(None, self._finish_all, None, "cancelled", error)
        else:
            self._tell(None, self._finish_all, None, "closed_early")

    def __del__(self) -> None:
        for turn in self._turns.values():
            if turn is not None:
                dropped(turn)

    # What the dialogue makes of it --------------------------------------------------------------------------------

    def __contains__(self, key: Hashable) -> bool:
        """Whether a turn is in flight."""
        return key in self._turns

    def begin(self, key: Hashable, endpoint: Endpoint, params: Params, fold: Fold) -> None:
        """A turn begins here and now."""
        self._turns[key] = None
        self._begun.append(key)
        if not suppressed():
            here = otel_context.get_current()
            parent = here if get_current_span(here).get_span_context().is_valid else self._context
            call = Invocation(self._scope, endpoint, self._server, params, parent)
            if call.wanted:
                call.values.update(self._said)
                call.read_request(params, content=False)
                turn = self._turns[key] = Turn(call, fold, _ours(parent))
                watch(turn)
        if len(self._turns) > MOST:
            self._finish(next(iter(self._turns)), "abandoned")

    def add(self, key: Hashable, message: Any, *, chunk: bool = False) -> None:
        """A message is part of a turn."""
        turn = self._turns.get(key)
        if turn is None:
            return
        if not chunk:
            turn.note(message)
            return
        turn.add(message)
        turn.last = time.perf_counter()
        if turn.chunks == 1:
            turn.began()
            turn.unasked = key in self._begun

    def whole(self, key: Hashable) -> None:
        """All of the answer has come."""
        if (turn := self._turns.get(key)) is not None:
            turn.whole = True

    def end(self, key: Hashable, outcome: str) -> None:
        """A turn has ended."""
        self._finish(key, outcome)

    # How it is done -----------------------------------------------------------------------------------------------

    def _tell(self, message: Any, tell: Callable[..., None], *args: Any) -> list[Hashable]:
        """Tells one thing at a time; the turns that begin with it.

        Those that end with it, or with ``message``, are ended when the next thing may be told: that may take an
        exporter's time.
        """
        with self._lock:
            begun = self._begun = []
            try:
                tell(*args)
            except Exception:
                fault("following a session")
            if not self._over:
                return begun
            over, self._over = self._over, []
        for turn, outcome, error in over:
            turn.end(outcome, error)
            if message is not None:
                turn.call.gave(message)
        return begun

    def _finish_all(self, keys: Iterable[Hashable] | None, outcome: str, error: BaseException | None = None) -> None:
        for key in list(self._turns if keys is None else keys):
            self._finish(key, outcome, error)

    def _finish(self, key: Hashable, outcome: str, error: BaseException | None = None) -> None:
        turn = self._turns.pop(key, None)
        if turn is not None:
            self._over.append((turn, outcome, error))

    def _gone(self, error: BaseException) -> bool:
        return not self._lost.isdisjoint(kind.__name__ for kind in type(error).__mro__)


def refused(scope: Scope, session: Session, server: Server, params: Params, error: BaseException) -> None:
    """A session could not be connected: a call that failed."""
    try:
        known = {"model": params.get("model")}
        call = Invocation(scope, session.endpoint, server, known)
        if call.wanted:
            call.outcome = outcome_of(error)
            call.read_request(known, content=False)
            _show(call)
            call.end(error, call.outcome)
    except Exception:
        fault("a session that was not connected")


def outcome_of(error: BaseException) -> str:
    """What an error makes of a turn."""
    return "cancelled" if isinstance(error, asyncio.CancelledError | KeyboardInterrupt) else "error"


def _show(call: Invocation) -> None:
    """Reads all that was sent, and shows it to the interceptors, who may no longer refuse it."""
    call.read_content()
    with contextlib.suppress(OtelLLMError):
        call.before()


def _ours(parent: otel_context.Context) -> Context:
    """A context like the present one, without what is the application's: that may hold the session itself."""
    ours = Context()
    for variable, value in copy_context().items():
        if variable.name.startswith("otel_llm."):
            ours.run(variable.set, value)
    ours.run(otel_context.attach, parent)
    return ours
