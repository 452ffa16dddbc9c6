"""One record of the log: a request body behind a frame.

The frame is a length-delimited protobuf field of a number that OTLP does not use, so that records one after another are
one valid OTLP message: repeated fields of concatenated messages merge, unknown fields are skipped.

    tag 2047, length | segment id 8, body length 4, spans 4, digest of the body 16, checksum of the header 4, tenant
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_TAG = b"\xfa\x7f"  # field 2047, length-delimited
_HEADER = struct.Struct("<8sII16s")
_CHECKSUM = struct.Struct("<I")
_FIXED = _HEADER.size + _CHECKSUM.size
_TENANT_LIMIT = 64  # a key of blake2b; and the length of the frame stays one byte
_BODY = _FIXED + len(_TAG) + 1

ID_SIZE = 8


@dataclass(frozen=True, slots=True)
class Record:
    """A request body that was validated, with how many spans it holds."""

    body: bytes
    spans: int
    digest: bytes
    tenant: str = ""

    @property
    def size(self) -> int:
        return _BODY + len(self.tenant.encode()) + len(self.body)

    def encode(self, segment: bytes) -> bytes:
        """The bytes of the record in the segment of that id."""
        tenant = self.tenant.encode()
        if len(tenant) > _TENANT_LIMIT:
            raise ValueError(f"A tenant's name has at most {_TENANT_LIMIT} bytes.")
        header = _HEADER.pack(segment, len(self.body), self.spans, self.digest)
        checksum = _CHECKSUM.pack(zlib.crc32(header + tenant))
        return b"".join((_TAG, bytes((_FIXED + len(tenant),)), header, checksum, tenant, self.body))


def digest(body: bytes, tenant: str = "") -> bytes:
    """What a body is recognised by; the same body of another tenant is another."""
    return hashlib.blake2b(body, digest_size=16, key=tenant.encode()).digest()


@dataclass(frozen=True, slots=True)
class Good:
    """A whole record, by its place in the segment."""

    start: int
    end: int
    spans: int
    digest: bytes


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
    (checksum,) = _CHECKSUM.unpack_from(data, start + _HEADER.size)
    tenant = data[start + _FIXED : start + length]
    identity, size, spans, expected = _HEADER.unpack(header)
    if identity != segment or checksum != zlib.crc32(header + tenant):
        return None
    end = start + length + int(size)
    body = data[start + length : end]
    if end > len(data) or digest(body, tenant.decode(errors="replace")) != expected:
        return end
    return Good(at, end, spans, expected)


def _next(data: bytes, at: int, segment: bytes) -> int | None:
    """Where the next record with a right header begins."""
    while (found := data.find(segment, at)) >= 0:
        begin = found - len(_TAG) - 1
        if begin >= at and _read(data, begin, segment) is not None:
            return begin
        at = found + 1
    return None
