"""What both receivers do with a request: check it, recognise it, write it to the log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from .counts import Counts
from .errors import LogFull, Malformed
from .otlp import check
from .record import Record, digest
from .wal import Log

_REMEMBERED = 65536
"""Requests whose resend is recognised: at 20 requests a second, those of the last hour."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request is on disk; ``rejected`` of its spans were left out, for the reason given."""

    rejected: int = 0
    reason: str = ""


class Intake:
    """Takes requests in; belongs to one event loop."""

    def __init__(self, log: Log, counts: Counts, seen: Iterable[bytes]) -> None:
        """``seen`` are the digests of requests that an earlier run acknowledged."""
        self._log = log
        self._counts = counts
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._done.set_result(None)
        self._known: OrderedDict[bytes, asyncio.Future[None]] = OrderedDict.fromkeys(seen, self._done)

    async def accept(self, body: bytes) -> Accepted:
        """Returns when the request is on disk.

        Raises :class:`Malformed` when it never will be, :class:`LogFull` when it should be sent again.
        """
        mark = digest(body)
        known = self._known.get(mark)
        if known is not None:
            return await self._again(known, Accepted())
        try:
            checked = check(body)
        except Malformed:
            self._counts.malformed_requests += 1
            raise
        answer = Accepted(checked.rejected, checked.reason)
        if not checked.spans:
            return answer
        if checked.body is not body:
            mark = digest(checked.body)
            known = self._known.get(mark)
            if known is not None:
                return await self._again(known, answer)
        try:
            written = self._log.append(Record(checked.body, checked.spans, mark))
        except LogFull:
            self._counts.refused_requests += 1
            raise
        self._counts.rejected_spans += checked.rejected
        waiting = asyncio.ensure_future(self._written(mark, written, checked.spans))
        waiting.add_done_callback(asyncio.Future.exception)  # looked at even when the sender has gone
        self._known[mark] = waiting
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        await asyncio.shield(waiting)
        return answer

    async def _again(self, known: asyncio.Future[None], answer: Accepted) -> Accepted:
        """A request that came before is answered when the first one is on disk."""
        await asyncio.shield(known)
        self._counts.duplicate_requests += 1
        return answer

    async def _written(self, mark: bytes, written: Future[None], spans: int) -> None:
        try:
            await asyncio.wrap_future(written)
        except LogFull:
            self._counts.refused_requests += 1
            self._known.pop(mark, None)
            raise
        self._counts.accepted_spans += spans
        if mark in self._known:
            self._known[mark] = self._done
