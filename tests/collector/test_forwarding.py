"""Forwarding: the same bytes, to whoever is there, as long as it takes, and past nobody else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_llm_collector.forwarding import forwarder, lane, transport
from otel_llm_collector.forwarding.retry import retry_after
from otel_llm_collector.settings import MIB, Forward
from otel_llm_collector.signals import LOGS
from tests.support.certificates import Authority
from tests.support.endpoint import WAIT_S, Endpoint, GrpcEndpoint, HttpEndpoint, Said, free_port
from tests.support.otlp import body, span
from tests.support.sending import Sending

Open = Callable[..., Any]
LOG_BODY = b"\x0a\x02\x12\x00"


@pytest.fixture
def opened() -> Iterator[Callable[[Endpoint], Endpoint]]:
    """Closes endpoints at the end."""
    endpoints: list[Endpoint] = []

    def keep(endpoint: Endpoint) -> Endpoint:
        endpoints.append(endpoint)
        return endpoint

    yield keep
    for endpoint in endpoints:
        endpoint.close()


@pytest.fixture(params=[HttpEndpoint, GrpcEndpoint], ids=["http", "grpc"])
def serve(request: pytest.FixtureRequest, opened: Open) -> Open:
    """Makes endpoints that answer what they are told to, of either kind."""
    return lambda *answers, **options: opened(request.param(*answers, **options))


@pytest.fixture
def http(opened: Open) -> Open:
    return lambda *answers, **options: opened(HttpEndpoint(*answers, **options))


@pytest.fixture
def speak_grpc(opened: Open) -> Open:
    return lambda *answers, **options: opened(GrpcEndpoint(*answers, **options))


def _bodies(count: int, size: int = 10) -> list[bytes]:
    return [body(span({"text": "x" * size})) for _ in range(count)]


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_the_same_bytes_arrive(tmp_path: Path, serve: Open, compression: str) -> None:
    """Joined, without frames, in order, with the headers of the settings; each signal at its address."""
    endpoint = serve()
    bodies = _bodies(20)
    forward = Forward(endpoint.url, compression=compression, headers={"X-Key": "secret"})
    with Sending(tmp_path, forward) as sending:
        sending.put(*bodies)
        sending.put(LOG_BODY, signal=LOGS)
        endpoint.wait(lambda: len(endpoint.taken) == 2)
        status = sending.wait(lambda status: status["requests"] == 2)
    traces, logs = sorted(endpoint.taken, key=lambda sent: len(sent.body), reverse=True)
    assert traces.body == b"".join(bodies)
    assert logs.body == LOG_BODY
    assert traces.headers["x-key"] == "secret"
    ends = ("/v1/traces", "/v1/logs") if "http:" in endpoint.url else ("TraceService/Export", "LogsService/Export")
    assert [sent.path.endswith(end) for sent, end in zip((traces, logs), ends, strict=True)] == [True, True]
    assert (status["items"], status["bytes"]) == (21, len(traces.body) + len(LOG_BODY))
    assert sending.left == []


def test_a_path_stands_before_that_of_the_signal(tmp_path: Path, http: Open) -> None:
    """As Grafana and others have it."""
    endpoint = http()
    with Sending(tmp_path, Forward(endpoint.url + "/otlp/")) as sending:
        sending.put(*_bodies(1))
        endpoint.wait(lambda: len(endpoint.taken) == 1)
    assert endpoint.taken[0].path == "/otlp/v1/traces"


def test_requests_have_about_the_same_size(tmp_path: Path, http: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole records up to a limit; a larger one goes alone."""
    monkeypatch.setattr(lane, "REQUEST_BYTES", 1000)
    small, large = _bodies(6, 300), _bodies(1, 3000)
    endpoint = http()
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*small[:3], *large, *small[3:])
        endpoint.wait(lambda: len(endpoint.taken) == 5)
    groups = [small[:2], small[2:3], large, small[3:5], small[5:]]
    assert [sent.body for sent in endpoint.taken] == [b"".join(group) for group in groups]


def test_only_the_signals_that_were_named(tmp_path: Path, http: Open) -> None:
    """An endpoint without logs costs nothing for them."""
    endpoint = http()
    with Sending(tmp_path, Forward(endpoint.url, signals=("traces",))) as sending:
        sending.put(LOG_BODY, signal=LOGS)
        sending.put(*_bodies(1))
        endpoint.wait(lambda: len(endpoint.taken) == 1)
    assert [sent.path for sent in endpoint.sent] == ["/v1/traces"]
    assert not list(tmp_path.glob("log/forward/*/logs"))


def test_an_endpoint_that_is_down_gets_everything_later(tmp_path: Path, opened: Open) -> None:
    """Nobody listened while it was sent; another endpoint did not notice."""
    port = free_port()
    other = opened(HttpEndpoint())
    bodies = _bodies(5)
    with Sending(tmp_path, Forward(f"http://127.0.0.1:{port}"), Forward(other.url)) as sending:
        for sent in bodies:
            sending.put(sent)
        other.wait(lambda: len(other.taken) == 5)
        status = sending.wait(lambda status: status["failures"] >= 2)
        assert status["segments_waiting"] == 5
        assert status["last_error"].startswith("no connection: ")
        assert sending.status(1)["failures"] == 0
        down = opened(HttpEndpoint(port=port))
        down.wait(lambda: len(down.taken) == 5)
        status = sending.wait(lambda status: not status["segments_waiting"])
        assert status["last_error"] == ""
        assert status["oldest_age_s"] == 0
    assert [sent.body for sent in down.taken] == [sent.body for sent in other.taken] == bodies


def test_a_grpc_endpoint_that_is_down_gets_everything_later(tmp_path: Path, opened: Open) -> None:
    """The channel connects again."""
    port = free_port()
    with Sending(tmp_path, Forward(f"grpc://127.0.0.1:{port}")) as sending:
        sending.put(*(bodies := _bodies(3)))
        sending.wait(lambda status: status["failures"] >= 2)
        assert sending.status()["last_error"].startswith("UNAVAILABLE: ")
        endpoint = opened(GrpcEndpoint(port=port))
        endpoint.wait(lambda: len(endpoint.taken) == 1)
    assert endpoint.taken[0].body == b"".join(bodies)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_may_pass_is_sent_again(tmp_path: Path, http: Open, status: int) -> None:
    """Byte by byte the same."""
    endpoint = http(Said(status), Said(status))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(2))
        endpoint.wait(lambda: len(endpoint.taken) == 1)
        said = sending.wait(lambda said: said["requests"] == 1)
    assert len({sent.body for sent in endpoint.sent}) == 1
    assert (len(endpoint.sent), said["failures"], said["given_up"]) == (3, 2, {})


@pytest.mark.parametrize("status", [400, 401, 403, 408, 413, 415, 500, 501, 505, 301, 307])
def test_what_never_passes_is_given_up(
    tmp_path: Path, http: Open, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Counted, and said with the endpoint's own sentence; what comes behind it is sent. Redirects are not followed."""
    sentence = Status(message="Not like this.").SerializeToString()
    headers = {"Content-Type": "application/x-protobuf", "Location": "/elsewhere"}
    endpoint = http(Said(status, headers, sentence))
    first, second = _bodies(2)
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(first, items=7)
        sending.put(second)
        endpoint.wait(lambda: len(endpoint.taken) == 1)
        said = sending.wait(lambda said: said["requests"] == 1)
    assert [sent.body for sent in endpoint.sent] == [first, second]
    assert {sent.path for sent in endpoint.sent} == {"/v1/traces"}
    assert said["given_up"] == {f"HTTP {status}": 7}
    assert f"7 spans are not sent: HTTP {status}: Not like this." in caplog.text


_RETRIED = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_each_grpc_code(tmp_path: Path, speak_grpc: Open, code: grpc.StatusCode) -> None:
    """Six of them are sent again; RESOURCE_EXHAUSTED only with a RetryInfo, which this one is without."""
    endpoint = speak_grpc(Said(code=code, body=b"No."))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1))
        if code.name in _RETRIED:
            endpoint.wait(lambda: len(endpoint.taken) == 1)
        else:
            said = sending.wait(lambda said: not said["segments_waiting"])
            assert said["given_up"] == {code.name: 1}
            assert said["last_error"] == f"{code.name}: No."
    assert len(endpoint.sent) == (2 if code.name in _RETRIED else 1)


@pytest.mark.parametrize("place", ["google.rpc.retryinfo-bin", "grpc-status-details-bin"])
def test_resource_exhausted_with_a_retry_info_is_sent_again(tmp_path: Path, speak_grpc: Open, place: str) -> None:
    """In either place, and not before the time that it names."""
    info = RetryInfo(retry_delay=Duration(seconds=3000))
    if place == "grpc-status-details-bin":
        detail = AnyMessage()
        detail.Pack(info)
        info = Status(code=8, details=[detail])
    endpoint = speak_grpc(Said(code=grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=((place, info.SerializeToString()),)))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1))
        sending.wait(lambda said: said["failures"] == 1)
        sending.put(LOG_BODY, signal=LOGS)
        endpoint.wait(lambda: len(endpoint.taken) == 1)
    assert [sent.body == LOG_BODY for sent in endpoint.sent] == [False, True]
    assert sending.status()["given_up"] == {}
    assert len(sending.left) == 1, "it stays for the next run"


def test_retry_after_is_honoured(tmp_path: Path, http: Open) -> None:
    """As seconds: nothing is sent before, other signals go on."""
    endpoint = http(Said(503, {"Retry-After": "3000"}))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1))
        sending.wait(lambda said: said["failures"] == 1)
        sending.put(LOG_BODY, signal=LOGS)
        endpoint.wait(lambda: len(endpoint.taken) == 1)
    assert [sent.path for sent in endpoint.sent] == ["/v1/traces", "/v1/logs"]
    assert len(sending.left) == 1


def test_a_partial_success_is_counted_and_said(tmp_path: Path, serve: Open, caplog: pytest.LogCaptureFixture) -> None:
    """And never sent again."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    answer.partial_success.error_message = "Three have no id."
    endpoint = serve(Said(body=answer.SerializeToString()))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1), items=5)
        said = sending.wait(lambda said: said["requests"] == 1)
    assert (said["rejected"], len(endpoint.sent)) == (3, 1)
    assert "left out 3 spans of a request: Three have no id." in caplog.text


def test_an_endpoint_without_a_signal_is_told_apart(
    tmp_path: Path, serve: Open, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what to do about it."""
    endpoint = serve(Said(404, code=grpc.StatusCode.UNIMPLEMENTED, body=b"no logs here"))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(LOG_BODY, signal=LOGS)
        sending.wait(lambda said: said["given_up"] and not said["segments_waiting"])
    assert "does not take logs; leave it out of `signals`" in caplog.text


def test_an_endpoint_that_hangs_is_asked_again(tmp_path: Path, serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; others do not wait for it."""
    monkeypatch.setattr(forwarder, "_TIMEOUT_S", 0.3)
    release = threading.Event()
    hung, other = serve(Said(500, code=grpc.StatusCode.INTERNAL, before=release.wait)), serve()
    with Sending(tmp_path, Forward(hung.url), Forward(other.url)) as sending:
        sending.put(*_bodies(1))
        other.wait(lambda: len(other.taken) == 1)
        hung.wait(lambda: len(hung.taken) == 1)
        assert sending.wait(lambda said: said["requests"] == 1)["failures"] == 1
        release.set()
    assert [sent.body for sent in hung.taken] == [sent.body for sent in other.taken]


def test_a_large_request_has_longer(tmp_path: Path, serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """In proportion, since the time is that of sending it too."""
    monkeypatch.setattr(forwarder, "_TIMEOUT_S", 0.1)
    endpoint = serve(Said(before=lambda: time.sleep(1)))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1, MIB))
        said = sending.wait(lambda said: said["requests"] + said["failures"] > 0)
    assert (said["requests"], said["failures"]) == (1, 0)


def test_a_stop_waits_for_nobody_who_hangs(tmp_path: Path, serve: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request is cut off, and sent again by the next run."""
    monkeypatch.setattr(forwarder, "_TIMEOUT_S", 3600.0)
    monkeypatch.setattr(forwarder, "DRAIN_S", 0.1)
    release = threading.Event()
    endpoint = serve(Said(before=release.wait))
    (sent,) = _bodies(1)
    sending = Sending(tmp_path, Forward(endpoint.url))
    stopping = threading.Thread(target=lambda: sending.__exit__(None, None, None))
    try:
        sending.__enter__().put(sent)
        endpoint.wait(lambda: len(endpoint.sent) == 1)
        stopping.start()
        stopping.join(WAIT_S)
        assert not stopping.is_alive()
    finally:
        release.set()
        stopping.join()
    assert "when this collector stopped" in sending.status()["last_error"]
    with Sending(tmp_path, Forward(endpoint.url)) as again:
        again.wait(lambda said: said["requests"] == 1)
    assert [one.body for one in endpoint.sent] == [sent, sent]


def test_whatever_goes_wrong_it_is_tried_again(tmp_path: Path, http: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """A date that no calendar has, and an error that nobody thought of."""

    def fail(header: str) -> float:
        if header == "0":
            raise RuntimeError("Nobody thought of this.")
        return retry_after(header)

    monkeypatch.setattr(transport, "retry_after", fail)
    endpoint = http(Said(503, {"Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT"}), Said(503, {"Retry-After": "0"}))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1))
        said = sending.wait(lambda said: said["requests"] == 1)
    assert said["failures"] == 2


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
def test_tls_trusts_whom_the_system_trusts(
    tmp_path: Path, serve: Open, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Or the file that is named in SSL_CERT_FILE; to anyone else nothing is said, nor is it given up."""
    authorities = [Authority(tmp_path, name) for name in ("ours", "theirs")]
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities[0].file))
    endpoint = serve(pair=authorities[not known].sign("endpoint", "127.0.0.1"))
    with Sending(tmp_path, Forward(endpoint.url)) as sending:
        sending.put(*_bodies(1))
        status = sending.wait(lambda status: status["requests"] + status["failures"] > 0)
    assert (status["requests"], len(endpoint.taken), len(sending.left)) == ((1, 1, 0) if known else (0, 0, 1))


def test_what_is_no_http_is_asked_again(tmp_path: Path, speak_grpc: Open) -> None:
    """A wrong port is mended without a loss."""
    endpoint = speak_grpc()
    with Sending(tmp_path, Forward(endpoint.url.replace("grpc:", "http:"))) as sending:
        sending.put(*_bodies(1))
        sending.wait(lambda said: said["failures"] >= 1)
    assert len(sending.left) == 1


def test_secrets_are_not_told(tmp_path: Path, http: Open, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by the log nor by the status."""
    endpoint = http(Said(401))
    with Sending(tmp_path, Forward(endpoint.url, headers={"Authorization": "Bearer hush"})) as sending:
        sending.put(*_bodies(1))
        said = sending.wait(lambda said: said["given_up"])
    assert "hush" not in caplog.text + str(said)
    assert endpoint.sent[0].headers["authorization"] == "Bearer hush"
