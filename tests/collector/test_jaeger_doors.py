"""Who may ask for Jaeger's storage, and what they are told while there is none."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.collector.conftest import Start
from tests.support.certificates import Authority
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, get
from tests.support.command import otel_llm
from tests.support.jaeger_storage import JaegerStorage, store
from tests.support.otlp import span

TYPE = {"Content-Type": "application/x-protobuf"}
SECOND = 10**9
PATIENCE_S = 30.0


def test_a_key_is_needed_where_there_are_keys(start: Start, tmp_path: Path) -> None:
    """One that may read; the health service asks for none."""
    keys = {}
    for scope in ("read", "ingest"):
        done = otel_llm("keys", "create", f"for-{scope}", "--data", str(tmp_path / "data"), "--scope", scope)
        assert done.returncode == 0, done.stderr
        keys[scope] = done.stdout.strip().split()[-1]
    collector = start(tmp_path / "data")
    for key, expected in (
        ("", grpc.StatusCode.UNAUTHENTICATED),
        ("olk_nobody", grpc.StatusCode.UNAUTHENTICATED),
        (keys["ingest"], grpc.StatusCode.PERMISSION_DENIED),
    ):
        with JaegerStorage(collector.jaeger, key) as jaeger:
            assert jaeger.refused("GetServices", {})[0] == expected
            _wait_for_health(jaeger.channel, health_pb2.HealthCheckResponse.SERVING)
    with JaegerStorage(collector.jaeger, keys["read"]) as jaeger:
        assert list(jaeger.call("GetServices", {})[0].services) == []


def test_tls(start: Start, tmp_path: Path) -> None:
    """The certificate of the other ports."""
    authority = Authority(tmp_path)
    pair = authority.sign("server", "127.0.0.1", "localhost")
    collector = start(tmp_path / "data", tls_cert=str(pair.certificate), tls_key=str(pair.key))
    assert collector.jaeger.startswith("https://")
    trusted = grpc.ssl_channel_credentials(authority.file.read_bytes())
    with JaegerStorage(collector.jaeger, credentials=trusted) as jaeger:
        assert jaeger.call("GetServices", {})


def test_a_server_as_the_store_that_goes_away_and_comes_back(start: Start, tmp_path: Path) -> None:
    """UNAVAILABLE while it is away, which the health service says too."""
    server = ClickHouse(tmp_path / "clickhouse")
    server.start()
    try:
        collector = start(tmp_path / "data", store=server.url)
        sent = span({"nested": {"a": [1, "b"]}})
        store(collector, sent)
        with JaegerStorage(collector.jaeger) as jaeger:
            assert jaeger.spans(sent.trace_id) == [sent]
            assert jaeger.find(service_name="absent") == set()
            server.stop()
            assert jaeger.refused("GetServices", {})[0] == grpc.StatusCode.UNAVAILABLE
            _wait_for_health(jaeger.channel, health_pb2.HealthCheckResponse.NOT_SERVING)
            server.start()
            _wait_for_health(jaeger.channel, health_pb2.HealthCheckResponse.SERVING)
            assert jaeger.spans(sent.trace_id) == [sent]
    finally:
        server.stop()


def _health(channel: grpc.Channel) -> int:
    request = health_pb2.HealthCheckRequest(service="jaeger.storage.v2.TraceReader")
    status: int = health_pb2_grpc.HealthStub(channel).Check(request).status
    return status


def _wait_for_health(channel: grpc.Channel, status: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while _health(channel) != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_calls_are_counted(collector: Handle, jaeger: JaegerStorage) -> None:
    """By method and by how they ended."""
    jaeger.call("GetServices", {})
    jaeger.refused("GetOperations", {})
    text = get(f"{collector.api}/metrics")[1].decode()
    for method, status in (("GetServices", "OK"), ("GetOperations", "INVALID_ARGUMENT")):
        assert f'otel_llm_collector_jaeger_calls_total{{method="{method}",status="{status}"}}' in text
