"""Sends the log to one endpoint, from a thread of its own, at whatever speed that endpoint takes it."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from otel_llm_collector.log.segment import Segment
from otel_llm_collector.settings import DRAIN_S
from otel_llm_collector.signals import Signal
from otel_llm_collector.sparing import Sparing

from .endpoint import Endpoint
from .forwarded import Forwarded
from .lane import Lane
from .retry import Verdict
from .transport import Answer, Transport, connect

_log = logging.getLogger(__name__)

_TIMEOUT_S = 10.0
_SLOWEST = 128 << 10
"""Bytes a second that a line is waited for to carry."""
_PATIENCE_S = (0.2, 30.0)


@dataclass(slots=True)
class _Turn:
    """A lane, and when it may be tried again."""

    lane: Lane
    after: float = 0.0
    failures: int = 0


class Forwarder:
    """Empties the folders of one endpoint, each in order; one that must wait does not hold up the others."""

    def __init__(self, endpoint: Endpoint, folders: Mapping[Signal, Path]) -> None:
        self.endpoint = endpoint
        self.counts = Forwarded()
        self.last_error = ""
        """The sentence of the last failure; empty once a request is accepted."""
        self._turns = {signal: _Turn(Lane(signal, folder, self.counts)) for signal, folder in folders.items()}
        self._changed = threading.Condition()
        self._ends: float | None = None
        self._sparing = Sparing(_log)
        self._transport: Transport | None = None
        self.thread = threading.Thread(target=self._run, name=f"otel-llm-to-{endpoint.name}", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def add(self, segment: Segment) -> None:
        """Send a segment, if the endpoint gets its signal."""
        turn = self._turns.get(segment.signal)
        if turn is not None:
            turn.lane.add(segment)
            with self._changed:
                self._changed.notify_all()

    def stop(self) -> None:
        """Send for a few seconds more what the endpoint takes at once. What it does not take stays in its folder."""
        with self._changed:
            self._ends = time.monotonic() + DRAIN_S
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until it has stopped, which a request under way does not delay for longer."""
        self.thread.join()

    @property
    def segments(self) -> int:
        """How many wait."""
        return sum(turn.lane.segments for turn in self._turns.values())

    @property
    def room(self) -> int:
        """Bytes that they take of the disk."""
        return sum(turn.lane.room for turn in self._turns.values())

    @property
    def oldest_age_s(self) -> float:
        """Seconds since the oldest of them was begun; 0 when none waits."""
        oldest = min((began for turn in self._turns.values() if (began := turn.lane.began()) is not None), default=None)
        return max(0.0, time.time() - oldest) if oldest is not None else 0.0

    def status(self) -> dict[str, Any]:
        """What it has done, and what waits."""
        return {
            "url": self.endpoint.url,
            "signals": [signal.name for signal in self.endpoint.signals],
            **asdict(self.counts),
            "segments_waiting": self.segments,
            "bytes_waiting": self.room,
            "oldest_age_s": round(self.oldest_age_s, 3),
            "last_error": self.last_error,
        }

    def _run(self) -> None:
        try:
            while (turn := self._next()) is not None:
                self._step(turn)
        finally:
            if self._transport is not None:
                self._transport.close()

    def _next(self) -> _Turn | None:
        """The next lane that may be tried, which is waited for; ``None`` at the end."""
        while True:
            self._bound()
            with self._changed:
                now = time.monotonic()
                turn = self._due(now)
                if turn is not None or self._ends is not None:
                    return turn
                self._changed.wait(self._patience(now))

    def _due(self, now: float) -> _Turn | None:
        """The lane whose turn it is: of those that may be tried, the one with the oldest segment."""
        if self._ends is not None and now >= self._ends:
            return None
        ready = [turn for turn in self._turns.values() if turn.lane.segments and turn.after <= now]
        return min(ready, key=lambda turn: turn.lane.began() or 0.0, default=None)

    def _patience(self, now: float) -> float | None:
        """Seconds until a lane may be tried again; for ever when nothing waits."""
        return min((turn.after - now for turn in self._turns.values() if turn.lane.segments), default=None)

    def _step(self, turn: _Turn) -> None:
        """Send one request. Whatever goes wrong, the next step may go right."""
        lane = turn.lane

        def wanted() -> bool:
            self._bound(lane)
            return self._ends is None or time.monotonic() < self._ends

        try:
            request = lane.request()
            if request is None:
                return
            if self._transport is None:
                self._transport = connect(self.endpoint)
            timeout_s = _TIMEOUT_S + len(request.body) / _SLOWEST
            answer = self._transport.send(lane.signal, request.body, timeout_s, wanted)
            reason = f"{answer.status}: {answer.message}"
            if answer.verdict is Verdict.AGAIN:
                self._failed(turn, reason, answer.wait_s)
                return
            turn.failures = 0
            if answer.verdict is Verdict.ACCEPTED:
                self.counts.requests += 1
                self.counts.items += request.items
                self.counts.bytes += len(request.body)
                self.last_error = ""
                self._partly(lane.signal, answer)
            elif answer.verdict is not Verdict.GIVEN_UP and lane.divide(answer.verdict is Verdict.TOO_LARGE):
                self.counts.failures += 1
                self.last_error = reason
                return
            else:
                self._refused(lane.signal, answer, request.items)
            lane.through()
        except Exception as error:
            self._failed(turn, str(error) or type(error).__name__, 0.0)

    def _failed(self, turn: _Turn, reason: str, wait_s: float) -> None:
        """Try again later, and later every time."""
        self.counts.failures += 1
        self.last_error = reason
        shortest, longest = _PATIENCE_S
        delay = min(longest, shortest * 2 ** min(turn.failures, 16)) * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        turn.failures += 1
        turn.after = time.monotonic() + max(delay, wait_s)
        self._sparing.say("failed", "%s are not sent to %s yet: %s", turn.lane.signal.name, self.endpoint.url, reason)

    def _partly(self, signal: Signal, answer: Answer) -> None:
        self.counts.rejected += answer.rejected
        if answer.rejected:
            message = "%s left out %d %s of a request: %s"
            self._sparing.say("rejected", message, self.endpoint.url, answer.rejected, signal.items, answer.message)

    def _refused(self, signal: Signal, answer: Answer, items: int) -> None:
        """A request that is not sent again."""
        self.counts.give_up(answer.status, items)
        self.last_error = f"{answer.status}: {answer.message}"
        if answer.unknown:
            message = "%s does not take %s; leave it out of `signals`. (%s)"
            self._sparing.say(f"unknown {signal.name}", message, self.endpoint.url, signal.name, self.last_error)
        else:
            message = "%s refuses a request for good, %d %s are not sent: %s"
            self._sparing.say("refused", message, self.endpoint.url, items, signal.items, self.last_error)

    def _bound(self, sending: Lane | None = None) -> None:
        """Give up the oldest segments beyond what may wait, but for the one that is being sent."""
        while self.room > self.endpoint.backlog_bytes:
            lanes = [turn.lane for turn in self._turns.values()]
            waiting = [(lane, place) for lane in lanes if lane.segments > (place := int(lane is sending))]
            if not waiting:
                return
            lane, place = min(waiting, key=lambda one: one[0].began(one[1]) or 0.0)
            try:
                lost = lane.give_up(place)
            except OSError as error:
                self._sparing.say("backlog", "The backlog of %s cannot be made smaller: %s", self.endpoint.url, error)
                return
            self.counts.give_up("backlog", lost)
            _log.error(
                "%s has not taken %d %s in time: more than %d MiB waited for it, so they are not sent.",
                self.endpoint.url,
                lost,
                lane.signal.items,
                self.endpoint.backlog_bytes >> 20,
            )
