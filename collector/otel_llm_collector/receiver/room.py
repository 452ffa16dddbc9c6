"""How much memory the bodies of requests under way may take together."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from otel_llm_collector.errors import LogFull


class Room:
    """So many bytes for all requests under way."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0

    def lease(self) -> Lease:
        """A share for one request, given back at the end of the ``with``."""
        return Lease(self)


class Lease:
    """The share of one request."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._taken = 0

    def grow(self, size: int) -> None:
        """Take more; raises :class:`LogFull` when there is none, unless this request is alone."""
        self._taken += size
        self._room.taken += size
        if self._room.taken > self._room.limit and self._room.taken > self._taken:
            raise LogFull("Too many large requests at once.")

    def hand_over(self) -> Lease:
        """The share as another lease, which outlasts this one."""
        other = Lease(self._room)
        other._taken, self._taken = self._taken, 0
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.taken -= self._taken
