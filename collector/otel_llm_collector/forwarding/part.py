"""Records that are sent in one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from otel_llm_collector.log.record import Good


@dataclass(frozen=True, slots=True)
class Part:
    """A request by its records, of which there is at least one."""

    records: tuple[Good, ...]

    @property
    def start(self) -> int:
        return self.records[0].start

    @property
    def end(self) -> int:
        return self.records[-1].end

    @property
    def size(self) -> int:
        """Bytes of the bodies."""
        return sum(record.end - record.body for record in self.records)

    @property
    def items(self) -> int:
        return sum(record.items for record in self.records)

    @property
    def is_single(self) -> bool:
        return len(self.records) == 1

    def halves(self) -> tuple[Part, Part]:
        """Of the same records always the same two, so that what is sent again is the same again."""
        middle = len(self.records) // 2
        return Part(self.records[:middle]), Part(self.records[middle:])


def parts_of(records: Iterable[Good], limit: int) -> Iterator[Part]:
    """All of them in order, as many together as have bodies of at most ``limit`` bytes, and always one."""
    part: list[Good] = []
    size = 0
    for record in records:
        length = record.end - record.body
        if part and size + length > limit:
            yield Part(tuple(part))
            part, size = [], 0
        part.append(record)
        size += length
    if part:
        yield Part(tuple(part))
