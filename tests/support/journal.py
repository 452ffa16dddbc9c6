"""What is done to the files of a folder, and every state in which a loss of power can leave them.

What a file's last ``fsync`` or ``fdatasync`` does not cover may be missing, there, or there in part: any 512-byte
sector of a write by itself, old, new or zeros, whatever the order of the writes; so may the file's size. Names, which
are the folder's and not the file's, may be missing or old until the folder is synced; a renaming is done or not done.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

SECTOR = 512
FOLDER = 0
"""Stands for a folder where otherwise the number of a file is."""


class Write(NamedTuple):
    file: int
    at: int
    data: bytes


class Size(NamedTuple):
    file: int
    size: int


class Sync(NamedTuple):
    """Of a file by its number, or of a folder by its path."""

    what: int | str


class Names(NamedTuple):
    """Changes that are made in one step: folder, name, and what it now names."""

    changes: tuple[tuple[str, str, int | None], ...]


class Mark(NamedTuple):
    """Something that happened outside the disk."""

    what: str
    value: Any


Event = Write | Size | Sync | Names | Mark
Pick = Callable[[int], int]
"""Chooses one of so many possibilities."""


class State(NamedTuple):
    """What a crash left: files by path, those of one number being one file, and folders."""

    files: dict[str, int]
    folders: tuple[str, ...]
    contents: dict[int, bytes]

    def write(self, folder: Path) -> None:
        """Make it real."""
        first: dict[int, Path] = {}
        for path in self.folders:
            (folder / path).mkdir()
        for path, number in self.files.items():
            if number in first:
                os.link(first[number], folder / path)
            else:
                first[number] = folder / path
                first[number].write_bytes(self.contents[number])


class Journal:
    """Events in the order in which they happened, after a state that is durable."""

    def __init__(self, first: dict[str, int], contents: dict[int, bytes]) -> None:
        """``first`` are the files and folders by path, ``contents`` is by the number of the file."""
        self.first = first
        self.contents = contents
        self.events: list[Event] = []

    def mark(self, what: str, value: Any) -> None:
        """Something happened outside the disk."""
        self.events.append(Mark(what, value))

    def marks(self, what: str, upto: int) -> list[Any]:
        """What was marked before an event."""
        return [event.value for event in self.events[:upto] if isinstance(event, Mark) and event.what == what]

    def states(self, upto: int, most: int, chance: random.Random) -> Iterator[State]:
        """States that a crash before an event can leave: all where they are few, else the least and some others."""
        counts: list[int] = []

        def count(possibilities: int) -> int:
            counts.append(possibilities)
            return 0

        self._state(upto, count)
        if prod(counts) > most:
            yield self._state(upto, lambda _: 0)
            yield from self._some(upto, most - 1, chance)
            return
        chosen: list[int] = []
        for _ in range(most):
            counts.clear()

            def replay(possibilities: int) -> int:
                counts.append(possibilities)
                if len(counts) > len(chosen):
                    chosen.append(0)
                return chosen[len(counts) - 1]

            yield self._state(upto, replay)
            while chosen and chosen[-1] + 1 == counts[len(chosen) - 1]:
                chosen.pop()
            if not chosen:
                return
            chosen[-1] += 1
        yield from self._some(upto, most, chance)  # the least of them has few possibilities, others have more

    def _some(self, upto: int, count: int, chance: random.Random) -> Iterator[State]:
        for _ in range(count):
            yield self._state(upto, chance.randrange)

    def _state(self, upto: int, pick: Pick) -> State:
        synced = {event.what: at for at, event in enumerate(self.events[:upto]) if isinstance(event, Sync)}
        names = dict(self.first)
        for at, event in enumerate(self.events[:upto]):
            if not isinstance(event, Names):
                continue
            durable = any(synced.get(folder, -1) > at for folder, _, _ in event.changes)
            if durable or pick(2):
                for folder, name, target in event.changes:
                    path = os.path.join(folder, name)
                    if target is None:
                        names.pop(path, None)
                    else:
                        names[path] = target
        there = {path: target for path, target in sorted(names.items()) if _is_reached(path, names)}
        files = {path: target for path, target in there.items() if target != FOLDER}
        contents = {number: self._content(number, upto, synced.get(number, -1), pick) for number in set(files.values())}
        return State(files, tuple(path for path, target in there.items() if target == FOLDER), contents)

    def _content(self, number: int, upto: int, synced: int, pick: Pick) -> bytes:
        content = bytearray(self.contents.get(number, b""))
        sizes = {len(content)}
        for at, event in enumerate(self.events[:upto]):
            if not isinstance(event, Write | Size) or event.file != number:
                continue
            if at < synced:
                if isinstance(event, Size):
                    _resize(content, event.size)
                else:
                    _place(content, event.at, event.data)
                sizes = {len(content)}
                continue
            sizes.add(event.size if isinstance(event, Size) else event.at + len(event.data))
            if isinstance(event, Size):
                if pick(2):
                    _resize(content, event.size)
                continue
            for start, piece in _sectors(event):
                match pick(3):
                    case 1:
                        _place(content, start, piece)
                    case 2:
                        _place(content, start, bytes(len(piece)))
        if len(sizes) > 1 and (choice := pick(len(sizes) + 1)):
            _resize(content, sorted(sizes)[choice - 1])
        return bytes(content)


def _is_reached(path: str, names: Mapping[str, int]) -> bool:
    """Whether all the folders above a path are there."""
    above = os.path.dirname(path)
    return not above or (names.get(above) == FOLDER and _is_reached(above, names))


def _sectors(write: Write) -> Iterator[tuple[int, bytes]]:
    """The pieces of a write that reach the disk each by itself."""
    at = write.at
    while at < write.at + len(write.data):
        end = min((at // SECTOR + 1) * SECTOR, write.at + len(write.data))
        yield at, write.data[at - write.at : end - write.at]
        at = end


def _place(content: bytearray, at: int, data: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))
