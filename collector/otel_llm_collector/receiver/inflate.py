"""Inflating request bodies while they arrive, up to a limit."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from otel_llm_collector.errors import CollectorError, Malformed

_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class TooLarge(CollectorError):
    """A body is larger than the limit, once inflated."""


class UnknownEncoding(CollectorError):
    """A Content-Encoding that is not gzip, deflate or identity."""


async def inflate(chunks: AsyncIterator[bytes], encoding: str, limit: int) -> bytes:
    """The whole body. Raises :class:`TooLarge` as soon as it is, whatever the sender said about its length."""
    if encoding in ("", "identity"):
        parts: list[bytes] = []
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            parts.append(chunk)
        return b"".join(parts)
    if encoding not in _WINDOWS:
        raise UnknownEncoding(f"Content-Encoding {encoding} is not known here; gzip, deflate and identity are.")
    inflater = zlib.decompressobj(_WINDOWS[encoding])
    out = bytearray()
    try:
        async for chunk in chunks:
            out += inflater.decompress(chunk, limit + 1 - len(out))
            if len(out) > limit:
                raise _too_large(limit)
            if inflater.unused_data:
                raise Malformed(f"The {encoding} body has something behind its end.")
        out += inflater.flush()
    except zlib.error as error:
        raise Malformed(f"The body is not {encoding}: {error}.") from None
    if not inflater.eof:
        raise Malformed(f"The {encoding} body is cut short.")
    return bytes(out)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes, once inflated.")
