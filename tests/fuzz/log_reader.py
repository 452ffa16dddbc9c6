"""Fuzzes the reading of the log: segments as they were written, with damage of every kind."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["otel_llm_collector"]):
    from otel_llm_collector.log import segment
    from otel_llm_collector.log.record import Bad, Good, Record, digest, scan
    from otel_llm_collector.signals import TRACES

from tests.fuzz.fuzzer import fuzz
from tests.support.otlp import body, span

_NAME = f"{7:020d}-{'0123456789abcdef'}.seg"
_ID = bytes.fromhex("0123456789abcdef")
_BODIES = [body(span({"n": number, "text": "x" * 3**number})) for number in range(5)] + [b""]
_RECORDS = [
    Record(sent, 1, digest(sent, "traces", tenant), tenant=tenant)
    for sent, tenant in zip(_BODIES, ("", "a", "b" * 64, "ü", "", ""), strict=True)
]
_ENCODED = [record.encode(_ID) for record in _RECORDS]
_FOREIGN = [record.encode(b"another!") for record in _RECORDS]


def read(data: bytes) -> None:
    """The input says which records are written and what then happens to the bytes of their file."""
    given = atheris.FuzzedDataProvider(data)
    file = bytearray()
    written = []
    for _ in range(given.ConsumeIntInRange(0, 6)):
        written.append(given.PickValueInList(_ENCODED))
        file += written[-1]
    while given.remaining_bytes():
        _damage(file, given)
    _scan(bytes(file), set(written))
    _mend(bytes(file))


def _damage(file: bytearray, given: atheris.FuzzedDataProvider) -> None:
    at = given.ConsumeIntInRange(0, len(file))
    size = given.ConsumeIntInRange(0, 400)
    match given.ConsumeIntInRange(0, 6):
        case 0:
            file[at : at + size] = given.ConsumeBytes(given.ConsumeIntInRange(0, 40))
        case 1:
            del file[at:]
        case 2:
            file[at : at + size] = bytes(size)
        case 3:
            file += bytes(size)
        case 4:
            file[at:at] = given.PickValueInList(_FOREIGN)
        case 5:
            file[at:at] = _ID
        case 6 if at < len(file):
            file[at] ^= 1 << size % 8


def _scan(file: bytes, written: set[bytes]) -> None:
    at = 0
    for part in scan(file, _ID):
        assert part.start == at
        assert part.end > at
        at = part.end
        if isinstance(part, Good):
            assert file[part.start : part.end] in written
        else:
            assert not part.torn or part.end == len(file)
    assert at == len(file)


def _mend(file: bytes) -> None:
    path = _FOLDER / _NAME
    quarantine = _FOLDER / "quarantine"
    path.write_bytes(file)
    found = list(scan(file, _ID))
    good = [part for part in found if isinstance(part, Good)]
    mended = segment.mend(TRACES, path, quarantine)
    whole = b"".join(file[part.start : part.end] for part in good)
    assert (path.read_bytes() if path.exists() else b"") == whole
    assert (mended.segment is not None) == bool(good)
    if mended.segment is not None:
        assert (mended.segment.size, mended.segment.items) == (len(whole), len(good))
        assert segment.mend(TRACES, path, quarantine) == segment.Mended(mended.segment, 0, 0)
    aside = sorted(item.read_bytes() for item in quarantine.glob("*")) if quarantine.exists() else []
    damaged = [part for part in found if isinstance(part, Bad) and not part.torn]
    assert aside == sorted(file[part.start : part.end] for part in damaged)
    assert mended.quarantined == len(damaged)
    assert mended.torn == sum(part.end - part.start for part in found if isinstance(part, Bad) and part.torn)
    shutil.rmtree(quarantine, ignore_errors=True)
    path.unlink(missing_ok=True)


def _seeds() -> Iterator[bytes]:
    chance = random.Random(3)
    return (chance.randbytes(size) for size in range(4, 400, 4))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        _FOLDER = Path(folder)
        fuzz(read, _seeds())
