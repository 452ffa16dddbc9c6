"""Inflating request bodies while they arrive, up to a limit."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from isal import isal_zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from otel_llm_collector.errors import CollectorError, Malformed

from .room import Lease


class TooLarge(CollectorError):
    """A body is larger than the limit, once inflated."""


class UnknownEncoding(CollectorError):
    """A Content-Encoding that is not gzip, deflate, zstd or identity."""


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


_WINDOW_LOG = 25  # 32 MiB, the largest window that common encoders use: a frame may ask for more memory than that

_INFLATERS: dict[str, Callable[[], _Inflater]] = {
    "gzip": lambda: isal_zlib.decompressobj(16 + isal_zlib.MAX_WBITS),
    "deflate": lambda: isal_zlib.decompressobj(isal_zlib.MAX_WBITS),
    "zstd": lambda: zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}),
}

_JOINED = ("gzip", "zstd")
"""Of these several may follow each other, and make one body."""
_PARTS = 1024
"""Most that may: to begin one costs more than what it is from."""
_ERRORS = (isal_zlib.IsalError, zstd.ZstdError, EOFError)


async def inflate(chunks: AsyncIterator[bytes], encoding: str, limit: int, lease: Lease) -> bytes:
    """The whole body, as much memory as the ``lease`` gives it.

    Raises :class:`TooLarge` as soon as it is, whatever the sender said about its length.
    """
    if encoding in ("", "identity"):
        return await _plain(chunks, limit, lease)
    if encoding not in _INFLATERS:
        known = ", ".join(_INFLATERS)
        raise UnknownEncoding(f"Content-Encoding {encoding} is not known here; {known} and identity are.")
    out = bytearray()
    parts = _Parts(encoding)
    try:
        async for chunk in chunks:
            while chunk:
                grown, chunk = parts.inflate(chunk, limit + 1 - len(out))
                lease.grow(len(grown))
                out += grown
                if len(out) > limit:
                    raise _too_large(limit)
    except _ERRORS as error:  # type: ignore[misc] # isal's stubs know its error as an instance
        raise Malformed(f"The body is not {encoding}: {error}.") from None
    if not parts.whole:
        raise Malformed(f"The {encoding} body is cut short.")
    return bytes(out)


class _Parts:
    """Inflates what is compressed in one part, or in several one after another."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._inflater = _INFLATERS[encoding]()
        self._begun = 1

    @property
    def whole(self) -> bool:
        return self._inflater.eof

    def inflate(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        """At most so many bytes of what the data holds, and the rest of it, which is of another part."""
        if self._inflater.eof:
            if self._encoding not in _JOINED:
                raise Malformed(f"The {self._encoding} body has something behind its end.")
            if self._begun == _PARTS:
                raise Malformed(f"The {self._encoding} body has more than {_PARTS} parts.")
            self._begun += 1
            self._inflater = _INFLATERS[self._encoding]()
        return self._inflater.decompress(data, most), self._inflater.unused_data


async def _plain(chunks: AsyncIterator[bytes], limit: int, lease: Lease) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        lease.grow(len(chunk))
        parts.append(chunk)
    return b"".join(parts)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, once inflated.")
