"""Rules 1 to 9 of the receiver's checklist (``docs/otlp.md``): ports, paths, services, compression."""

from __future__ import annotations

import gzip
import shutil
import socket
import subprocess
import sys
import threading
import zlib
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from tests.support.collector import ROOT, Handle, send
from tests.support.doors import (
    DOORS,
    NAMES,
    TABLES,
    TYPES,
    data_point,
    encoded,
    export,
    log_record,
    request,
    rows,
    stored,
)
from tests.support.otlp import span

STUBS = {"traces": TraceServiceStub, "logs": LogsServiceStub, "metrics": MetricsServiceStub}
WITHOUT_CONFIGURATION = """
import sys
from pathlib import Path
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as Http
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from otel_llm_collector.app import Collector
from otel_llm_collector.client import Reader
from otel_llm_collector.settings import Settings

data = Path(sys.argv[1])
with Collector(Settings(data=data)):
    for exporter in (Grpc(), Http()):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        provider.get_tracer("tests").start_span("default").end()
        provider.shutdown()
    with Reader.open(data) as reader:
        reader.flush()
        print(reader.query("SELECT count() AS n FROM otel_traces")[0]["n"])
"""


def _of_its_own_network() -> list[str]:
    """A command that runs another where every port is free; nothing where there is none."""
    if shutil.which("unshare") and shutil.which("ip"):
        prefix = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    return []


def test_rule_01_default_ports_are_those_of_otlp(tmp_path: Path) -> None:
    """Nothing is configured, neither the collector nor the official exporters, and they find each other."""
    prefix = _of_its_own_network()
    if not prefix:
        for port in (4317, 4318, 4319, 17271):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    pytest.skip(f"Port {port} is another's, and there is no network of its own to be had.")
    done = subprocess.run(
        [*prefix, sys.executable, "-c", WITHOUT_CONFIGURATION, str(tmp_path)],
        cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "2\n", done.stderr


@pytest.mark.parametrize("signal", NAMES)
def test_rule_02_paths_of_the_signals(collector: Handle, service: str, signal: str) -> None:
    """POST to each is a success, GET is 405, any other path 404; profiles, which are no signal of ours, too."""
    assert export(collector, "protobuf", signal, request(signal, service)).stored
    assert stored(collector, signal, service) == 1
    assert send("GET", f"{collector.http}/v1/{signal}", b"")[0] == 405
    for path in (f"/v1/{signal}/", f"/v1/{signal}s", f"/{signal}", "/v1development/profiles"):
        assert send("POST", collector.http + path, b"", {"Content-Type": TYPES["protobuf"]})[0] == 404


@pytest.mark.parametrize("signal", NAMES)
def test_rule_03_protobuf_and_json_on_one_port(collector: Handle, service: str, signal: str) -> None:
    """By the content type alone."""
    for door in ("protobuf", "json"):
        assert export(collector, door, signal, request(signal, service)).code == 200
    assert stored(collector, signal, service) == 2


def test_rule_04_http_1_1_with_connections_that_stay(collector: Handle, service: str) -> None:
    """Several requests over one connection, of every signal and both encodings; gRPC has a port of its own."""
    parts = urlsplit(collector.http)
    connection = HTTPConnection(parts.netloc, timeout=60)
    own: list[Any] = []
    for signal in NAMES:
        for door in ("protobuf", "json"):
            sent = encoded(door, request(signal, service))
            connection.request("POST", f"/v1/{signal}", sent, {"Content-Type": TYPES[door]})
            response = connection.getresponse()
            response.read()
            assert (response.status, response.version) == (200, 11)
            assert connection.sock is not None, "the connection was closed"
            own.append(connection.sock.getsockname())
    connection.close()
    assert len(set(own)) == 1
    assert urlsplit(collector.grpc).port != parts.port


@pytest.mark.parametrize("signal", NAMES)
def test_rule_05_grpc_services(collector: Handle, service: str, signal: str) -> None:
    """The stubs that protoc makes of OTLP's own files."""
    with grpc.insecure_channel(collector.grpc.removeprefix("http://")) as channel:
        answer = STUBS[signal](channel).Export(request(signal, service))
    assert not answer.HasField("partial_success")
    assert stored(collector, signal, service) == 1


@pytest.mark.parametrize("signal", NAMES)
def test_rule_06_gzip_is_stored_as_what_was_not_compressed(collector: Handle, service: str, signal: str) -> None:
    """Over both transports, every column the same."""
    items = {"traces": span({"n": 1}), "logs": log_record(), "metrics": data_point()}
    sent = request(signal, service, items[signal], way="http").SerializeToString()
    packed = request(signal, service, items[signal], way="http gzip").SerializeToString()
    answers = [
        export(collector, "protobuf", signal, sent).code,
        export(collector, "protobuf", signal, gzip.compress(packed), Content_Encoding="gzip").code,
    ]
    with grpc.insecure_channel(collector.grpc.removeprefix("http://")) as channel:
        for way in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            STUBS[signal](channel).Export(request(signal, service, items[signal], way=way.name), compression=way)
    assert answers == [200, 200]
    names = [row["name"] for row in collector.query(_COLUMNS, t=TABLES[signal])]
    columns = ", ".join(f"`{name}`" for name in names if name != "ResourceAttributes")
    found = rows(collector, signal, service, columns)
    assert len(found) == 4
    assert [row for row in found if row != found[0]] == []


_COLUMNS = "SELECT name FROM system.columns WHERE table = {t:String} AND default_kind NOT IN ('ALIAS', 'MATERIALIZED')"


@pytest.mark.parametrize("signal", NAMES)
def test_rule_07_deflate_as_python_sends_it(collector: Handle, service: str, signal: str) -> None:
    """It is zlib's, not the raw one, which is refused as broken rather than with 500."""
    sent = request(signal, service).SerializeToString()
    assert export(collector, "protobuf", signal, zlib.compress(sent), Content_Encoding="deflate").code == 200
    assert stored(collector, signal, service) == 1
    raw = zlib.compressobj(wbits=-15)
    broken = raw.compress(sent) + raw.flush()
    assert export(collector, "protobuf", signal, broken, Content_Encoding="deflate").code == 400


@pytest.mark.parametrize("door", ["protobuf", "json"])
@pytest.mark.parametrize("accepted", [{}, {"Accept_Encoding": "gzip"}])
def test_rule_08_answers_are_not_compressed(
    collector: Handle, service: str, door: str, accepted: dict[str, str]
) -> None:
    """They are a few bytes; whoever asks for gzip gets them as they are, which the rule allows."""
    answer = export(collector, door, "traces", request("traces", service), **accepted)
    assert answer.code == 200
    assert "Content-Encoding" not in answer.headers
    assert answer.body == (b"{}" if door == "json" else b"")


def test_rule_09_requests_at_the_same_time(collector: Handle, service: str) -> None:
    """Twenty connections, all doors and signals at once: every answer is a success, every item is there once."""
    failed: list[Any] = []

    def work(number: int) -> None:
        for turn in range(3):
            door, signal = DOORS[number % 3], NAMES[(number + turn) % 3]
            answer = export(collector, door, signal, request(signal, service, n=number, turn=turn))
            if not answer.stored:
                failed.append(answer)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sum(stored(collector, signal, service) for signal in NAMES) == 60
