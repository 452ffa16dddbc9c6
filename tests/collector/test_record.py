"""The log's records: one OTLP message when whole, each found again when damaged."""

from __future__ import annotations

import random

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from otel_llm_collector.log.record import Bad, Good, Record, digest, scan
from tests.support.otlp import body, log_record, span

ID = bytes(range(8))


def _records(count: int = 5) -> list[Record]:
    return [log_record(body(span({"n": n, "text": "x" * n})), 1, "tenant" * (n % 2)) for n in range(count)]


def test_records_one_after_another_are_one_message() -> None:
    """Frames are fields that OTLP does not know, so a segment reads as one TracesData."""
    data = b"".join(record.encode(ID) for record in _records())
    merged = TracesData.FromString(data)
    assert [group.scope_spans[0].spans[0].attributes[0].value.int_value for group in merged.resource_spans] == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_whole_records_are_found_with_what_they_hold() -> None:
    """A scan gives every record's place, spans and digest."""
    records = _records()
    data = b"".join(record.encode(ID) for record in records)
    found = list(scan(data, ID))
    assert [type(part) for part in found] == [Good] * 5
    assert [part.digest for part in found if isinstance(part, Good)] == [record.digest for record in records]
    assert found[0].start == 0
    assert found[-1].end == len(data)
    assert sum(record.size for record in records) == len(data)


def test_a_tear_anywhere_in_the_last_record_leaves_the_others() -> None:
    """Whatever of the last write reached the disk, the earlier records are whole and the rest is torn."""
    records = _records(3)
    encoded = [record.encode(ID) for record in records]
    before = b"".join(encoded[:2])
    for kept in range(1, len(encoded[2])):
        found = list(scan(before + encoded[2][:kept], ID))
        assert [type(part) for part in found] == [Good, Good, Bad], kept
        assert found[2] == Bad(len(before), len(before) + kept, torn=True), kept


def test_a_tail_of_zeros_is_a_tear() -> None:
    """A file that grew before its data came, as after a power loss."""
    data = _records(1)[0].encode(ID)
    assert list(scan(data + bytes(500), ID))[1:] == [Bad(len(data), len(data) + 500, torn=True)]


def test_any_flipped_bit_costs_its_own_record_only() -> None:
    """Every byte of the middle record, in turn: the first and the last record are always found."""
    encoded = [record.encode(ID) for record in _records(3)]
    first, last = len(encoded[0]), len(encoded[0]) + len(encoded[1])
    for at in range(first, last):
        data = bytearray(b"".join(encoded))
        data[at] ^= 1 << (at % 8)
        found = list(scan(bytes(data), ID))
        assert found[0].end == first, at
        assert isinstance(found[-1], Good), at
        assert found[-1].start == last, at
        assert [part for part in found if isinstance(part, Bad)] == [Bad(first, last, torn=False)], at


def test_a_record_of_another_segment_is_none() -> None:
    """What is left over from a reused block of the disk is not taken for a record."""
    data = _records(1)[0].encode(ID)
    assert [type(part) for part in scan(data, b"another!")] == [Bad]


def test_random_garbage_is_survived() -> None:
    """A scan ends, covers every byte once, and invents nothing."""
    chance = random.Random(7)
    whole = b"".join(record.encode(ID) for record in _records())
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 20)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(0, 9)] = chance.randbytes(chance.randrange(0, 9))
        at = 0
        for part in scan(bytes(data), ID):
            assert part.start == at
            assert part.end > at
            at = part.end
            if isinstance(part, Good):
                assert TracesData.FromString(bytes(data[part.start : part.end]))
        assert at == len(data)


def test_a_body_is_recognised_within_its_tenant() -> None:
    """The same body of another tenant is another request."""
    assert digest(b"x", "traces") == digest(b"x", "traces")
    others = {digest(b"y", "traces"), digest(b"x", "traces", "a"), digest(b"x", "traces", "b"), digest(b"x", "logs")}
    assert len({digest(b"x", "traces"), *others}) == 5


def test_a_tenant_name_has_a_limit() -> None:
    """The frame's length is one byte."""
    with pytest.raises(ValueError, match="at most 64 bytes"):
        Record(b"", 0, bytes(16), tenant="t" * 65).encode(ID)
