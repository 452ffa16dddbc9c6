"""A segment: one file of the log, which is one OTLP message and one insert."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from .record import ID_SIZE, Bad, Good, scan

_SUFFIX = ".seg"


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is complete. Its name, which is unique, is also the token that makes its insert count once."""

    path: Path
    size: int
    spans: int

    @property
    def name(self) -> str:
        return self.path.stem

    def trim(self) -> None:
        """Cut off what a failed write left behind the last record that was promised."""
        if self.path.stat().st_size > self.size:
            os.truncate(self.path, self.size)


@dataclass(frozen=True, slots=True)
class Mended:
    """What was found in a segment of an earlier run, once it is whole again."""

    segment: Segment | None
    digests: tuple[bytes, ...]
    """Those of its records, so that their resends are recognised."""
    torn: int
    """Bytes cut from an unfinished write, which nobody was promised."""
    quarantined: int
    """Damaged records that were set aside."""


def new_path(folder: Path, number: int) -> Path:
    """Where the segment of that number goes: names sort in the order of writing."""
    return folder / f"{number:020d}-{secrets.token_hex(ID_SIZE)}{_SUFFIX}"


def identity(path: Path) -> bytes:
    """The id that marks the records of a segment, from its name."""
    return bytes.fromhex(path.stem.rpartition("-")[2])


def number(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def mend(path: Path, quarantine: Path) -> Mended:
    """Make a segment whole after a crash: cut what was not finished, set aside what is damaged.

    Damaged bytes go to files in ``quarantine``, named after the segment and their place in it.
    """
    data = path.read_bytes()
    found = list(scan(data, identity(path)))
    good = [part for part in found if isinstance(part, Good)]
    bad = [part for part in found if isinstance(part, Bad)]
    damaged = [part for part in bad if not part.torn]
    for part in damaged:
        quarantine.mkdir(exist_ok=True)
        write_durably(quarantine / f"{path.stem}.{part.start}.damaged", data[part.start : part.end])
    if bad and good:
        write_durably(path, b"".join(data[part.start : part.end] for part in good))
    elif not good:
        path.unlink()
    size = sum(part.end - part.start for part in good)
    return Mended(
        Segment(path, size, sum(part.spans for part in good)) if good else None,
        tuple(part.digest for part in good),
        sum(part.end - part.start for part in bad if part.torn),
        len(damaged),
    )


def recover(folder: Path) -> list[Mended]:
    """Make the segments of earlier runs whole, oldest first, and clear away unfinished files."""
    for leftover in (*folder.glob("*.new"), *folder.glob("*.flat")):
        leftover.unlink()
    return [mend(path, folder / "quarantine") for path in sorted(folder.glob(f"*{_SUFFIX}"))]


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that after any crash it is there whole, or the earlier one is."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
