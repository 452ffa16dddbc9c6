"""What the settings may say of an endpoint, and what is said where they must not; when an answer asks to wait."""

from __future__ import annotations

import datetime
import email.utils
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from otel_llm.errors import ConfigError
from otel_llm_collector.forwarding.endpoint import endpoints
from otel_llm_collector.forwarding.retry import retry_after, retry_info, sentence
from otel_llm_collector.settings import Forward, Settings
from tests.collector.conftest import Start
from tests.support.collector import launch
from tests.support.endpoint import free_port


def _endpoints(*urls: str, settings: Settings | None = None, **options: Any) -> list[Any]:
    forward = tuple(Forward(url, **options) for url in urls)
    return endpoints(replace(settings or Settings(), forward=forward))


@pytest.mark.parametrize(
    ("url", "grpc", "tls", "authority", "path"),
    [
        ("http://jaeger:14318", False, False, "jaeger:14318", ""),
        ("http://jaeger", False, False, "jaeger:80", ""),
        ("https://otlp.example.com/otlp/", False, True, "otlp.example.com:443", "/otlp"),
        ("grpc://[::2]:5000", True, False, "[::2]:5000", ""),
        ("grpcs://HOST", True, True, "host:4317", ""),
    ],
)
def test_urls_that_are_right(url: str, grpc: bool, tls: bool, authority: str, path: str) -> None:
    (endpoint,) = _endpoints(url)
    assert (endpoint.grpc, endpoint.tls, endpoint.authority, endpoint.path) == (grpc, tls, authority, path)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("jaeger:4318", "must begin with http://, https://, grpc:// or grpcs://"),
        ("ftp://jaeger", "must begin with"),
        ("http://", "names no host"),
        ("http://:4318", "names no host"),
        ("http://a b/", "names no host"),
        ("http://jaeger:99999", "is not one: Port out of range"),
        ("http://[::1", "is not one: "),
        ("http://user:hush@jaeger", "http://…@jaeger must not carry a user or password"),
        ("http://user:hush/hush@jaeger/otlp", "http://…@jaeger/otlp must not carry a user or password"),
        ("http://user:12/hush@jaeger", "http://…@jaeger must not carry a user or password"),
        ("http://user:[hush@jaeger", "http://…@jaeger must not carry a user or password"),
        ("http:/user:hush?@jaeger", "http:/…@jaeger must not carry a user or password"),
        ("http://jaeger?key=hush", "http://jaeger?… must end with its path"),
        ("http://jaeger/v1/traces", "must be without /v1/"),
        ("grpc://jaeger/path", "must not have a path"),
        ("http://localhost:4317", "is this collector itself"),
        ("grpc://127.0.0.1:4317", "is this collector itself"),
        ("http://127.0.0.1:4319", "is this collector itself"),
    ],
)
def test_urls_that_are_wrong(url: str, complaint: str) -> None:
    """One sentence, without what may be secret."""
    with pytest.raises(ConfigError) as raised:
        _endpoints(url)
    assert complaint in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_who_listens_everywhere_is_every_address_of_this_machine(host: str) -> None:
    """And no other."""
    settings = Settings(host=host)
    with pytest.raises(ConfigError, match="this collector itself"):
        _endpoints("http://127.0.0.1:4318", settings=settings)
    assert _endpoints("http://192.0.2.1:4318", settings=settings)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"compression": "zstd"}, "it is 'gzip' or 'none'"),
        ({"signals": ("spans",)}, "one or more of traces, logs, metrics"),
        ({"signals": ()}, "one or more of traces, logs, metrics"),
        ({"backlog_bytes": 0}, "must be more than 0"),
        ({"headers": {"Content-Type": "text/plain"}}, "must not have one named 'content-type'"),
        ({"headers": {"a b": "c"}}, "must not have one named 'a b'"),
        ({"headers": {"key": "hush\r\nX: y"}}, "forward header key of http://jaeger has a value that is not plain"),
    ],
)
def test_options_that_are_wrong(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _endpoints("http://jaeger", **options)
    assert complaint in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("name", ["x!y", "x-bin", "grpc-timeout"])
def test_headers_that_grpc_does_not_have(name: str) -> None:
    """Bytes go with a name that ends in -bin, and settings have none; HTTP takes any name."""
    with pytest.raises(ConfigError, match=f"forward headers of grpc://jaeger must not have one named '{name}'"):
        _endpoints("grpc://jaeger", headers={name: "1"})
    assert _endpoints("http://jaeger", headers={name: "1"})


def test_an_endpoint_is_named_once() -> None:
    """Its folder has room for one."""
    with pytest.raises(ConfigError, match="is there twice"):
        _endpoints("http://jaeger", "http://jaeger")
    names = {endpoint.name for endpoint in _endpoints("http://jaeger/a", "http://jaeger/b", "grpc://jaeger:80")}
    assert len(names) == 3


def test_a_collector_with_a_wrong_endpoint_does_not_start(tmp_path: Path, start: Start) -> None:
    """It says which, and leaves nothing behind."""
    port = free_port()
    process = launch(tmp_path, http_port=port, forward=[{"url": f"http://127.0.0.1:{port}"}])
    complaint = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert complaint.startswith(f"forward url http://127.0.0.1:{port} is this collector itself")
    assert list(tmp_path.iterdir()) == []


def test_retry_after_is_seconds_or_a_date() -> None:
    """Anything else asks for nothing, and an hour is the most."""
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    assert 90 < retry_after(email.utils.format_datetime(later, usegmt=True)) <= 100
    headers = (
        " 7 ",
        "999999",
        "",
        "soon",
        "-3",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "9" * 5000,
        f"1 Jan {'9' * 20} 00:00",
    )
    assert [retry_after(header) for header in headers] == [7, 3600, 0, 0, 0, 0, 3600, 0]


def test_trailers_that_are_no_retry_info_ask_for_nothing() -> None:
    assert retry_info((("grpc-status-details-bin", b"\xff"), ("google.rpc.retryinfo-bin", b"\xff"), ("a", "b"))) is None


@pytest.mark.parametrize(
    ("said", "content_type", "shown"),
    [
        (b'{"code": 3, "message": "Not\\nlike this."}', "application/json", "Not like this."),
        (b"<h1>Bad\tgateway</h1>\x1b[2J", "text/html", "<h1>Bad gateway</h1> [2J"),
        (b"\xff\xfe", "application/x-protobuf", "��"),
        (b"[" * 100_000, "application/json", "[" * 300),
        (b"", "", ""),
    ],
)
def test_what_an_endpoint_says_fits_a_line(said: bytes, content_type: str, shown: str) -> None:
    assert sentence(said, content_type) == shown


def test_names_that_nobody_knows_do_not_keep_a_collector_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS may be down when it starts."""

    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert _endpoints("http://elsewhere:4318")
