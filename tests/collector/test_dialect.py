"""ClickHouse's HTTP dialect: what clients send, what they read, and clickhouse-connect itself."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from io import BytesIO
from pathlib import Path
from urllib.parse import urlencode

import lz4.block
import lz4.frame
import pytest
from clickhouse_cityhash.cityhash import CityHash128
from clickhouse_connect.driver.compression import _zstd_decompress as unzstd
from multidict import CIMultiDict

from otel_llm_collector.dialect.request import credential
from tests.collector.conftest import Start
from tests.support.collector import Handle, get
from tests.support.questions import ENDLESS, ask, form


def test_a_statement_is_in_the_body_in_the_address_or_in_both(collector: Handle) -> None:
    """The address comes first."""
    assert ask(collector, "SELECT 1 AS a")[::2] == (200, b"1\n")
    assert get(f"{collector.api}/?{urlencode({'query': 'SELECT 1 AS a'})}") == (200, b"1\n")
    assert ask(collector, "FORMAT CSVWithNames", query="SELECT 1 AS a")[2] == b'"a"\n1\n'
    assert ask(collector, "SELECT 1;")[2] == b"1\n"
    odd = {"Content-Type": "application/x-www-form-urlencoded; charset=nosuch"}  # what curl -d sends, almost
    assert ask(collector, "SELECT 1", odd)[2] == b"1\n"
    assert ask(collector, gzip.compress(b"SELECT 1"), {"Content-Encoding": "gzip"})[2] == b"1\n"


def test_without_a_statement_it_says_who_it_is(collector: Handle) -> None:
    """A GET of the root, for people; /ping, for clients."""
    code, answer = get(collector.api + "/")
    assert (code, json.loads(answer)["service"]) == (200, "otel-llm")
    assert get(collector.api + "/ping") == (200, b"Ok.\n")
    code, headers, answer = ask(collector, "  ")
    assert (code, headers["X-ClickHouse-Exception-Code"]) == (400, "62")
    assert answer == b"Code: 62. DB::Exception: The statement is empty. (SYNTAX_ERROR)\n"


def test_parameters_come_in_the_address_or_in_a_form(collector: Handle) -> None:
    """As values; a form may have the statement too."""
    assert ask(collector, "SELECT {x:String} = 'it''s', {n:UInt8}", param_x="it's", param_n="4")[2] == b"1\t4\n"
    fields = [
        ('name="query"', b"SELECT {x:String} = 'it''s', {list:Array(String)}"),
        ('name="param_x"', b"it's"),
        ('name="param_list"\r\nContent-Type: text/plain', b"['a\\'b']"),
    ]
    code, _, answer = ask(collector, *form(fields))
    assert (code, answer) == (200, b"1\t['a\\'b']\n")
    assert ask(collector, *form(fields[1:]), query="SELECT {x:String} = 'it''s'")[2] == b"1\n"


@pytest.mark.parametrize(
    ("format", "kind", "start"),
    [
        ("TabSeparated", "text/tab-separated-values; charset=UTF-8", b"1\n"),
        ("TSVWithNames", "text/tab-separated-values; charset=UTF-8", b"a\n1\n"),
        ("CSV", "text/csv; charset=UTF-8; header=absent", b"1\n"),
        ("CSVWithNames", "text/csv; charset=UTF-8; header=present", b'"a"\n1\n'),
        ("JSON", "application/json; charset=UTF-8", b"{"),
        ("JSONCompact", "application/json; charset=UTF-8", b"{"),
        ("JSONEachRow", "application/x-ndjson; charset=UTF-8", b'{"a":1}\n'),
        ("JSONCompactEachRow", "application/x-ndjson; charset=UTF-8", b"[1]\n"),
        ("Native", "application/octet-stream", b"\x01\x01\x01a\x05UInt8\x01"),
        ("RowBinary", "application/octet-stream", b"\x01"),
        ("RowBinaryWithNamesAndTypes", "application/octet-stream", b"\x01\x01a\x05UInt8\x01"),
        ("Arrow", "application/octet-stream", b"ARROW1"),
        ("ArrowStream", "application/octet-stream", b"\xff\xff\xff\xff"),
        ("Parquet", "application/octet-stream", b"PAR1"),
        ("ORC", "application/octet-stream", b"ORC"),
        ("Pretty", "text/plain; charset=UTF-8", b" "),
        ("Vertical", "text/plain; charset=UTF-8", b"Row 1:"),
        ("XML", "application/xml; charset=UTF-8", b"<?xml"),
        ("Null", "text/plain; charset=UTF-8", b""),
    ],
)
def test_formats(collector: Handle, format: str, kind: str, start: bytes) -> None:
    """By default_format, by a header and by a FORMAT clause, which wins; the answer says which it is."""
    for code, headers, answer in (
        ask(collector, "SELECT 1 AS a", default_format=format),
        ask(collector, "SELECT 1 AS a", {"X-ClickHouse-Format": format}),
        ask(collector, f"SELECT 1 AS a FORMAT {format}", default_format="XML"),
    ):
        assert (code, headers["X-ClickHouse-Format"], headers["Content-Type"]) == (200, format, kind)
        assert answer.startswith(start)


def test_headers_tell_what_it_took(collector: Handle) -> None:
    """The id, the time zone, the name of the server, and how much was read."""
    code, headers, _ = ask(collector, "SELECT sum(number) FROM numbers(1000)", query_id="abc-1")
    assert code == 200
    assert headers["X-ClickHouse-Query-Id"] == "abc-1"
    assert headers["X-ClickHouse-Timezone"] == "UTC"
    assert headers["X-ClickHouse-Server-Display-Name"] == "otel-llm"
    summary = json.loads(headers["X-ClickHouse-Summary"])
    assert (summary["read_rows"], summary["read_bytes"], summary["written_rows"]) == ("1000", "8000", "0")
    assert int(summary["elapsed_ns"]) > 0
    assert ask(collector, "SELECT 1", {"X-ClickHouse-Query-Id": "abc-2"})[1]["X-ClickHouse-Query-Id"] == "abc-2"
    first, second = (ask(collector, "SELECT 1")[1]["X-ClickHouse-Query-Id"] for _ in range(2))
    assert first != second


def test_the_time_zone_is_that_of_the_question(collector: Handle) -> None:
    """UTC, unless it asks for another."""
    sql = "SELECT toDateTime(0)"
    assert ask(collector, sql)[2] == b"1970-01-01 00:00:00\n"
    code, headers, answer = ask(collector, sql, session_timezone="Asia/Tokyo")
    assert (code, headers["X-ClickHouse-Timezone"], answer) == (200, "Asia/Tokyo", b"1970-01-01 09:00:00\n")
    assert ask(collector, sql, session_timezone="")[1]["X-ClickHouse-Timezone"] == "UTC"


@pytest.mark.parametrize(
    ("sql", "status", "code"),
    [
        ("SELECT nosuch FROM llm_calls", 404, 47),
        ("SELECT * FROM nosuch", 404, 60),
        ("SELEC 1", 400, 62),
        ("SELECT toUInt8('x')", 400, 6),
        ("SELECT {x:UInt8}", 500, 456),
        ("SELECT 1 FORMAT Nosuch", 404, 73),
        ("SELECT number FROM numbers(2000000)", 500, 396),
        ("SELECT repeat('x', 1000000) FROM numbers(100000)", 500, 241),
        ("SELECT file('/etc/passwd')", 403, 497),
        ("DROP TABLE llm_calls", 403, 164),
        ("SELECT 1" + " BETWEEN 0 AND 1" * 40, 400, 168),
    ],
)
def test_errors_have_the_number_and_the_status_of_clickhouse(
    collector: Handle, sql: str, status: int, code: int
) -> None:
    """And its words, whoever refused."""
    found, headers, answer = ask(collector, sql, query_id="wrong")
    assert (found, headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert headers["Content-Type"] == "text/plain; charset=UTF-8"
    assert headers["X-ClickHouse-Query-Id"] == "wrong"
    text = answer.decode()
    assert text.startswith(f"Code: {code}. DB::Exception: ")
    assert text.count("DB::Exception") == 1
    assert "(version" not in text
    assert text.endswith(")\n")


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"database": "system"}, 404, "Database system is not here; it is default."),
        ({"client_protocol_version": "x"}, 400, "client_protocol_version is 'x'; it must be a number."),
        ({"compress": "1", "network_compression_method": "x"}, 400, "'x'; LZ4 and ZSTD are known."),
        ({"decompress": "1"}, 501, "decompress=1 is not supported"),
        ({"query_id": "a\r\nX-Evil: 1"}, 400, "query_id must be"),
        ({"max_execution_time": "soon"}, 400, "max_execution_time is 'soon'; it must be a number."),
        ({"max_execution_time": "nan"}, 400, "max_execution_time is 'nan'; it must be a number."),
        ({"param_a b": "1"}, 400, "a name has letters, digits and _ only"),
        ({"session_timezone": "Nowhere\r\nX-Evil: 1"}, 400, "Setting session_timezone: Invalid time zone"),
        ({"max_block_size": "x"}, 400, "max_block_size is 'x'; it must be a number."),
        ({"max_rows_to_read": "-1"}, 400, "Code: 72. DB::Exception: Setting max_rows_to_read: "),
        ({"final": "2"}, 500, "Setting final: Cannot parse bool"),
        ({"format_csv_delimiter": "ab"}, 500, "Setting format_csv_delimiter: "),
        ({"result_overflow_mode": "break", "limit": "x"}, 400, "limit is 'x'; it must be a number."),
    ],
)
def test_what_cannot_be_understood_is_said(collector: Handle, query: dict[str, str], status: int, words: str) -> None:
    """In a sentence, and without a line of its own in the answer's head."""
    code, headers, answer = ask(collector, "SELECT 1", **query)
    assert code == status
    assert words in answer.decode()
    assert "X-Evil" not in headers


@pytest.mark.parametrize(
    ("sent", "headers", "status", "words"),
    [
        (b"SELECT '\xff'", {}, 400, "The statement is not UTF-8."),
        (b"SELECT '" + b"x" * (2 << 20) + b"'", {}, 413, "A request may have 1048576 bytes."),
        (b"INSERT INTO llm_calls FORMAT Native\n\xff", {}, 403, "Nothing can be inserted here"),
        (b"not gzip", {"Content-Encoding": "gzip"}, 400, "cannot be read"),
        (gzip.compress(b" " * (300 << 20)), {"Content-Encoding": "gzip"}, 413, "A request may have 1048576 bytes."),
        (*form([('name="t"; filename="t"', b"1")]), 501, "t is a file: tables cannot be sent along here."),
        (*form([('name="query"\r\nContent-Type: text/plain; charset=x', b"SELECT 1")]), 400, "unknown encoding"),
        (*form([("nothing", b"SELECT 1")]), 400, "cannot be read"),
        (b"--y\r\n", form([])[1], 400, "cannot be read"),
        (b"", {"Content-Type": "multipart/form-data"}, 400, "cannot be read"),
    ],
)
def test_bodies_that_cannot_be_read(
    collector: Handle, sent: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    """Broken, too large (once inflated), or of another kind."""
    code, _, answer = ask(collector, sent, headers)
    assert (code, answer.startswith(b"Code: ")) == (status, True)
    assert words in answer.decode()


def test_an_answer_is_compressed_as_the_client_can(collector: Handle) -> None:
    """In the content coding that we like best, unless it says that it wants none."""
    plain = b"\n".join(str(number).encode() for number in range(5000)) + b"\n"
    sql = "SELECT number FROM numbers(5000)"
    for accepted, coding, expand in (
        ("gzip", "gzip", gzip.decompress),
        ("deflate", "deflate", zlib.decompress),
        ("gzip, deflate, br, zstd", "zstd", unzstd),
        ("lz4", "lz4", lz4.frame.decompress),
        ("zstd;q=0, gzip;q=0.5", "gzip", gzip.decompress),
    ):
        code, headers, answer = ask(collector, sql, {"Accept-Encoding": accepted})
        assert (code, headers["Content-Encoding"]) == (200, coding)
        assert len(answer) < len(plain)
        assert expand(answer) == plain
    for headers, query in (
        ({"Accept-Encoding": "br"}, {}),
        ({"Accept-Encoding": "gzip"}, {"enable_http_compression": "0"}),
    ):
        _, told, answer = ask(collector, sql, headers, **query)
        assert ("Content-Encoding" in told, answer) == (False, plain)


def _unframed(frames: bytes) -> bytes:
    """The contents of ClickHouse's own frames, each of which must have the right checksum."""
    contents = b""
    while frames:
        size = int.from_bytes(frames[17:21], "little")
        frame, plain = frames[16 : 16 + size], int.from_bytes(frames[21:25], "little")
        halves = divmod(CityHash128(frame), 1 << 64)
        assert frames[:16] == b"".join(half.to_bytes(8, "little") for half in halves)
        packed = frame[9:]
        contents += lz4.block.decompress(packed, plain) if frame[0] == 0x82 else unzstd(packed)
        frames = frames[16 + size :]
    return contents


def test_clickhouse_s_own_frames(collector: Handle) -> None:
    """With compress=1, by either method, in frames of a megabyte; errors too, for those who were let in."""
    sql = "SELECT number FROM numbers(300000)"
    plain = ask(collector, sql)[2]
    for query in ({}, {"network_compression_method": "LZ4"}, {"network_compression_method": "ZSTD"}):
        code, headers, answer = ask(collector, sql, {"Accept-Encoding": "gzip"}, compress="1", **query)
        assert (code, "Content-Encoding" in headers) == (200, False)
        assert _unframed(answer) == plain
    assert ask(collector, "SELECT 1 WHERE 0", compress="1")[2] == b""
    code, _, answer = ask(collector, "SELECT nosuch", compress="1")
    assert (code, _unframed(answer).startswith(b"Code: 47.")) == (404, True)
    code, _, answer = ask(collector, "SELECT file('x')", compress="1")
    assert (code, answer.startswith(b"Code: 497.")) == (403, True)


def test_limits_may_be_lowered_never_raised(collector: Handle, start: Start, tmp_path: Path) -> None:
    """0, ClickHouse's word for none, raises nothing either."""
    small = start(tmp_path / "small", query_rows=10, query_seconds=1, query_memory_bytes=100_000_000)
    for value in ("0", "1000", "-1", "1e30"):
        code, headers, _ = ask(small, "SELECT number FROM numbers(11)", max_result_rows=value)
        assert (code, headers["X-ClickHouse-Exception-Code"]) == (500, "396")
        code, headers, _ = ask(small, "SELECT groupArray(number) FROM numbers(100000000)", max_memory_usage=value)
        assert (code, headers["X-ClickHouse-Exception-Code"]) == (500, "241")
    assert ask(small, ENDLESS, max_execution_time="600")[1]["X-ClickHouse-Exception-Code"] == "159"
    assert ask(small, "SELECT number FROM numbers(5)", max_result_rows="4")[1]["X-ClickHouse-Exception-Code"] == "396"
    assert ask(collector, ENDLESS, max_execution_time="0.1")[1]["X-ClickHouse-Exception-Code"] == "159"
    cut = ask(collector, "SELECT number FROM numbers(100000)", max_result_rows="10", result_overflow_mode="break",
              max_block_size="10")  # fmt: skip
    assert (cut[0], len(cut[2].splitlines())) == (200, 10)
    for limit, rows in (("0", 10), ("3", 3), ("100", 10)):
        cut = ask(small, "SELECT number FROM numbers(30000000)", result_overflow_mode="break", limit=limit,
                  max_block_size="30000000")  # fmt: skip
        assert (cut[0], len(cut[2].splitlines())) == (200, rows)
    assert ask(small, "SELECT number FROM numbers(5)", max_block_size="0")[0] == 200


def test_settings_that_change_how_an_answer_is_written(collector: Handle) -> None:
    """Are applied, those that clients send by themselves ignored."""
    wide = ask(
        collector, "SELECT 18446744073709551615 AS a FORMAT JSONEachRow", output_format_json_quote_64bit_integers="1"
    )
    assert wide[2] == b'{"a":"18446744073709551615"}\n'
    assert ask(collector, "SELECT number FROM numbers(9)", limit="2", offset="1")[2] == b"1\n2\n"
    sent = {
        "session_id": "s", "session_timeout": "60", "wait_end_of_query": "1", "send_progress_in_http_headers": "1",
        "http_headers_progress_interval_ms": "120000", "readonly": "1", "user": "default", "password": "x",
        "quota_key": "", "role": "r", "buffer_size": "1", "cancel_http_readonly_queries_on_client_close": "1",
        "log_comment": "mine", "client_protocol_version": "54405", "database": "default", "async_insert": "1",
    }  # fmt: skip
    assert ask(collector, "SELECT 1", **sent)[::2] == (200, b"1\n")


@pytest.mark.parametrize(
    "setting",
    [
        ("readonly", "0"),
        ("allow_ddl", "1"),
        ("format_schema", "/etc/passwd"),
        ("format_template_resultset", "/etc/passwd"),
        ("output_format_schema", "/tmp/x"),
        ("format_avro_schema_registry_url", "http://127.0.0.1:1"),
        ("url_base", "http://127.0.0.1:1"),
        ("max_parser_depth", "0"),
        ("max_hyperscan_regexp_length", "0"),
        ("compatibility", "20.1"),
        ("allow_experimental_analyzer", "0"),
        ("additional_table_filters", "{}"),
        ("additional_result_filter", "1"),
        ("insert_deduplication_token", "x"),
        ("sql_dialect", "prql"),
        ("dialect", "kusto"),
        ("t_structure", "a UInt8"),
        ("nosuch", "1"),
    ],
)
def test_other_settings_are_refused(collector: Handle, setting: tuple[str, str]) -> None:
    """With the number of READONLY."""
    code, headers, answer = ask(collector, "SELECT 1", query_id="mine", **dict([setting]))
    assert (code, headers["X-ClickHouse-Exception-Code"]) == (403, "164")
    assert headers["X-ClickHouse-Query-Id"] == "mine"
    assert setting[0] in answer.decode()


@pytest.mark.parametrize(
    ("headers", "secret"),
    [
        ({"Authorization": "Bearer abc"}, "abc"),
        ({"Authorization": "Basic " + base64.b64encode(b"default:a:b").decode()}, "a:b"),
        ({"Authorization": "Basic ???"}, ""),
        ({"Authorization": "Basic \u00e9"}, ""),
        ({"X-ClickHouse-User": "default", "X-ClickHouse-Key": "abc"}, "abc"),
        ({"Authorization": "Bearer abc", "X-ClickHouse-Key": "x"}, "abc"),
        ({}, "from-the-address"),
    ],
)
def test_where_the_credential_is(headers: dict[str, str], secret: str) -> None:
    """The ways of ClickHouse's clients."""

    class Request:
        def __init__(self) -> None:
            self.headers = CIMultiDict(headers)
            self.query = {"password": "from-the-address"} if not headers else {}

    assert credential(Request()) == secret  # type: ignore[arg-type] # what it reads of a request


def test_arrow_and_parquet_are_what_they_say(collector: Handle) -> None:
    """Read by pyarrow."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    sql = "SELECT number AS n, toString(number) AS s FROM numbers(1000)"
    table = parquet.read_table(BytesIO(ask(collector, sql, default_format="Parquet")[2]))
    assert table.column("n").to_pylist() == list(range(1000))
    stream = arrow.ipc.open_file(BytesIO(ask(collector, sql, default_format="Arrow")[2])).read_all()
    assert stream.column("s").to_pylist() == [str(number) for number in range(1000)]
