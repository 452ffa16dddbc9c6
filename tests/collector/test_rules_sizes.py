"""Rules 35 to 37 of the receiver's checklist (``docs/otlp.md``): how large a request and an answer may be."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import grpc
import pytest

from tests.support.collector import Handle
from tests.support.doors import DOORS, TYPES, document, documents, export, request, stored
from tests.support.otlp import span

MIB = 1 << 20
LARGE = 10 * MIB
TOO_LARGE = 65 * MIB


def _peak(pid: int) -> int:
    """The most memory that the process has had, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024


def _bomb(kind: str, size: int) -> bytes:
    """So many zeros, compressed; they are never there as a whole."""
    if kind == "zstd":
        from otel_llm_collector.receiver.inflate import zstd

        packer = zstd.ZstdCompressor(level=1)
    else:
        packer = zlib.compressobj(1, wbits=31)
    block = bytes(16 * MIB)
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


@pytest.mark.parametrize("door", ["protobuf", "json"])
def test_rule_35_64_mebibytes_and_no_more(collector: Handle, door: str) -> None:
    """65 MiB are 413, which no exporter tries again on, and say what the limit is."""
    answer = export(collector, door, "traces", b" " * TOO_LARGE)
    assert (answer.code, answer.message.code) == (413, 8)
    assert str(64 * MIB) in answer.message.message


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_rule_35_a_bomb_of_a_gibibyte_takes_no_memory(collector: Handle, kind: str) -> None:
    """It is 413 as soon as the limit is reached, whatever would follow."""
    export(collector, "protobuf", "traces", b" " * TOO_LARGE)  # what a body of the size of the limit takes
    bomb = _bomb(kind, 1024 * MIB)
    before = _peak(collector.pid)
    assert export(collector, "protobuf", "traces", bomb, Content_Encoding=kind).code == 413
    assert _peak(collector.pid) - before < 192 * MIB


@pytest.mark.parametrize("door", DOORS)
def test_rule_36_ten_mebibytes_are_accepted(collector: Handle, service: str, door: str) -> None:
    """More than gRPC's own default of four."""
    assert export(collector, door, "traces", request("traces", service, span({"text": "x" * LARGE}))).stored
    assert stored(collector, "traces", service) == 1


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_rule_36_65_mebibytes_are_too_many_over_grpc(collector: Handle, compression: grpc.Compression) -> None:
    """Also once inflated, and without a hint to try again."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(collector.grpc.removeprefix("http://"), options) as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as raised:
            method(bytes(TOO_LARGE), compression=compression)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "google.rpc.retryinfo-bin" not in dict(raised.value.trailing_metadata() or ())


@pytest.mark.parametrize("door", DOORS)
def test_rule_37_an_answer_is_short_however_much_is_wrong(collector: Handle, service: str, door: str) -> None:
    """Five thousand spans that are rejected are a number and a sentence."""
    bad = [span(trace_id=b"", name="") for _ in range(5_000)]
    answer = export(collector, door, "traces", request("traces", service, span(), *bad))
    assert answer.message.partial_success.rejected_spans == 5_000
    assert len(answer.body) < 1000
    assert stored(collector, "traces", service) == 1


def test_rule_37_a_refusal_does_not_repeat_what_was_sent(collector: Handle, service: str) -> None:
    """A value or a name of megabytes that is wrong is shown by its beginning."""
    for wrong in ({"kind": "x" * LARGE}, {"traceId": "z" * LARGE}, {"x" * LARGE: 1, "kind": "SERVER"}):
        answer = export(collector, "json", "traces", documents(service, document(**wrong)))
        assert answer.code == 400
        assert len(answer.body) < 1000
    sent = json.dumps({"resourceSpans": "x" * LARGE}).encode()
    assert len(export(collector, "json", "traces", sent).body) < 1000


def test_rule_37_nor_in_a_path_or_a_header(collector: Handle) -> None:
    """Nor a content type of kilobytes."""
    answer = export(collector, "protobuf", "traces", b"", Content_Type="text/" + "x" * 4000)
    assert answer.code == 415
    assert TYPES["json"] in answer.message.message
    assert len(answer.body) < 5000
