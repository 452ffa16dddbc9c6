"""How far a segment is through, on disk: a hint, which is not waited for."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from otel_llm_collector.log.segment import identity, number

_POSITION = struct.Struct("<Q8sQ")
_CHECKSUM = struct.Struct("<I")


class Position:
    """A file that says up to which byte a segment is through."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, segment: Path, offset: int) -> None:
        """Raises ``OSError``."""
        fields = _POSITION.pack(number(segment), identity(segment), offset)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, fields + _CHECKSUM.pack(zlib.crc32(fields)))
        finally:
            os.close(file)

    def read(self, segment: Path) -> int:
        """0 where the file is missing or damaged, or speaks of another segment."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        fields = data[: _POSITION.size]
        if data[_POSITION.size :] != _CHECKSUM.pack(zlib.crc32(fields)):
            return 0
        of, mark, offset = _POSITION.unpack(fields)
        return int(offset) if (of, mark) == (number(segment), identity(segment)) else 0
