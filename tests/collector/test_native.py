"""Native blocks for clients that say their protocol's version, as clickhouse-go does."""

from __future__ import annotations

import pytest

from otel_llm_collector.dialect.native import versioned
from otel_llm_collector.errors import StoreError
from otel_llm_collector.sql.task import Task
from tests.support.collector import Handle
from tests.support.questions import ask

HEAD = b"\x01\x00\x02\xff\xff\xff\xff\x00"
KINDS = """
number
toInt8(-1)
toInt256(number)
toUInt128(number)
number % 2 = 0
toBool(number % 2)
0.5
toFloat32(number)
toDecimal32(1.5, 2)
toDecimal64(number, 3)
toDecimal128(1.5, 3)
CAST(1.5 AS Decimal(50, 2))
toDate(number)
toDate32(number)
toDateTime(number)
toDateTime(number, 'Europe/Berlin')
toDateTime64(number, 9)
toDateTime64(number, 3, 'Asia/Tokyo')
toIntervalDay(number)
toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')
toIPv4('1.2.3.4')
toIPv6('::1')
CAST('b' AS Enum8('a' = 1, 'b' = 2, 'c, (d)' = 3))
CAST('it''s' AS Enum16('it''s' = 1000))
toFixedString('ab', 5)
toString(number)
repeat('x', number)
repeat('x', number * 200)
NULL
if(number % 2 = 0, NULL, number)
if(number % 2 = 0, NULL, hex(number))
toLowCardinality(toString(number % 7))
CAST(if(number % 2 = 0, NULL, toString(number)) AS LowCardinality(Nullable(String)))
CAST(toFixedString('ab', 2) AS LowCardinality(FixedString(2)))
CAST(NULL AS LowCardinality(Nullable(FixedString(3))))
[]
range(number)
[[1], [], [2, 3]]
arrayMap(x -> toString(x), range(number))
[NULL, number]
CAST([] AS Array(LowCardinality(String)))
CAST(['a', NULL] AS Array(LowCardinality(Nullable(String))))
map('a', number)
CAST(map() AS Map(String, UInt8))
CAST(map('a', 'b') AS Map(LowCardinality(String), LowCardinality(String)))
CAST(map('a', ['b']) AS Map(LowCardinality(String), Array(LowCardinality(Nullable(String)))))
[map('a', 1), map()]
(number, 'a')
CAST((1, 'x') AS Tuple(a UInt8, `b, (c` LowCardinality(String)))
CAST([(1, 'x')] AS Nested(a UInt8, b String))
tuple(map('a', [(1, 'b')]))
CAST((1, 2) AS Point)
CAST([(1, 2)] AS Ring)
CAST([[(1, 2)]] AS Polygon)
CAST(number AS SimpleAggregateFunction(max, UInt64))
"""


def _behind(data: bytes, at: int) -> int:
    """The place behind a text of less than 128 bytes, or of less than 16,384."""
    size = data[at] if data[at] < 128 else data[at] & 127 | data[at + 1] << 7
    return at + (1 if data[at] < 128 else 2) + size


def _versioned(block: bytes) -> bytes:
    """A column with the byte that says how its values are written; the block has no other."""
    start = 2 if block[1] < 128 else 3
    at = _behind(block, _behind(block, start))
    return block[start:at] + b"\x00" + block[at:]


@pytest.mark.parametrize("rows", [1, 300])
def test_every_kind_of_column(collector: Handle, rows: int) -> None:
    """What is sent is the columns as each of them is sent alone."""
    kinds = KINDS.strip().splitlines()
    columns = ", ".join(f"{kind} AS c{number}" for number, kind in enumerate(kinds))
    code, _, answer = ask(collector, f"SELECT {columns} FROM numbers({rows})", default_format="Native",
                          client_protocol_version="54460")  # fmt: skip
    assert code == 200
    expected = HEAD + bytes([len(kinds)]) + (bytes([rows]) if rows < 128 else bytes([rows & 127 | 128, rows >> 7]))
    for number, kind in enumerate(kinds):
        alone = ask(collector, f"SELECT {kind} AS c{number} FROM numbers({rows})", default_format="Native")
        assert alone[0] == 200
        expected += _versioned(alone[2])
    assert answer == expected


def test_every_block_has_its_head(collector: Handle) -> None:
    """Also where there are many; and where there is none, there is nothing."""
    sql = "SELECT number, toString(number) FROM numbers(500000)"
    plain = ask(collector, sql, default_format="Native")[2]
    answer = ask(collector, sql, default_format="Native", client_protocol_version="54460")[2]
    blocks = answer.count(HEAD)
    assert blocks > 1
    assert len(answer) == len(plain) + blocks * (len(HEAD) + 2)
    none = "SELECT number FROM numbers(10) WHERE number > 10"
    assert ask(collector, none, default_format="Native", client_protocol_version="54460")[2] == b""


def test_only_native_and_only_new_clients(collector: Handle) -> None:
    """Others are sent what they were sent before there was a version."""
    sql = "SELECT number FROM numbers(3)"
    plain = ask(collector, sql, default_format="Native")[2]
    assert ask(collector, sql, default_format="Native", client_protocol_version="54405")[2] == plain
    assert ask(collector, sql, default_format="TSV", client_protocol_version="54460")[2] == b"0\n1\n2\n"


@pytest.mark.parametrize("kind", ["sumState(1)", "'{\"a\": 1}'::JSON", "1::Dynamic", "1::Variant(UInt8, String)"])
def test_columns_whose_end_cannot_be_found(collector: Handle, kind: str) -> None:
    """Are refused by their type."""
    code, headers, answer = ask(collector, f"SELECT {kind}", default_format="Native", client_protocol_version="54460")
    assert (code, headers["X-ClickHouse-Exception-Code"]) == (501, "48")
    assert b"cannot be sent to this client: cast it" in answer


@pytest.mark.parametrize(
    ("kind", "rows", "ends"),
    [("String", b"\xc0\x9a\x0c", b""), ("Array(String)", b"\x01", (200_000).to_bytes(8, "little"))],
)
def test_many_texts_are_given_up_with_their_question(kind: str, rows: bytes, ends: bytes) -> None:
    """Each is stepped over; in between is time to see that nobody waits any more."""
    block = b"\x01" + rows + b"\x01c" + bytes([len(kind)]) + kind.encode() + ends + b"\x00" * 200_000
    task = Task()
    asked = 0

    def go_on() -> None:
        nonlocal asked
        asked += 1
        task.cancelled = asked == 3
        task.go_on()

    with pytest.raises(StoreError, match="Query was cancelled"):
        versioned(block, go_on)
    assert asked == 3
