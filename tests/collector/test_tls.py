"""TLS and mTLS on all three ports, and where a collector may listen."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_llm.errors import ConfigError
from otel_llm_collector.app import Collector
from otel_llm_collector.door.keys import KeyFile
from otel_llm_collector.door.tls import Tls
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.settings import Settings
from tests.collector.conftest import Start
from tests.support.certificates import Authority, Pair
from tests.support.collector import Handle, launch, start_collector
from tests.support.command import otel_llm, sentence
from tests.support.otlp import body, span

TYPE = {"Content-Type": "application/x-protobuf"}
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
HOSTS = ("127.0.0.1", "localhost")


@pytest.fixture(autouse=True)
def no_authorities_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What requests takes from the environment wins over what an exporter is told."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.sign("server", *HOSTS)


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.sign("client")


def _options(pair: Pair) -> dict[str, Any]:
    return {"tls_cert": str(pair.certificate), "tls_key": str(pair.key)}


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, pair: Pair) -> Iterator[Handle]:
    handle = start_collector(tmp_path_factory.mktemp("secure"), **_options(pair))
    yield handle
    assert handle.stop() == 0


@pytest.fixture(scope="module")
def mutual(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, pair: Pair, client: Pair
) -> Iterator[Handle]:
    """A collector that asks for certificates; commands find theirs in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", str(client.certificate))
        patch.setenv("OTEL_EXPORTER_OTLP_CLIENT_KEY", str(client.key))
        data = tmp_path_factory.mktemp("mutual")
        handle = start_collector(data, **_options(pair), tls_client_ca=str(authority.file))
        yield handle
        assert handle.stop() == 0


def _send(exporter: SpanExporter, service: str) -> None:
    provider = TracerProvider(resource=Resource({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("tests").start_span("one").end()
    provider.shutdown()


def _stored(collector: Handle, service: str) -> int:
    collector.flush()
    (row,) = collector.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service)
    return int(row["n"])


def test_the_official_exporters(secure: Handle, authority: Authority, service: str) -> None:
    """Over HTTPS and gRPC with TLS; what is said of the collector says https."""
    assert [url.partition(":")[0] for url in (secure.grpc, secure.http, secure.api)] == ["https"] * 3
    _send(HttpExporter(f"{secure.http}/v1/traces", certificate_file=str(authority.file)), service)
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
    _send(GrpcExporter(secure.grpc, credentials=credentials), service)
    assert _stored(secure, service) == 2


def test_the_official_exporters_with_certificates_of_their_own(
    mutual: Handle, authority: Authority, client: Pair, service: str
) -> None:
    """mTLS."""
    files = {"client_certificate_file": str(client.certificate), "client_key_file": str(client.key)}
    _send(HttpExporter(f"{mutual.http}/v1/traces", certificate_file=str(authority.file), **files), service)
    credentials = grpc.ssl_channel_credentials(
        authority.file.read_bytes(), client.key.read_bytes(), client.certificate.read_bytes()
    )
    _send(GrpcExporter(mutual.grpc, credentials=credentials), service)
    assert _stored(mutual, service) == 2


def _grpc(collector: Handle, authority: Authority, pair: Pair | None = None) -> grpc.StatusCode:
    own = (pair.key.read_bytes(), pair.certificate.read_bytes()) if pair else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.file.read_bytes(), *own)
    with grpc.secure_channel(collector.grpc.removeprefix("https://"), credentials) as channel:
        try:
            channel.unary_unary(EXPORT)(b"", timeout=30)
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


def test_clients_without_a_certificate(mutual: Handle, authority: Authority, client: Pair, tmp_path: Path) -> None:
    """Are let in nowhere, nor are those of another authority, and those whose certificate has expired."""
    stranger = Authority(tmp_path, "stranger").sign("client")
    expired = authority.sign("expired-client", days=-1)
    for url in (mutual.http, mutual.api):
        for pair in (None, stranger, expired):
            with pytest.raises((requests.exceptions.SSLError, requests.exceptions.ConnectionError)):
                requests.get(
                    url, verify=str(authority.file), cert=(str(pair.certificate), str(pair.key)) if pair else None
                )
        own = (str(client.certificate), str(client.key))
        assert requests.get(url, verify=str(authority.file), cert=own).status_code == 200
    for pair in (None, stranger, expired):
        assert _grpc(mutual, authority, pair) is grpc.StatusCode.UNAVAILABLE
    assert _grpc(mutual, authority, client) is grpc.StatusCode.OK


@pytest.mark.parametrize(
    ("hosts", "days", "words"),
    [(HOSTS, -1, "certificate has expired"), (("example.com",), 1, "doesn't match|mismatch")],
)
def test_certificates_that_clients_do_not_take(tmp_path: Path, hosts: tuple[str, ...], days: int, words: str) -> None:
    """Expired, or of another host: it is the client that refuses; it gets nothing in the clear either."""
    authority = Authority(tmp_path)
    collector = launch(tmp_path / "data", **_options(authority.sign("server", *hosts, days=days)))
    try:
        url = _url(tmp_path / "data")
        with pytest.raises(requests.exceptions.SSLError, match=words):
            requests.get(url, verify=str(authority.file))
        with pytest.raises(requests.exceptions.ConnectionError):
            requests.get(url.replace("https", "http"))
    finally:
        collector.terminate()
        collector.communicate(timeout=60)


def _url(data: Path) -> str:
    """Where a collector listens whose certificate no command would take."""
    ended = threading.Event()
    for _ in range(600):
        if (data / "collector.json").exists():
            return str(json.loads((data / "collector.json").read_text())["http"])
        ended.wait(0.1)
    raise AssertionError("The collector did not start.")


def test_commands_know_the_certificate(secure: Handle, tmp_path: Path) -> None:
    """Whatever names are in it; another collector's is not taken."""
    data = ("--data", str(secure.data))
    assert otel_llm("sql", "SELECT 1 AS a", "--format", "tsv", *data).stdout == "a\n1\n"
    assert "https://" in otel_llm("doctor", *data, COLUMNS="300").stdout
    said = (secure.data / "collector.json").read_text()
    other = Authority(tmp_path).sign("other", *HOSTS)
    copied = tmp_path / "data"
    copied.mkdir()
    certificate = str(secure.data.parent / "nothing")
    pinned = said.replace(_certificate(said), str(other.certificate))
    (copied / "collector.json").write_text(pinned)
    assert "The TLS of the collector at https://" in sentence(otel_llm("calls", "--data", str(copied)))
    (copied / "collector.json").write_text(said.replace(_certificate(said), certificate))
    assert "Certificates cannot be read from" in sentence(otel_llm("calls", "--data", str(copied)))


def _certificate(said: str) -> str:
    return str(json.loads(said)["certificate"])


def test_commands_without_a_certificate_where_one_is_asked_for(mutual: Handle) -> None:
    """Are told where to name one."""
    refused = sentence(otel_llm("calls", "--data", str(mutual.data)))
    assert refused.startswith("The TLS of the collector at https://")
    assert refused.endswith("name one in OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE.")


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path, start: Start) -> None:
    """At all ports; while only one of its two files is there, the old one stays."""
    authority = Authority(tmp_path)
    used = authority.sign("used", *HOSTS)
    collector = start(tmp_path / "data", **_options(used))
    before = _shown(collector.http)
    assert _grpc(collector, authority) is grpc.StatusCode.OK
    renewed = Authority(tmp_path, "renewed")
    fresh = renewed.sign("fresh", *HOSTS)
    shutil.copy(fresh.certificate, used.certificate)
    ended = threading.Event()
    ended.wait(1.1)  # the files are looked at once a second
    assert _shown(collector.http) == before
    shutil.copy(fresh.key, used.key)
    for _ in range(300):
        if _shown(collector.http) != before:
            break
        ended.wait(0.1)
    for url in (collector.http, collector.api):
        assert _shown(url) == ssl.PEM_cert_to_DER_cert(fresh.certificate.read_text())
    assert _grpc(collector, renewed) is grpc.StatusCode.OK
    assert _grpc(collector, authority) is grpc.StatusCode.UNAVAILABLE
    assert collector.query("SELECT 1 AS a") == [{"a": 1}]
    collector.process.terminate()
    assert "must be a certificate and its key" in collector.process.communicate(timeout=60)[1]


def _shown(url: str) -> bytes:
    """The certificate that is shown at a URL."""
    host, _, port = url.removeprefix("https://").partition(":")
    return ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port)), timeout=30))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tls_key": None}, "tls_key is missing: a certificate and its key go together."),
        ({"tls_cert": None, "tls_key": None, "tls_client_ca": "x"}, "tls_cert is missing: tls_client_ca asks clients"),
        ({"tls_cert": "/nowhere"}, "tls_cert /nowhere cannot be read: No such file or directory."),
        ({"tls_key": "{other}"}, "must be a certificate and its key, in PEM, without a password"),
        ({"tls_cert": "{garbage}"}, "must be a certificate and its key, in PEM, without a password"),
        ({"tls_client_ca": "{garbage}"}, "holds no certificates in PEM"),
    ],
)
def test_files_that_cannot_be_used(
    tmp_path: Path, authority: Authority, pair: Pair, change: dict[str, str | None], words: str
) -> None:
    """By the setting's name, before anything is touched."""
    other = Authority(tmp_path).sign("other")
    (tmp_path / "garbage").write_text("garbage")
    files = {"{other}": other.key, "{garbage}": tmp_path / "garbage"}
    options: dict[str, Any] = {"tls_cert": pair.certificate, "tls_key": pair.key}
    options |= {name: file and files.get(file, Path(file)) for name, file in change.items()}
    with pytest.raises((CollectorError, ConfigError)) as raised:
        Collector(Settings(data=tmp_path / "data", **options)).start()
    assert words in str(raised.value)
    assert not (tmp_path / "data").exists()


def test_listening_where_others_reach_it(tmp_path: Path, pair: Pair, start: Start) -> None:
    """Only with keys, with clients' certificates, or when told so in so many words."""
    for tls in ({}, {"tls_cert": pair.certificate, "tls_key": pair.key}):
        with pytest.raises(CollectorError) as raised:
            Collector(Settings(data=tmp_path / "no", host="0.0.0.0", **tls)).start()
        assert str(raised.value) == (
            "Others can reach 0.0.0.0, and there are no keys: make one with `otel-llm keys create NAME`, "
            "ask for certificates with --tls-client-ca, or say --allow-anyone."
        )
        assert not (tmp_path / "no").exists()
    anyone = start(tmp_path / "anyone", host="0.0.0.0", allow_anyone=True)
    assert requests.post(f"{anyone.http}/v1/traces", body(span()), headers=TYPE).status_code == 200
    assert anyone.stop() == 0
    secret = KeyFile(tmp_path / "keys").create("one")
    keys = start(tmp_path / "keys", host="0.0.0.0")
    for headers, status in ((TYPE, 401), ({**TYPE, "x-api-key": secret}, 200)):
        assert requests.post(f"{keys.http}/v1/traces", body(span()), headers=headers).status_code == status
    assert keys.stop() == 0


def test_a_key_with_a_password_is_not_asked_for(tmp_path: Path, pair: Pair) -> None:
    """Nothing waits for a person at a terminal."""
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    os.chmod(locked, 0o600)
    with pytest.raises(CollectorError, match="without a password"):
        Tls(pair.certificate, locked, None)
