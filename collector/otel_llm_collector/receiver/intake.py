"""What both receivers do with a request: check it, recognise it, write it to the log."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from otel_llm_collector.log.record import Record, digest
from otel_llm_collector.log.seen import REMEMBERED
from otel_llm_collector.log.wal import Log
from otel_llm_collector.measures.counts import Counts, Door
from otel_llm_collector.otlp.check import Checked, check
from otel_llm_collector.otlp.clock import Clock
from otel_llm_collector.otlp.unfolded import UNFOLDED_BYTES
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import Signal
from otel_llm_collector.sparing import Sparing

from .aside import Aside
from .inflate import TooLarge
from .room import Lease

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request is on disk; ``rejected`` of its items were left out, for the reason given."""

    rejected: int = 0
    reason: str = ""


class Intake:
    """Takes requests in; belongs to one event loop."""

    def __init__(self, settings: Settings, log: Log, counts: Mapping[str, Counts], seen: Iterable[bytes]) -> None:
        """``seen`` are the digests of requests that an earlier run acknowledged."""
        self.aside = Aside()
        self._body_bytes = settings.body_bytes
        self._log = log
        self._counts = counts
        self._clock = Clock(settings.late_days)
        self._whole: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self._whole.set_result(Accepted())
        self._known: OrderedDict[bytes, asyncio.Future[Accepted]] = OrderedDict.fromkeys(seen, self._whole)
        self._sparing = Sparing(_log)

    async def accept(self, signal: Signal, body: bytes, door: Door, tenant: str, lease: Lease) -> Accepted:
        """Returns when the request, in protobuf, is on disk; ``door`` is where it came in.

        Raises ``Malformed`` or ``TooLarge`` when it never will be, ``LogFull`` when it should be sent again. The
        ``lease`` is kept for as long as the body is, though its sender goes.
        """
        mark = digest(body, signal.name, tenant)
        known = self._known.get(mark)
        if known is not None:  # answered when the first one is on disk
            answer = await asyncio.shield(known)
            self._counts[signal.name].duplicate_requests += 1
            return answer
        waiting = asyncio.ensure_future(self._take(signal, body, door, tenant, lease.hand_over(), mark))
        waiting.add_done_callback(asyncio.Future.exception)  # looked at even when the sender has gone
        self._known[mark] = waiting
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return await asyncio.shield(waiting)

    def close(self) -> None:
        """To be called when nothing comes any more."""
        self.aside.close()

    async def _take(self, signal: Signal, body: bytes, door: Door, tenant: str, lease: Lease, mark: bytes) -> Accepted:
        with lease:
            try:
                checked = await self._checked(signal, body, lease, tenant)
                if not checked.items:
                    self._known.pop(mark, None)
                    return Accepted()
                record = Record(checked.body, checked.items, mark, checked.kinds, tenant, checked.unfolded)
                if record.size > self._log.limit_bytes:
                    raise TooLarge(f"The request is larger than all the log may hold, {self._log.limit_bytes} bytes.")
                await asyncio.wrap_future(self._log.append(signal, record))
            except BaseException:
                self._known.pop(mark, None)
                raise
        self._count(self._counts[signal.name], door, checked)
        if not checked.rejected and mark in self._known:
            self._known[mark] = self._whole
        return Accepted(checked.rejected, checked.reason)

    async def _checked(self, signal: Signal, body: bytes, lease: Lease, tenant: str) -> Checked:
        checked = await self.aside.run(len(body), check, signal, body, self._clock.window, tenant)
        if checked.body is not body:
            lease.grow(len(checked.body))
            if len(checked.body) > self._body_bytes:
                raise TooLarge(f"With its times set right, the body is larger than {self._body_bytes} bytes.")
        if checked.unfolded > UNFOLDED_BYTES:
            raise TooLarge(
                f"With what is above them repeated in each, the {signal.items} are larger than {UNFOLDED_BYTES} bytes; "
                "send fewer in a request."
            )
        return checked

    def _count(self, counts: Counts, door: Door, checked: Checked) -> None:
        taken = counts.doors[door]
        taken.requests += 1
        taken.items += checked.items
        taken.bytes += len(checked.body)
        counts.clamped += checked.clamped
        if checked.rejected:
            counts.rejected += checked.rejected
            # In the log too: many exporters do not read it in the answer.
            self._sparing.say("rejected", "Not stored: %s", checked.reason)
