"""What a stand-in reads and writes of ClickHouse's own wire formats: compressed frames, numbers, texts."""

from __future__ import annotations

import sys
from collections.abc import Callable

import lz4.block
from clickhouse_cityhash.cityhash import CityHash128

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHECKSUM = 16
_HEAD = 9
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_UNPACK: dict[int, Callable[[bytes, int], bytes]] = {
    _NONE: lambda packed, size: packed,
    _LZ4: lambda packed, size: lz4.block.decompress(packed, uncompressed_size=size),
    _ZSTD: lambda packed, size: zstd.decompress(packed),
}


def decompress(frames: bytes) -> bytes:
    """The contents of frames, each with a right checksum."""
    contents = []
    at = 0
    while at < len(frames):
        start = at + _CHECKSUM
        size = int.from_bytes(frames[start + 1 : start + 5], "little")
        frame = frames[start : start + size]
        assert len(frame) == size
        assert _checksum(frame) == frames[at:start]
        contents.append(_UNPACK[frame[0]](frame[_HEAD:], int.from_bytes(frame[5:_HEAD], "little")))
        at = start + size
    return b"".join(contents)


def _checksum(frame: bytes) -> bytes:
    return b"".join(half.to_bytes(8, "little") for half in divmod(CityHash128(frame), 1 << 64))


def text(value: str) -> bytes:
    """A string with its length."""
    encoded = value.encode()
    return varint(len(encoded)) + encoded


def varint(number: int) -> bytes:
    """A number in seven bits a byte, the lowest first."""
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    parts.append(number)
    return bytes(parts)
