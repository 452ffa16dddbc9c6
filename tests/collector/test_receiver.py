"""The doors: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import gzip
import json
import os
import socket
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_llm_collector.app import Collector
from otel_llm_collector.errors import LogFull
from otel_llm_collector.receiver.inflate import zstd
from otel_llm_collector.receiver.room import Room
from otel_llm_collector.settings import Settings
from tests.support.collector import Handle, send, start_collector
from tests.support.otlp import START, body, request, span

TYPE = "application/x-protobuf"
PROTOBUF = {"Content-Type": TYPE}


def _post(
    collector: Handle, sent: bytes, path: str = "/v1/traces", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    return send("POST", collector.http + path, sent, {**PROTOBUF, **given})


def _refusal(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, int, str]:
    """The HTTP code, the gRPC code and the sentence."""
    code, headers, sent = answer
    assert headers["Content-Type"] == TYPE
    status = Status.FromString(sent)
    return code, status.code, status.message


def _stored(collector: Handle, service: str) -> int:
    collector.flush()
    (row,) = collector.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service)
    return int(row["n"])


@pytest.fixture
def stub(collector: Handle) -> Iterator[Any]:
    with _channel(collector) as channel:
        yield TraceServiceStub(channel)


def _channel(collector: Handle) -> grpc.Channel:
    return grpc.insecure_channel(collector.grpc.removeprefix("http://"), [("grpc.max_send_message_length", -1)])


def _exporters(collector: Handle) -> dict[str, SpanExporter]:
    traces = f"{collector.http}/v1/traces"
    return {
        "grpc": GrpcExporter(collector.grpc, insecure=True),
        "grpc gzip": GrpcExporter(collector.grpc, insecure=True, compression=grpc.Compression.Gzip),
        "http": HttpExporter(traces),
        "http gzip": HttpExporter(traces, compression=Compression.Gzip),
        "http deflate": HttpExporter(traces, compression=Compression.Deflate),
    }


@pytest.mark.parametrize("name", ["grpc", "grpc gzip", "http", "http gzip", "http deflate"])
def test_the_official_exporters(collector: Handle, service: str, name: str) -> None:
    """Every transport and compression that Python's exporters have; a batch, with its parents and errors."""
    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(_exporters(collector)[name]))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("parent") as parent:
        for number in range(50):
            with tracer.start_as_current_span("child", attributes={"n": number, "list": ["a", "b"]}):
                pass
        parent.record_exception(ValueError("broken"))
    provider.shutdown()
    assert _stored(collector, service) == 51
    assert collector.query(
        "SELECT uniqExact(TraceId) AS traces, sum(toUInt64OrZero(SpanAttributes['n'])) AS total, "
        "countIf(ParentSpanId != '') AS children, sum(length(Events.Name)) AS events "
        "FROM otel_traces WHERE ServiceName = {s:String}", s=service,
    ) == [{"traces": 1, "total": 1225, "children": 50, "events": 1}]  # fmt: skip


@pytest.mark.parametrize("encoding", ["", "identity", "gzip", "GZIP", "deflate"])
def test_encodings(collector: Handle, service: str, encoding: str) -> None:
    """What was compressed is stored as what was not."""
    sent = body(span(), service=service)
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)(sent)
    assert _post(collector, packed, Content_Encoding=encoding)[::2] == (200, b"")
    assert _stored(collector, service) == 1


def test_many_senders_at_once(collector: Handle, service: str) -> None:
    """Twenty connections; every answer is a success, every span is there once."""
    answers: list[int] = []

    def work() -> None:
        answers.extend(_post(collector, body(span(), span(), service=service))[0] for _ in range(5))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 100
    assert _stored(collector, service) == 200


@pytest.mark.parametrize("sent", [b"", body()], ids=["no bytes", "empty envelope"])
def test_an_empty_request_is_a_success(collector: Handle, stub: Any, sent: bytes) -> None:
    """On both doors, and says nothing in its body."""
    assert _post(collector, sent)[::2] == (200, b"")
    answer = stub.Export(request())
    assert not answer.HasField("partial_success")


def test_unknown_fields_are_ignored(collector: Handle, service: str) -> None:
    """Of a newer OTLP, and of the number that the log's frames use."""
    sent = body(span(), service=service) + b"\xfa\x7f\x03abc" + b"\xf2\x7f\x03xyz"
    assert _post(collector, sent)[0] == 200
    assert _stored(collector, service) == 1


def test_partial_success(collector: Handle, stub: Any, service: str) -> None:
    """One bad span does not cost its siblings, and the sender is told the number and the reason."""
    before = collector.status()["signals"]["traces"]["rejected"]
    code, _, sent = _post(collector, body(span(), span(trace_id=b"short"), span(), service=service))
    answer = ExportTraceServiceResponse.FromString(sent)
    assert (code, answer.partial_success.rejected_spans) == (200, 1)
    assert answer.partial_success.error_message.startswith("1 of 3 spans have no valid ids")
    answer = stub.Export(request(span(), span(span_id=b""), service=service))
    assert answer.partial_success.rejected_spans == 1
    assert _stored(collector, service) == 3
    assert collector.status()["signals"]["traces"]["rejected"] == before + 2


def test_the_same_request_again_is_stored_once(collector: Handle, stub: Any, service: str) -> None:
    """Whichever door it comes through, mended and partial ones too."""
    before = collector.status()["signals"]["traces"]["duplicate_requests"]
    whole = request(span(), service=service)
    partial = body(span({"x": "QQ"}), span(trace_id=b""), service=service).replace(b"QQ", b"\xff\xff")
    for _ in range(3):
        assert _post(collector, whole.SerializeToString())[0] == 200
        stub.Export(whole)
        code, _, sent = _post(collector, partial)
        assert (code, ExportTraceServiceResponse.FromString(sent).partial_success.rejected_spans) == (200, 1)
    assert _stored(collector, service) == 2
    assert collector.status()["signals"]["traces"]["duplicate_requests"] == before + 7


def test_the_same_request_at_the_same_time_is_stored_once(collector: Handle, service: str) -> None:
    """A resend that overtakes the acknowledgement waits for it."""
    sent = body(*(span() for _ in range(500)), service=service)
    codes: list[int] = []
    threads = [threading.Thread(target=lambda: codes.append(_post(collector, sent)[0])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == [200] * 8
    assert _stored(collector, service) == 500


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_body_in_parts(collector: Handle, service: str, encoding: str) -> None:
    """Each compressed by itself, as both formats have it; cut within one, or between, it makes no difference."""
    packed = {"gzip": gzip.compress, "zstd": zstd.compress}[encoding]
    whole = body(span(), span(), service=service)
    sent = packed(whole[:30]) + packed(b"") + packed(whole[30:])
    assert _post(collector, sent, Content_Encoding=encoding)[0] == 200
    assert _stored(collector, service) == 2
    assert _refusal(_post(collector, sent[:-4], Content_Encoding=encoding))[:2] == (400, 3)


@pytest.mark.parametrize(
    ("sent", "headers", "code", "reason", "words"),
    [
        (b"garbage", {}, 400, 3, "not an OTLP ExportTraceServiceRequest"),
        (body(span())[:-1], {}, 400, 3, "not an OTLP ExportTraceServiceRequest"),
        (body(span(trace_id=b"")), {}, 400, 3, "1 of 1 spans have no valid ids"),
        (b"this is plain text", {"Content_Encoding": "gzip"}, 400, 3, "The body is not gzip"),
        (gzip.compress(b"x" * 99, mtime=0)[:-4], {"Content_Encoding": "gzip"}, 400, 3, "The gzip body is cut short."),
        (gzip.compress(b"", mtime=0) + b"more of it", {"Content_Encoding": "gzip"}, 400, 3, "The body is not gzip"),
        (gzip.compress(b"", mtime=0) * 1025, {"Content_Encoding": "gzip"}, 400, 3, "more than 1024 parts"),
        (zlib.compress(b"") + b"more", {"Content_Encoding": "deflate"}, 400, 3, "something behind its end"),
        (b"", {"Content_Encoding": "br"}, 415, 3, "Content-Encoding br is not known here; gzip, deflate, zstd and"),
        (b"", {"Content_Type": "text/plain"}, 415, 3, "Content-Type text/plain is not supported; application/x-proto"),
    ],
)  # fmt: skip
def test_what_can_never_be_accepted(
    collector: Handle, sent: bytes, headers: dict[str, str], code: int, reason: int, words: str
) -> None:
    """A code that no exporter tries again on, and a status that says what is wrong."""
    answer = _refusal(_post(collector, sent, **headers))
    assert answer[:2] == (code, reason)
    assert words in answer[2]


def test_json_is_answered_in_json(collector: Handle, service: str) -> None:
    """The same port and path, by the content type; errors too."""
    sent = {"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
        "scopeSpans": [{"spans": [{
            "traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "name": "json", "kind": 3,
            "startTimeUnixNano": str(START), "endTimeUnixNano": START,
        }]}],
    }]}  # fmt: skip
    code, headers, answer = _post(collector, json.dumps(sent).encode(), Content_Type="application/json; charset=utf-8")
    assert (code, headers["Content-Type"], answer) == (200, "application/json", b"{}")
    assert _stored(collector, service) == 1
    code, headers, answer = _post(collector, b"[]", Content_Type="application/json")
    assert (code, headers["Content-Type"], json.loads(answer)["code"]) == (400, "application/json", 3)


def test_a_body_that_stalls(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Ends after a while with a code to try again on; who hangs up, or speaks no HTTP, is no news for the log."""
    settings = Settings(data=tmp_path, grpc_port=0, http_port=0, api_port=0, jaeger_port=0, body_seconds=0.05)
    with Collector(settings) as collector:
        assert collector.running is not None
        parts = urlsplit(collector.running.http)
        begun = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {TYPE}\r\nContent-Length: 9\r\n\r\n".encode()
        garbled = b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"
        for sent, start in ((begun, b"HTTP/1.1 408 "), (garbled, b"HTTP/1.0 400 ")):
            with socket.create_connection((parts.hostname, parts.port), timeout=60) as connection:
                connection.sendall(sent)
                assert connection.recv(13) == start
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(begun)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_paths_and_methods(collector: Handle) -> None:
    """Unknown paths are 404, GET is 405, and the root says who answers."""
    assert _refusal(_post(collector, b"", "/v1/trace"))[0] == 404
    code, headers, _ = send("GET", f"{collector.http}/v1/traces", b"")
    assert (code, headers["Allow"]) == (405, "POST")
    code, _, sent = send("GET", collector.http + "/", b"")
    assert (code, json.loads(sent)["service"]) == (200, "otel-llm")


def test_grpc_refuses_what_is_malformed(collector: Handle) -> None:
    """INVALID_ARGUMENT, with the same sentence as over HTTP."""
    with _channel(collector) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(b"garbage")
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details() == "The body is not an OTLP ExportTraceServiceRequest in protobuf."


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector that takes requests of one mebibyte, and very few of them."""
    data = tmp_path_factory.mktemp("small")
    handle = start_collector(data, body_bytes=1 << 20, log_bytes=500_000, segment_age_s=600.0)
    yield handle
    handle.stop()


def _memory(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("encoding", ["", "gzip", "deflate"])
def test_a_body_that_is_too_large(small: Handle, encoding: str) -> None:
    """413 as soon as it is, whatever it would inflate to: 400 MiB of zeros cost no memory."""
    size = 400 << 20 if encoding else (1 << 20) + 1
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(encoding, bytes)(bytes(size))
    before = _memory(small.pid)
    code, reason, words = _refusal(_post(small, packed, Content_Encoding=encoding))
    assert (code, reason, words) == (413, 8, "The body is larger than 1048576 bytes, once inflated.")
    assert _memory(small.pid) - before < 100 << 20


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_a_message_that_is_too_large(small: Handle, compression: grpc.Compression) -> None:
    """RESOURCE_EXHAUSTED without a hint to try again, compressed or not."""
    before = _memory(small.pid)
    with _channel(small) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(
            bytes(200 << 20), compression=compression
        )
    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" not in dict(raised.value.trailing_metadata())
    assert _memory(small.pid) - before < 100 << 20


def test_a_full_log_asks_to_try_again(small: Handle) -> None:
    """503 with a short Retry-After, UNAVAILABLE with RetryInfo in both places; and nothing of it is lost afterwards."""
    assert _post(small, body(span({"text": "x" * 300_000})))[0] == 200
    sent = body(span({"text": os.urandom(150_000).hex()}))
    code, headers, refusal = _post(small, sent)
    assert (code, headers["Retry-After"]) == (503, "1")
    status = Status.FromString(refusal)
    assert status.code == 14
    hint = RetryInfo()
    assert status.details[0].Unpack(hint)
    assert hint.retry_delay.seconds == 1
    with _channel(small) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(sent)
    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    metadata = dict(raised.value.trailing_metadata())
    assert RetryInfo.FromString(metadata["google.rpc.retryinfo-bin"]) == hint
    assert Status.FromString(metadata["grpc-status-details-bin"]) == status
    assert small.status()["signals"]["traces"]["refused_requests"]["full"] == 2
    small.flush()
    assert _post(small, body(span(), service="after"))[0] == 200
    assert _stored(small, "after") == 1


def test_what_the_log_could_never_hold(small: Handle) -> None:
    """Is too large, over HTTP and gRPC: to try it again would never help; the collector stays ready."""
    sent = body(span({"text": "x" * 600_000}))
    code, reason, words = _refusal(_post(small, sent))
    assert (code, reason, words) == (413, 8, "The request is larger than all the log may hold, 500000 bytes.")
    with _channel(small) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")(sent)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, words)
    assert "google.rpc.retryinfo-bin" not in dict(raised.value.trailing_metadata())
    assert send("GET", f"{small.api}/readyz", b"")[0] == 200


def test_what_grows_beyond_the_limit(small: Handle) -> None:
    """Times that are kept beside those that are set right may make a body too large, which was not."""
    records = [LogRecord(body=AnyValue(string_value="x" * 20))] * 30_000
    group = ResourceLogs(scope_logs=[ScopeLogs(log_records=records)])
    sent = ExportLogsServiceRequest(resource_logs=[group]).SerializeToString()
    assert len(sent) < 1 << 20
    code, reason, words = _refusal(_post(small, sent, "/v1/logs"))
    assert (code, reason) == (413, 8)
    assert words == "With its times set right, the body is larger than 1048576 bytes."


def test_the_share_of_a_body_whose_sender_goes() -> None:
    """It is handed over to who works on it, and given back by that one alone."""
    room = Room(10)
    with room.lease() as lease:
        lease.grow(7)
        kept = lease.hand_over()
    assert room.taken == 7
    with kept, pytest.raises(LogFull), room.lease() as other:
        other.grow(4)
    assert room.taken == 0
