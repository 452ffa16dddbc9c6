"""What both receivers do with a request: check it, recognise it, write it to the log."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from otel_llm_collector.errors import LogFull
from otel_llm_collector.log.record import Record, digest
from otel_llm_collector.log.seen import REMEMBERED
from otel_llm_collector.log.wal import Log
from otel_llm_collector.measures.counts import Counts, Door, Taken
from otel_llm_collector.otlp.check import Checked, check
from otel_llm_collector.otlp.clock import Clock
from otel_llm_collector.signals import Signal
from otel_llm_collector.sparing import Sparing

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request is on disk; ``rejected`` of its items were left out, for the reason given."""

    rejected: int = 0
    reason: str = ""


class Intake:
    """Takes requests in; belongs to one event loop."""

    def __init__(self, log: Log, counts: Mapping[str, Counts], seen: Iterable[bytes]) -> None:
        """``seen`` are the digests of requests that an earlier run acknowledged."""
        self._log = log
        self._counts = counts
        self._clock = Clock()
        self._whole: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._whole.set_result(Accepted())
        self._known: OrderedDict[bytes, asyncio.Future[Accepted]] = OrderedDict.fromkeys(seen, self._whole)
        self._sparing = Sparing(_log)

    async def accept(self, signal: Signal, body: bytes, door: Door, tenant: str = "") -> Accepted:
        """Returns when the request, in protobuf, is on disk; ``door`` is where it came in.

        Raises ``Malformed`` when it never will be, ``LogFull`` when it should be sent again.
        """
        counts = self._counts[signal.name]
        mark = digest(body, signal.name, tenant)
        known = self._known.get(mark)
        if known is not None:  # answered when the first one is on disk
            answer = await asyncio.shield(known)
            counts.duplicate_requests += 1
            return answer
        checked = check(signal, body, self._clock.window, tenant)
        if not checked.items:
            return Accepted()
        written = self._log.append(signal, Record(checked.body, checked.items, mark, checked.kinds, tenant))
        waiting = asyncio.ensure_future(self._written(counts.doors[door], counts, mark, written, checked))
        waiting.add_done_callback(asyncio.Future.exception)  # looked at even when the sender has gone
        self._known[mark] = waiting
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return await asyncio.shield(waiting)

    async def _written(
        self, taken: Taken, counts: Counts, mark: bytes, written: Future[None], checked: Checked
    ) -> Accepted:
        try:
            await asyncio.wrap_future(written)
        except LogFull:
            self._known.pop(mark, None)
            raise
        taken.requests += 1
        taken.items += checked.items
        taken.bytes += len(checked.body)
        counts.clamped += checked.clamped
        if checked.rejected:
            counts.rejected += checked.rejected
            # In the log too: many exporters do not read it in the answer.
            self._sparing.say("rejected", "Not stored: %s", checked.reason)
        elif mark in self._known:
            self._known[mark] = self._whole
        return Accepted(checked.rejected, checked.reason)
