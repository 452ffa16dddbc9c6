"""Faults of ``docs/faults.md`` that no other module is about; the number is in the name of the test."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.collector.conftest import Start
from tests.support import otlp
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, get, send
from tests.support.doors import (
    DOORS,
    NAMES,
    TYPES,
    data_point,
    document,
    documents,
    encoded,
    export,
    log_record,
    request,
    rows,
    stored,
)
from tests.support.otlp import span, value
from tests.support.small_disk import mounted

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>"
PAIRS = [(sent, path) for sent in NAMES for path in NAMES if sent != path]


def test_fault_07_a_full_disk_can_be_emptied(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """The log's own segments have filled it, and each must be written anew before the store takes it: nested values."""
    server.stop()
    with mounted(tmp_path / "data" / "log", 2 << 20) as reason:
        if reason:
            pytest.skip(reason)
        collector = start(tmp_path / "data", store=server.url, segment_bytes=100_000)
        acknowledged = refused = 0
        while refused < 20:
            size = 60_000 if not refused else 2_000  # small ones fit where a large one did not
            sent = request("traces", "full", span({"deep": {"text": [[os.urandom(size // 2).hex()]]}}))
            answer = export(collector, "protobuf", "traces", sent)
            assert answer.code in (200, 503)
            acknowledged += answer.stored
            refused += not answer.stored
        server.start()
        assert stored(collector, "traces", "full") == acknowledged > 5
        assert export(collector, "protobuf", "traces", request("traces", "full")).stored
        assert collector.stop() == 0


def test_fault_07_a_start_on_a_full_disk(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """There is no room for a second copy of what an earlier run left: it is cut where its writing ended, and stored."""
    folder = tmp_path / "data" / "log"
    with mounted(folder, 2 << 20) as reason:
        if reason:
            pytest.skip(reason)
        (folder / "traces").mkdir()
        records = [otlp.log_record(otlp.body(span(), service="left"), 1) for _ in range(2000)]
        left = otlp.segment(folder / "traces", 1, *records)
        os.truncate(left.path, left.size - 7)
        with (folder / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - 65536)
        collector = start(tmp_path / "data", store=server.url)
        assert stored(collector, "traces", "left") == 1999
        assert collector.status()["signals"]["traces"]["torn_bytes"] > 0
        collector.stop()


@pytest.mark.parametrize(("sent", "path"), PAIRS)
@pytest.mark.parametrize("door", DOORS)
def test_fault_17_another_signal_is_refused_with_the_reason(
    collector: Handle, service: str, door: str, sent: str, path: str
) -> None:
    """Whatever its bytes could be taken for, nothing of it is stored."""
    answer = export(collector, door, path, encoded(door, request(sent, service)))
    assert answer.code in (400, "INVALID_ARGUMENT")
    assert answer.message.message.endswith(".")
    assert stored(collector, path, service) == 0


def test_fault_18_gzip_in_gzip_is_inflated_once(collector: Handle, service: str) -> None:
    """What is inside is no OTLP: 400, and never a second round."""
    sent = request("traces", service).SerializeToString()
    answer = export(collector, "protobuf", "traces", gzip.compress(gzip.compress(sent)), Content_Encoding="gzip")
    assert answer.code == 400
    answer = export(collector, "protobuf", "traces", gzip.compress(sent), Content_Encoding="gzip, gzip")
    assert answer.code == 415


@pytest.mark.parametrize(
    ("length", "codes"), [(-3, {b"400", b""}), (5, {b"408", b"400", b""})], ids=["too short", "too long"]
)
def test_fault_18_a_length_that_lies_stores_nothing(
    collector: Handle, service: str, length: int, codes: set[bytes]
) -> None:
    """Whoever says less than it sends is refused; who says more and goes away is forgotten. Others are served."""
    sent = request("traces", service).SerializeToString()
    head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPES['protobuf']}\r\n"
    parts = urlsplit(collector.http)
    with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(sent) + length}\r\n\r\n".encode() + sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096)[9:12] in codes
    assert stored(collector, "traces", service) == 0
    assert export(collector, "protobuf", "traces", request("traces", service)).stored


@pytest.mark.parametrize(("door", "signal"), [("grpc", "traces"), *(("protobuf", signal) for signal in NAMES)])
def test_fault_18_what_rows_repeat_is_bounded(collector: Handle, service: str, door: str, signal: str) -> None:
    """A resource is in every row of its items: a request of a MiB would be hundreds of them. Others are served."""
    large = {"nested": {"text": "x" * (1 << 20)}}
    make = {"traces": span, "logs": log_record, "metrics": data_point}[signal]
    answer = export(collector, door, signal, request(signal, service, *(make() for _ in range(300)), **large))
    assert answer.code in (413, "RESOURCE_EXHAUSTED")
    assert "send fewer in a request" in answer.message.message
    assert export(collector, door, signal, request(signal, service, *(make() for _ in range(3)), **large)).stored
    assert stored(collector, signal, service) == 3


def test_fault_18_a_metric_is_repeated_by_its_points(collector: Handle, service: str) -> None:
    """Its name and description are in every row too."""
    sent = request("metrics", service, *(data_point() for _ in range(300)))
    sent.resource_metrics[0].scope_metrics[0].metrics[0].description = "x" * (1 << 20)
    assert export(collector, "protobuf", "metrics", sent).code == 413


ODD_TEXTS = {"nul": "a\0b", "surrogate": "\ud800", "bidi": "\u202e", "long": "x" * 100_000, "not a character": "\uffff"}


@pytest.mark.parametrize("name", ODD_TEXTS)
def test_fault_20_odd_text_is_stored_or_mended(collector: Handle, service: str, name: str) -> None:
    """As the name and an attribute of a span and the body of a record; half a surrogate becomes U+FFFD."""
    text = ODD_TEXTS[name]
    kept = text.replace("\ud800", "\ufffd")
    named = document(name=text, attributes=[{"key": text, "value": {"stringValue": text}}])
    assert export(collector, "json", "traces", documents(service, named)).stored
    assert rows(collector, "traces", service, "SpanName AS n, SpanAttributes AS a") == [{"n": kept, "a": {kept: kept}}]
    for door in DOORS:
        record = log_record(body=value(kept), severity_text=door)
        assert export(collector, door, "logs", request("logs", service, record)).stored
    assert [row["b"] for row in rows(collector, "logs", service, "Body AS b")] == [kept] * 3


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize(
    "sent",
    [b"[" * 100_000, b'{"a":' * 100_000, b'{"resourceSpans":[' * 50_000, b"1" + b"0" * 100_000, b'{"a":1e999}'],
    ids=["arrays", "objects", "spans", "a huge number", "an infinite number"],
)
def test_fault_20_json_without_end_is_400(collector: Handle, signal: str, sent: bytes) -> None:
    """And the collector lives on."""
    assert export(collector, "json", signal, sent).code == 400
    assert get(collector.api + "/livez")[0] == 200


def _nested(depth: int) -> bytes:
    """A kvlist in a kvlist, as bytes: the library does not make as deep a message."""
    inner = b""
    for _ in range(depth):
        inner = _field(6, _field(1, _field(1, b"k") + _field(2, inner)))  # AnyValue.kvlist_value.values.value
    return inner


def _field(number: int, content: bytes) -> bytes:
    size, length = bytearray(), len(content)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((number << 3 | 2,)) + bytes((*size, length)) + content


@pytest.mark.parametrize("depth", [20, 90, 5_000])
def test_fault_20_protobuf_that_nests_is_stored_or_400(collector: Handle, service: str, depth: int) -> None:
    """As deep as protobuf reads; what is deeper is refused, and neither ends the collector."""
    pair = _field(1, b"deep") + _field(2, _nested(depth))
    inner = span().SerializeToString() + _field(9, pair)
    resource = request("traces", service).resource_spans[0].resource.SerializeToString()
    sent = _field(1, _field(1, resource) + _field(2, _field(2, inner)))
    answer = export(collector, "protobuf", "traces", sent)
    assert answer.code == (200 if depth == 20 else 400)
    assert stored(collector, "traces", service) == (depth == 20)


def _answers(collector: Handle, service: str) -> Iterator[tuple[dict[str, str], bytes]]:
    """What the API says of a service, in every way that shows text of spans."""
    sql = f"SELECT SpanName, SpanAttributes FROM otel_traces WHERE ServiceName = '{service}'"
    for format in ("JSON", "TSV", "CSV", "Pretty", "XML", "Values"):
        code, headers, body = send("GET", f"{collector.api}/?query={quote(sql)}&default_format={format}", b"")
        assert code == 200, body
        yield headers, body
    code, headers, body = send("POST", collector.api + "/", f"SELECT '{MARKUP}' FROM nowhere".encode())
    assert code >= 400
    yield headers, body


def test_fault_23_markup_is_text(collector: Handle, service: str) -> None:
    """A browser that is shown an answer runs nothing of it: its type is never HTML, and may not be guessed."""
    sent = span({MARKUP: MARKUP, "link": "javascript:alert(1)"}, name=MARKUP)
    assert export(collector, "protobuf", "traces", request("traces", service, sent)).stored
    collector.flush()
    for headers, body in _answers(collector, service):
        assert b"alert(1)" in body
        assert "html" not in headers["Content-Type"]
        assert headers["X-Content-Type-Options"] == "nosniff"
    code, headers, body = send("POST", f"{collector.http}/v1/{quote(MARKUP)}", b"")
    assert (code, "html" in headers["Content-Type"]) == (404, False)
    assert MARKUP.encode() not in body or headers["Content-Type"] == TYPES["protobuf"]


HEADERS: dict[str, Any] = {
    "X-Forwarded-For": "10.0.0.1", "X-Real-IP": "10.0.0.1", "Forwarded": "for=10.0.0.1", "X-Tenant": "victim",
    "X-Scope-OrgID": "victim", "X-Tenant-Id": "victim", "traceparent": "00-zz-zz-99", "baggage": "a=" + "b" * 7000,
}  # fmt: skip


@pytest.mark.parametrize("signal", NAMES)
def test_fault_29_headers_choose_no_tenant(collector: Handle, service: str, signal: str) -> None:
    """Nor anything else: what they say is passed over."""
    headers = {name.replace("-", "_"): text for name, text in HEADERS.items()}
    for door in DOORS:
        if door == "grpc":
            headers.pop("baggage")
        assert export(collector, door, signal, request(signal, service), **headers).stored
    assert rows(collector, signal, service, "TenantId AS t") == [{"t": ""}] * 3


def test_fault_29_a_line_break_makes_no_header(collector: Handle) -> None:
    """What an answer repeats of a question cannot end a header and begin another."""
    for name in ("query_id", "session_id", "default_format", "database", "param_x"):
        asked = f"{collector.api}/?query={quote('SELECT 1')}&{name}={quote('x' + chr(13) + chr(10) + 'X-Evil: 1')}"
        assert "X-Evil" not in send("GET", asked, b"")[1]


def test_fault_29_broken_requests_are_refused(collector: Handle) -> None:
    """A header with a line break in it, two lengths, a length beside chunks: 400, or the connection is closed."""
    parts = urlsplit(collector.http)
    for line in (
        "X: a\r\n b\0",
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
    ):
        with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
            connection.sendall(f"POST /v1/traces HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n".encode())
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(4096)[9:12] in (b"400", b"")
    assert json.loads(send("GET", collector.http + "/", b"")[2])["service"] == "otel-llm"
