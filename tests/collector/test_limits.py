"""What a sender may take of a collector: connections, heads, bodies, streams; others are served meanwhile."""

from __future__ import annotations

import gzip
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest

from tests.support.collector import Handle, send, start_collector
from tests.support.otlp import body, span

TYPE = {"Content-Type": "application/x-protobuf"}
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PATIENCE_S = 60.0
BEGUN = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
HEAD_BYTES = 8192


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector with little patience."""
    handle = start_collector(
        tmp_path_factory.mktemp("short"), head_seconds=0.4, body_seconds=0.4, idle_seconds=1.5,
        connections_per_peer=20, connections=30, head_bytes=HEAD_BYTES, head_fields=32, grpc_streams=10,
    )  # fmt: skip
    yield handle
    assert handle.stop() == 0


def _connect(url: str, source: str = "127.0.0.1") -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 0), PATIENCE_S, source_address=(source, 0))


def _all(connection: socket.socket) -> bytes:
    """Everything until the collector closes; a reset is a close too."""
    said = b""
    try:
        while chunk := connection.recv(65536):
            said += chunk
    except ConnectionResetError:
        pass
    return said


def _served(collector: Handle) -> None:
    """Whether others are served: from another address, at all doors."""
    with _connect(collector.http, "127.0.0.2") as connection:
        sent = body(span())
        head = BEGUN + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(sent)
        connection.sendall(head + sent)
        assert _all(connection).startswith(b"HTTP/1.1 200 ")
    with grpc.insecure_channel(collector.grpc.removeprefix("http://")) as channel:
        assert channel.unary_unary(EXPORT)(body(span()), timeout=PATIENCE_S) == b""
    assert send("POST", collector.api, b"SELECT 1")[::2] == (200, b"1\n")


@pytest.mark.parametrize(
    "begun", [b"", b"P", b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nX-Slow: "], ids=["nothing", "a byte", "half a head"]
)
def test_a_head_that_does_not_come(short: Handle, begun: bytes) -> None:
    """The connection is closed, and counted."""
    before = short.status()["connections"]["http"]["late"]
    with _connect(short.http) as connection:
        connection.sendall(begun)
        assert _all(connection) == b""
    assert short.status()["connections"]["http"]["late"] == before + 1
    _served(short)


def test_a_head_byte_by_byte(short: Handle) -> None:
    """The time runs from its first byte, however many follow."""
    with _connect(short.http) as connection:
        connection.sendall(BEGUN)
        assert _dripped(connection) == b""


def test_the_head_of_a_next_request(short: Handle) -> None:
    """Has the same time from its own first byte, and a connection may be idle for longer before it."""
    request = BEGUN + b"Content-Length: 0\r\n\r\n"
    with _connect(short.http) as connection:
        for _ in range(3):
            connection.sendall(request)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            connection.settimeout(0.8)  # twice what a head may take
            with pytest.raises(TimeoutError):
                connection.recv(1)
            connection.settimeout(PATIENCE_S)
        before = short.status()["connections"]["http"]["late"]
        connection.sendall(b"POST ")
        assert _all(connection) == b""
    assert short.status()["connections"]["http"]["late"] == before + 1


def test_an_idle_connection_is_closed(short: Handle) -> None:
    before = short.status()["connections"]["http"]["late"]
    with _connect(short.http) as connection:
        connection.sendall(BEGUN + b"Content-Length: 0\r\n\r\n")
        assert _all(connection).startswith(b"HTTP/1.1 200 ")
    assert short.status()["connections"]["http"]["late"] == before


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"Content-Length: 100\r\n\r\n" + b"x" * 99, id="less than was said"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", id="chunks without an end"),
        pytest.param(b"Content-Length: 100\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", id="half a gzip"),
    ],
)
def test_a_body_that_does_not_come(short: Handle, rest: bytes) -> None:
    """408, which exporters do not repeat for ever, and the connection is closed."""
    with _connect(short.http) as connection:
        connection.sendall(BEGUN + rest)
        assert _all(connection).startswith(b"HTTP/1.1 408 ")
    _served(short)


def test_a_body_byte_by_byte(short: Handle) -> None:
    """The time is for all of it."""
    with _connect(short.http) as connection:
        connection.sendall(BEGUN + b"Content-Length: 100000\r\n\r\n")
        assert _dripped(connection).startswith(b"HTTP/1.1 408 ")


def _dripped(connection: socket.socket) -> bytes:
    """What is answered to one who sends a byte at a time, and does not stop."""
    connection.settimeout(0.05)
    for _ in range(1200):
        try:
            connection.sendall(b"x")
            return connection.recv(65536)
        except TimeoutError:
            continue
        except ConnectionError:
            return b""
    raise AssertionError("It was waited for.")


def test_a_body_that_is_broken(collector: Handle) -> None:
    """In its middle: 400 at once, not 408 when its time is over, and in the words for a body."""
    with _connect(collector.http) as connection:
        connection.sendall(BEGUN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        _begun(collector)
        connection.sendall(b"zz\r\nabc\r\n0\r\n\r\n")
        said = _all(connection)
    assert said.startswith(b"HTTP/1.1 400 ")
    assert b"The body is broken" in said
    _served(collector)


def _begun(collector: Handle) -> None:
    """Wait until bytes of a body are there."""
    while not _bodies(collector):
        time.sleep(0.001)


def _bodies(collector: Handle) -> float:
    """Bytes of the bodies of requests under way."""
    said = send("GET", f"{collector.api}/metrics", b"")[2].decode()
    (line,) = [line for line in said.splitlines() if line.startswith("otel_llm_collector_request_bodies_bytes ")]
    return float(line.split()[1])


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="The system has no limit for what is not read.")
@pytest.mark.parametrize("door", ["http", "api"])
def test_answers_that_are_not_read(short: Handle, door: str) -> None:
    """Of requests without end; the connection is closed, and counted."""
    before = short.status()["connections"][door]["late"]
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(getattr(short, door))
        connection.connect((parts.hostname, parts.port))
        connection.settimeout(PATIENCE_S)
        with suppress(ConnectionError):
            while True:
                connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
    assert short.status()["connections"][door]["late"] == before + 1
    _served(short)


def test_an_answer_that_is_read_slowly(short: Handle) -> None:
    """Is given to the end, however much longer it takes than a client may do nothing."""
    sql = b"SELECT repeat('x', 1000000) AS x FROM numbers(4) FORMAT TSV"
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        parts = urlsplit(short.api)
        connection.connect((parts.hostname, parts.port))
        connection.settimeout(PATIENCE_S)
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(sql)
        connection.sendall(head + sql)
        size = 0
        while chunk := connection.recv(1 << 20, socket.MSG_WAITALL):
            size += len(chunk)
            time.sleep(0.1)
    assert size > 4_000_000


def test_a_statement_that_does_not_come(short: Handle) -> None:
    """On the SQL endpoint too, in ClickHouse's words."""
    with _connect(short.api) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nSELECT")
        said = _all(connection)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"Code: 209. DB::Exception: The statement did not arrive within 0.4 seconds. (SOCKET_TIMEOUT)" in said


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(BEGUN + b"X-Long: " + b"x" * 2 * HEAD_BYTES + b"\r\n\r\n", id="a field too long"),
        pytest.param(b"GET /" + b"x" * HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="an address too long"),
        pytest.param(BEGUN + b"".join(b"X-%d: x\r\n" % n for n in range(40)) + b"\r\n", id="too many fields"),
        pytest.param(BEGUN + b"X-Long: " + b"x" * HEAD_BYTES, id="no end"),
    ],
)
@pytest.mark.parametrize("door", ["http", "api"])
def test_a_head_that_is_too_large(short: Handle, head: bytes, door: str) -> None:
    """431, and the connection is closed; nothing of it is repeated in the answer."""
    with _connect(getattr(short, door)) as connection:
        connection.sendall(head)
        said = _all(connection)
    assert said.split(b" ", 2)[1] == b"431"
    assert b"xxx" not in said


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(BEGUN + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\nhello", id="two lengths"),
        pytest.param(BEGUN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length, chunks"),
        pytest.param(BEGUN + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", id="chunked is not last"),
        pytest.param(BEGUN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", id="an unknown coding"),
        pytest.param(BEGUN + b"Content-Length: +5\r\n\r\nhello", id="a length with a sign"),
        pytest.param(BEGUN + b"Content-Length: 0x5\r\n\r\nhello", id="a length in base 16"),
        pytest.param(BEGUN + b"Content-Length : 5\r\n\r\nhello", id="a space before the colon"),
        pytest.param(BEGUN + b"X: a\n\nContent-Length: 5\r\n\r\nhello", id="bare line feeds"),
        pytest.param(BEGUN + b"X: a\x00b\r\n\r\n", id="a NUL"),
        pytest.param(BEGUN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="a chunk without a size"),
        pytest.param(BEGUN + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", id="a chunk of less than nothing"),
        pytest.param(BEGUN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n0\r\n\r\n", id="a chunk too long"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
    ],
)  # fmt: skip
def test_what_is_no_http(short: Handle, sent: bytes, service: str) -> None:
    """400 once, and the connection is closed: what follows is never taken for a request of its own."""
    smuggled = body(span(), service=service)
    follow = BEGUN + b"Content-Length: %d\r\n\r\n" % len(smuggled) + smuggled
    with _connect(short.http) as connection:
        connection.sendall(sent + follow)
        said = _all(connection)
    assert said.split(b" ", 2)[1] == b"400"
    assert said.count(b"HTTP/1.") == 1
    short.flush()
    assert short.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service) == [{"n": 0}]


def test_pipelined_requests(short: Handle, service: str) -> None:
    """Are answered one by one, in order, however many there are."""
    many = 200
    sent = [body(span(), service=service) for _ in range(many)]
    requests = b"".join(BEGUN + b"Content-Length: %d\r\n\r\n" % len(each) + each for each in sent)
    with _connect(short.http) as connection:
        connection.sendall(requests + BEGUN + b"Connection: close\r\nContent-Length: 1\r\n\r\nx")
        said = _all(connection)
    assert said.count(b"HTTP/1.1 200 ") == many
    assert said.rfind(b"HTTP/1.1 400 ") > said.rfind(b"HTTP/1.1 200 ")
    short.flush()
    assert short.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service) == [
        {"n": many}
    ]


@pytest.mark.parametrize("door", ["http", "api"])
def test_connections_of_one_address(short: Handle, door: str) -> None:
    """Those beyond the limit are closed at once and counted; others are served, and so is this one again later."""
    url = getattr(short, door)
    before = short.status()["connections"][door]["refused"]
    with ExitStack() as stack:
        held = [stack.enter_context(_connect(url, "127.0.0.3")) for _ in range(200)]
        assert sum(_all(connection) == b"" for connection in held) == 200
        assert short.status()["connections"][door]["refused"] >= before + 180
        _served(short)
    with _connect(url, "127.0.0.3") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert _all(connection).startswith(b"HTTP/1.1 200 ")


def test_connections_in_all(short: Handle) -> None:
    """The limit of all addresses together holds too; the other port is not concerned."""
    with ExitStack() as stack:
        for number in range(3):
            for _ in range(15):
                stack.enter_context(_connect(short.http, f"127.0.1.{number + 1}"))
        said = short.status()["connections"]["http"]
        assert said["open"] <= 30
        assert send("POST", short.api, b"SELECT 1")[::2] == (200, b"1\n")
    while short.status()["connections"]["http"]["open"]:
        time.sleep(0.01)
    _served(short)


HTTP2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack(">HBBBI", 0, 0, 4, 0, 0)
"""How a client of HTTP/2 begins, with settings that say nothing."""


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _headers(*more: tuple[str, str]) -> bytes:
    """The head of an Export call, each field in full."""
    fields = [(":method", "POST"), (":scheme", "http"), (":path", EXPORT), (":authority", "x"), ("te", "trailers"),
              ("content-type", "application/grpc"), *more]  # fmt: skip
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(value: str) -> bytes:
    size = len(value)
    if size < 127:
        return bytes((size,)) + value.encode()
    rest, length = size - 127, bytearray((127,))
    while rest >= 128:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return bytes(length) + value.encode()


def _memory(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def test_streams_that_are_cancelled_at_once(short: Handle) -> None:
    """HTTP/2 rapid reset: the collector stays, without more memory, and serves others."""
    before = _memory(short.pid)
    head = _headers()
    with _connect(short.grpc) as connection:
        connection.sendall(HTTP2)
        connection.setblocking(False)
        for first in range(1, 20_001, 200):
            burst = b"".join(
                _frame(1, 4, stream, head) + _frame(3, 0, stream, struct.pack(">I", 8))
                for stream in range(first, first + 200, 2)
            )
            if not _push(connection, burst):
                break
        _served(short)
    assert _memory(short.pid) - before < 100 << 20


def _push(connection: socket.socket, data: bytes) -> bool:
    """Send without waiting for answers; false when the other end has had enough."""
    connection.settimeout(PATIENCE_S)
    try:
        connection.sendall(data)
        connection.setblocking(False)
        while connection.recv(1 << 20):
            pass
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
    return False


def test_pings_without_end(short: Handle) -> None:
    """A client that pings more often than it may is sent away."""
    with _connect(short.grpc) as connection:
        connection.sendall(HTTP2)
        with suppress(ConnectionError):
            connection.sendall(_frame(6, 0, 0, bytes(8)) * 2000)
        said = _all(connection)
    assert b"too_many_pings" in said
    _served(short)


def test_metadata_that_is_too_large(short: Handle) -> None:
    """RESOURCE_EXHAUSTED; less of it is taken."""
    with grpc.insecure_channel(short.grpc.removeprefix("http://")) as channel:
        call = channel.unary_unary(EXPORT)
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", metadata=[("x-large", "x" * 2 * HEAD_BYTES)], timeout=PATIENCE_S)
        assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call(b"", metadata=[("x-large", "x" * (HEAD_BYTES // 4))], timeout=PATIENCE_S) == b""


def test_a_client_that_says_nothing_over_grpc(short: Handle) -> None:
    """Is closed as over HTTP."""
    with _connect(short.grpc) as connection:
        _all(connection)
    _served(short)


def test_a_body_that_does_not_come_over_grpc(short: Handle) -> None:
    """DEADLINE_EXCEEDED after the same time; and a call without any is told so."""
    refused = short.status()["signals"]["traces"]["refused_requests"]
    with _connect(short.grpc) as connection:
        connection.sendall(HTTP2 + _frame(1, 4, 1, _headers()) + _frame(0, 0, 1, b"\x00" + struct.pack(">I", 100)))
        assert _status(connection) == b"4"
    with _connect(short.grpc) as connection:
        connection.sendall(HTTP2 + _frame(1, 4, 1, _headers()) + _frame(0, 1, 1))
        assert _status(connection) == b"3"
    after = short.status()["signals"]["traces"]["refused_requests"]
    assert after["slow"] == refused.get("slow", 0) + 1
    assert after["malformed"] == refused.get("malformed", 0) + 1
    _served(short)


def _status(connection: socket.socket) -> bytes:
    """The ``grpc-status`` of the first call that ends."""
    said = b""
    while not (found := re.search(rb"grpc-status.(\d+)", said, re.DOTALL)):
        chunk = connection.recv(65536)
        assert chunk
        said += chunk
    return found[1]


def test_more_streams_than_a_connection_may_have(short: Handle) -> None:
    """Wait for each other, or are told to come again."""
    with grpc.insecure_channel(short.grpc.removeprefix("http://")) as channel:
        calls = [channel.unary_unary(EXPORT).future(body(span()), timeout=PATIENCE_S) for _ in range(50)]
        codes = [call.code() for call in calls]
    assert codes.count(grpc.StatusCode.OK) >= 10
    assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}


def test_a_body_that_takes_long_does_not_stop_others(short: Handle) -> None:
    """A few kilobytes of gzip, of which every message is looked at: others are answered many times meanwhile."""
    sent = gzip.compress(b"\x0a\x00" * 260_000 + b"\x0a\x03\x1a\x01\xff")  # text that is to be mended
    headers = {**TYPE, "Content-Encoding": "gzip"}
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(send("POST", f"{short.http}/v1/traces", sent, headers)[0]))
    thread.start()
    answers = 0
    while thread.is_alive():
        answers += send("GET", f"{short.api}/livez", b"")[0] == 200
    assert codes == [400]
    assert answers > 10


def test_large_json_does_not_stop_others(short: Handle, service: str) -> None:
    """It is converted beside the loop; what it holds is stored."""
    spans = [
        {"traceId": f"{n + 1:032x}", "spanId": f"{n + 1:016x}", "name": "x" * 1000, "startTimeUnixNano": "0"}
        for n in range(1000)
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    sent = json.dumps({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]}).encode()
    assert len(sent) > 1 << 20
    assert send("POST", f"{short.http}/v1/traces", sent, {"Content-Type": "application/json"})[::2] == (200, b"{}")
    assert send("POST", f"{short.http}/v1/traces", sent[:-1], {"Content-Type": "application/json"})[0] == 400
    short.flush()
    assert short.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service) == [
        {"n": 1000}
    ]
