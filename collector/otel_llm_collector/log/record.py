"""One record of the log: a request body behind a frame.

The frame is a length-delimited protobuf field of a number that OTLP does not use, so that records one after another are
one valid OTLP message: repeated fields of concatenated messages merge, unknown fields are skipped.

    tag 2047, length | header, checksum of header and tenant 4, tenant
    header: segment id 8, body length 4, items 4, kinds 1, digest of what was sent 16, checksum of the body 4
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_TAG = b"\xfa\x7f"  # field 2047, length-delimited
_HEADER = struct.Struct("<8sIIB16sI")
_CHECKSUM = struct.Struct("<I")
_FIXED = _HEADER.size + _CHECKSUM.size
_BODY = _FIXED + len(_TAG) + 1

_FOLDED = 8
"""How many times larger the rows of a record are before that counts."""

ID_SIZE = 8
DIGEST_SIZE = 16
TENANT_LIMIT = 64
"""Most bytes of a tenant's name: the length of a frame stays one byte."""


@dataclass(frozen=True, slots=True)
class Record:
    """A request body that was validated, with how many items it holds.

    ``digest`` is what the request is recognised by when it comes again. ``kinds`` has a bit for each landing of its
    signal that it concerns. ``unfolded`` is how many bytes its rows are, where that is known.
    """

    body: bytes
    items: int
    digest: bytes
    kinds: int = 1
    tenant: str = ""
    unfolded: int = 0

    @property
    def size(self) -> int:
        return _BODY + len(self.tenant.encode()) + len(self.body)

    @property
    def weight(self) -> int:
        """Bytes that it counts for in a segment, so that none is much larger once it is rows."""
        return max(self.size, self.unfolded // _FOLDED)

    def encode(self, segment: bytes) -> bytes:
        """The bytes of the record in the segment of that id."""
        tenant = self.tenant.encode()
        if len(tenant) > TENANT_LIMIT:
            raise ValueError(f"A tenant's name has at most {TENANT_LIMIT} bytes.")
        checksum = zlib.crc32(self.body)
        header = _HEADER.pack(segment, len(self.body), self.items, self.kinds, self.digest, checksum)
        seal = _CHECKSUM.pack(zlib.crc32(header + tenant))
        return b"".join((_TAG, bytes((_FIXED + len(tenant),)), header, seal, tenant, self.body))


def digest(body: bytes, signal: str, tenant: str = "") -> bytes:
    """What a request is recognised by; the same body of another tenant, or of another signal, is another."""
    marked = hashlib.sha256(f"{signal} {tenant}\0".encode())
    marked.update(body)
    return marked.digest()[:DIGEST_SIZE]


@dataclass(frozen=True, slots=True)
class Good:
    """A whole record, by its place in the segment; its body begins at ``body``."""

    start: int
    body: int
    end: int
    items: int
    kinds: int
    digest: bytes
    tenant: str


@dataclass(frozen=True, slots=True)
class Bad:
    """Bytes that are no whole record; ``torn`` when a crash left the last write unfinished."""

    start: int
    end: int
    torn: bool


def scan(data: bytes, segment: bytes) -> Iterator[Good | Bad]:
    """What a segment holds, in order. A damaged record does not hide those behind it."""
    at = 0
    while at < len(data):
        found = _read(data, at, segment)
        if isinstance(found, Good):
            yield found
            at = found.end
            continue
        # A header that is whole says where its record ends; behind any other damage, look for the next one.
        if isinstance(found, int) and found <= len(data):
            yield Bad(at, found, torn=False)
            at = found
            continue
        after = _next(data, at + 1, segment)
        if after is None:
            rest = data[at:]
            yield Bad(at, len(data), torn=found is not None or len(rest) < _BODY or not any(rest))
            return
        yield Bad(at, after, torn=False)
        at = after


def _read(data: bytes, at: int, segment: bytes) -> Good | int | None:
    """The record at a place; where only its header is right, its end; where not even that, ``None``."""
    start = at + len(_TAG) + 1
    length = data[start - 1] if start <= len(data) else 0
    if data[at : at + len(_TAG)] != _TAG or length < _FIXED or start + length > len(data):
        return None
    header = data[start : start + _HEADER.size]
    (seal,) = _CHECKSUM.unpack_from(data, start + _HEADER.size)
    tenant = data[start + _FIXED : start + length]
    identity, size, items, kinds, mark, checksum = _HEADER.unpack(header)
    if identity != segment or seal != zlib.crc32(header + tenant):
        return None
    body = start + length
    end = body + int(size)
    if end > len(data) or zlib.crc32(memoryview(data)[body:end]) != checksum:
        return end
    return Good(at, body, end, items, kinds, mark, tenant.decode(errors="replace"))


def _next(data: bytes, at: int, segment: bytes) -> int | None:
    """Where the next record with a right header begins."""
    while (found := data.find(segment, at)) >= 0:
        begin = found - len(_TAG) - 1
        if begin >= at and _read(data, begin, segment) is not None:
            return begin
        at = found + 1
    return None
