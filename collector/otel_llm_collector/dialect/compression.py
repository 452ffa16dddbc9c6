"""Compressed answers: as HTTP's content codings, and as ClickHouse's own frames, which ``compress=1`` asks for."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable

import lz4.block
import lz4.frame
from clickhouse_cityhash.cityhash import CityHash128

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from otel_llm_collector.settings import MIB

_LEVEL = 1
"""Of gzip and deflate: an answer is for a client that waits."""
CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda data: zstd.compress(data, level=_LEVEL),
    "lz4": lz4.frame.compress,
    "gzip": lambda data: gzip.compress(data, compresslevel=_LEVEL, mtime=0),
    "deflate": lambda data: zlib.compress(data, level=_LEVEL),
}
"""How to write an answer in each content coding, the one that we like best first."""
METHODS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "lz4": (0x82, lambda data: lz4.block.compress(data, store_size=False)),
    "zstd": (0x90, CODINGS["zstd"]),
}
"""Of ClickHouse's frames: the byte that says how the contents are written, and how."""
_HEAD = 9
_FRAME = MIB


def accepted(header: str) -> str:
    """The content coding for a client that sends this ``Accept-Encoding``; empty for none."""
    wanted = set()
    for part in header.lower().split(","):
        coding, _, weight = part.partition(";")
        if weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            wanted.add(coding.strip())
    return next((coding for coding in CODINGS if coding in wanted), "")


def framed(data: bytes, method: str) -> bytes:
    """ClickHouse's frames: each a checksum, the method, the sizes of itself and of its contents, and its contents."""
    byte, compress = METHODS[method]
    parts = []
    for at in range(0, len(data), _FRAME):
        contents = data[at : at + _FRAME]
        packed = compress(contents)
        sizes = (len(packed) + _HEAD).to_bytes(4, "little") + len(contents).to_bytes(4, "little")
        frame = bytes([byte]) + sizes + packed
        low, high = divmod(CityHash128(frame), 1 << 64)
        parts += [low.to_bytes(8, "little"), high.to_bytes(8, "little"), frame]
    return b"".join(parts)
