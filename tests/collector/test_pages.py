"""Web pages in a browser on this machine: they reach loopback, and must neither read nor drive the collector."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from google.rpc.status_pb2 import Status

from otel_llm_collector.pages import is_loopback
from tests.support.collector import Handle, send
from tests.support.otlp import body, span

PAGES = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:8000"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Host": "evil.example:4319", "Origin": "http://evil.example:4319"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example"},
    {"Host": "localhost.evil.example:4319"},
    {"Host": "[::1"},
    {"Origin": "http://[::1"},
]


@pytest.mark.parametrize("headers", PAGES)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/"), ("GET", "/?query=SELECT+1"), ("GET", "/v1/status"), ("POST", "/v1/flush")]
)
def test_a_page_is_refused(collector: Handle, headers: dict[str, str], method: str, path: str) -> None:
    """Of another site, or with a name of its own that was pointed here; whatever it asks."""
    code, _, answer = send(method, collector.api + path, b"SELECT 1" if path == "/" else b"", headers)
    assert code == 403
    assert answer.decode().count("\n") == 1


def test_programs_and_pages_of_our_own_are_answered(collector: Handle) -> None:
    """By address or as localhost, with what browsers add to a page that the collector served."""
    port = urlsplit(collector.api).port
    for named in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}", "localhost"):
        for more in ({}, {"Origin": f"http://{named}", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
            assert send("POST", collector.api, b"SELECT 1", {"Host": named, **more})[::2] == (200, b"1\n")


def test_a_page_cannot_send_spans(collector: Handle, service: str) -> None:
    """Not even one whose name was pointed here; other names are those that containers know this machine by."""
    where, kind = collector.http + "/v1/traces", {"Content-Type": "application/x-protobuf"}
    for origin in ("https://evil.example", "null", collector.http):
        code, _, answer = send("POST", where, body(span(), service=service), {**kind, "Origin": origin})
        assert (code, Status.FromString(answer).code) == (403, 7)
    named = {**kind, "Host": "host.docker.internal:4318"}
    assert send("POST", where, body(span(), service=service), named)[0] == 200
    collector.flush()
    assert collector.query("SELECT count() AS n FROM otel_traces WHERE ServiceName = {s:String}", s=service) == [
        {"n": 1}
    ]


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
     ("box.example", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_which_addresses_are_loopback(host: str, answer: bool) -> None:
    assert is_loopback(host) is answer
