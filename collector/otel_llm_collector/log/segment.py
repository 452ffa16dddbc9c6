"""A segment: one file of the log, which is one OTLP message and one insert."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Container
from dataclasses import dataclass, replace
from pathlib import Path

from otel_llm_collector.signals import Signal

from .record import ID_SIZE, Bad, Good, scan

_log = logging.getLogger(__name__)

SUFFIX = ".seg"
PRIVATE = 0o600
"""The log holds prompts and answers: its files are for their owner only, as its folders are."""
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is complete. Its name, which is unique, is also the token that makes its insert count once."""

    signal: Signal
    path: Path
    size: int
    items: int
    kinds: int
    digests: tuple[bytes, ...]
    """Those of its records, so that their resends are recognised."""
    began: float
    """When its first record was written, in seconds since 1970."""

    @property
    def name(self) -> str:
        return self.path.stem

    def trim(self) -> None:
        """Cut off what a failed write left behind the last record that was promised: its sender tries again."""
        if self.path.stat().st_size > self.size:
            _cut(self.path, self.size)

    def is_whole(self) -> bool:
        """Whether everything that was promised is in the file, and as it was written."""
        found = list(scan(self.path.read_bytes(), identity(self.path)))
        good = [part for part in found if isinstance(part, Good)]
        return len(good) == len(found) and sum(part.items for part in good) == self.items

    def records(self, data: bytes) -> list[Good]:
        """The records in the contents of the file."""
        return [part for part in scan(data, identity(self.path)) if isinstance(part, Good)]

    def split(self, kinds: int) -> tuple[Segment, Segment] | None:
        """Two segments, each with half of the records, in place of this one; ``None`` when it has only one record.

        They are of these ``kinds`` only, the others being in the store already, which their names say too. A crash
        between the steps leaves this segment, or both halves, or all three, where ``recover`` takes this one.
        """
        data = self.path.read_bytes()[: self.size]
        records = self.records(data)
        if len(records) < 2:
            return None
        middle = len(records) // 2
        halves = tuple(
            _written(self.signal, _half(self.path, number, self.kinds & kinds), data, part)
            for number, part in enumerate((records[:middle], records[middle:]))
        )
        self.path.unlink()
        sync_folder(self.path.parent)
        return halves[0], halves[1]


@dataclass(frozen=True, slots=True)
class Mended:
    """What was found in a segment that was not whole, or may not have been."""

    segment: Segment | None
    torn: int
    """Bytes cut from an unfinished write, which nobody was promised."""
    quarantined: int
    """Damaged records that were set aside."""


def new_path(folder: Path, number: int) -> Path:
    """Where the segment of that number goes: names sort in the order of writing."""
    return folder / f"{number:020d}-{secrets.token_hex(ID_SIZE)}{SUFFIX}"


def identity(path: Path) -> bytes:
    """The id that marks the records of a segment, from its name; halves keep that of the whole."""
    return bytes.fromhex(path.stem.partition("-")[2].partition(".")[0])


def number(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def _half(path: Path, number: int, kinds: int) -> Path:
    return path.with_name(f"{path.stem}.{number}-{kinds:x}{SUFFIX}")


def _kinds(path: Path, records: list[Good]) -> int:
    """The kinds that the records have, as far as they are not in the store already."""
    found = 0
    for part in records:
        found |= part.kinds
    half = path.stem.rpartition(".")[2]
    return found if half == path.stem else found & int(half.partition("-")[2], 16)


def _written(signal: Signal, path: Path, data: bytes, records: list[Good]) -> Segment:
    """Write the records to a file of their own."""
    write_durably(path, b"".join(data[part.start : part.end] for part in records))
    return _segment(signal, path, records)


def _segment(signal: Signal, path: Path, records: list[Good]) -> Segment:
    return Segment(
        signal,
        path,
        sum(part.end - part.start for part in records),
        sum(part.items for part in records),
        _kinds(path, records),
        tuple(part.digest for part in records),
        number(path) / 1e9,
    )


def mend(
    signal: Signal, path: Path, quarantine: Path, promised: int = 0, elsewhere: Container[bytes] = frozenset()
) -> Mended:
    """Make a segment whole: cut what was not finished, set aside what is damaged. Raises ``OSError``.

    Damaged bytes go to files in ``quarantine``, named after the segment and their place in it. What is torn among the
    first ``promised`` bytes is damaged too. Records whose digests are ``elsewhere`` are left out.
    """
    data = path.read_bytes()
    found = list(scan(data, identity(path)))
    good = [part for part in found if isinstance(part, Good) and part.digest not in elsewhere]
    bad = [part for part in found if isinstance(part, Bad)]
    damaged = [part for part in bad if not part.torn or part.start < promised]
    for part in damaged:
        make_folder(quarantine)
        write_durably(quarantine / f"{path.stem}.{part.start}.damaged", data[part.start : part.end])
    size = sum(part.end - part.start for part in good)
    if not good:
        path.unlink()
    elif size < len(data):
        if good[-1].end == size:  # a full disk has room for that
            _cut(path, size)
        else:
            write_durably(path, b"".join(data[part.start : part.end] for part in good))
    return Mended(
        _segment(signal, path, good) if good else None,
        sum(part.end - part.start for part in bad if part not in damaged),
        len(damaged),
    )


def _as_it_is(signal: Signal, path: Path) -> Segment:
    """A segment that cannot be mended yet, without its unfinished end."""
    found = list(scan(path.read_bytes(), identity(path)))
    whole = _segment(signal, path, [part for part in found if isinstance(part, Good)])
    return replace(whole, size=max((part.end for part in found if isinstance(part, Good) or not part.torn), default=0))


def recover(signal: Signal, folder: Path, quarantine: Path) -> list[Mended]:
    """Make the segments of earlier runs whole, oldest first, and clear away unfinished files. Raises ``OSError``.

    One that cannot be mended, on a disk that is full, is mended before it is inserted. A record that is in two is what
    a failed write left, and what its sender sent again.
    """
    for leftover in (*folder.glob("*.new"), *folder.glob("*.flat")):
        leftover.unlink()
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    wholes = {path.stem for path in paths}
    for half in [path for path in paths if _whole_of(path) in wholes]:
        half.unlink()  # the splitting was not finished
        paths.remove(half)
    found: list[Mended] = []
    known: set[bytes] = set()
    for path in paths:
        try:
            mended = mend(signal, path, quarantine, elsewhere=known)
        except OSError as error:
            _log.warning("Segment %s cannot be mended yet: %s", path.name, error)
            mended = Mended(_as_it_is(signal, path), 0, 0)
        found.append(mended)
        known.update(mended.segment.digests if mended.segment else ())
    return found


def _whole_of(path: Path) -> str:
    """The name of the segment that this one is a half of; empty when it is whole."""
    return path.stem.rpartition(".")[0]


def write_all(file: int, data: bytes) -> None:
    """Write to a descriptor; with an ``OSError`` there may be a part."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after any crash it is there whole, or the earlier one is."""
    new = path.with_name(path.name + ".new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
    try:
        write_all(file, data)
        os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)
    sync_folder(path.parent)


def _cut(path: Path, size: int) -> None:
    """Cut a file off, durably."""
    file = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(file, size)
        os.fsync(file)
    finally:
        os.close(file)


def make_folder(folder: Path) -> None:
    """Make a folder for its owner only, and those above it that are missing; their names are durable."""
    try:
        folder.mkdir(_PRIVATE_FOLDER)
    except FileNotFoundError:
        make_folder(folder.parent)
        folder.mkdir(_PRIVATE_FOLDER)
    except FileExistsError:
        if not folder.is_dir():
            raise
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
