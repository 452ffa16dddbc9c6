"""Rules 27 to 34 of the receiver's checklist (``docs/otlp.md``): refusals, and who tries again when."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from otel_llm_collector.door.keys import KeyFile
from otel_llm_collector.otlp.json_body import response_json
from tests.collector.conftest import Start
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, send, start_collector
from tests.support.doors import DOORS, NAMES, TYPES, Answer, export, request, stored
from tests.support.exporters import EXPORTERS, exported, readable
from tests.support.otlp import body, span

RETRYABLE = {429, 502, 503, 504}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector whose log has room for one small request, and whose store is away."""
    nowhere = "clickhouse://nobody:nothing@127.0.0.1:9/otel"
    handle = start_collector(tmp_path_factory.mktemp("full"), store=nowhere, log_bytes=4000, body_bytes=1 << 20)
    assert export(handle, "protobuf", "traces", request("traces", "first", span({"text": "x" * 3400}))).stored
    yield handle
    handle.kill()


class Guarded(NamedTuple):
    """A collector that asks for keys, and a key of each scope."""

    collector: Handle
    keys: dict[str, str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    data = tmp_path_factory.mktemp("guarded")
    keys = {scope: KeyFile(data).create(scope, [scope]) for scope in ("ingest", "read")}
    handle = start_collector(data)
    yield Guarded(handle, keys)
    handle.kill()


def _large(signal: str) -> Any:
    return request(signal, "large", text="x" * 2000)


def _refusals(full: Handle, door: str, signal: str) -> dict[int, Answer]:
    """An answer of every code that a request can be refused with, by the door's encoding."""
    return {
        400: export(full, door, signal, b"\xff garbage"),
        413: export(full, door, signal, gzip.compress(bytes(2 << 20)), Content_Encoding="gzip"),
        415: export(full, door, signal, b"", Content_Encoding="br"),
        503: export(full, door, signal, _large(signal)),
    }


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize("door", ["protobuf", "json"])
def test_rule_27_a_refusal_is_a_status_with_a_sentence(full: Handle, door: str, signal: str) -> None:
    """For every code, in the encoding of the request."""
    for code, answer in _refusals(full, door, signal).items():
        assert (answer.code, answer.headers["Content-Type"]) == (code, TYPES[door])
        assert answer.message.code in (3, 8, 14)
        assert answer.message.message.endswith(".")


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize("door", DOORS)
def test_rule_28_what_can_never_be_read_is_400(collector: Handle, door: str, signal: str) -> None:
    """INVALID_ARGUMENT over gRPC: garbage, a request that is cut short, and one of another kind altogether."""
    cut = request(signal, "cut").SerializeToString()[:-1]
    for sent in (b"\xff\xff\xff", b"{}]" if door == "json" else cut, b"<html>"):
        assert export(collector, door, signal, sent).code in (400, "INVALID_ARGUMENT")


def test_rule_29_codes_to_try_again_on_are_those_of_the_rule(full: Handle) -> None:
    """Only what passes by itself has one of the four; a store that is away is no reason to refuse."""
    codes = {answer.code for door in ("protobuf", "json") for answer in _refusals(full, door, "traces").values()}
    for method, path, headers in (
        ("GET", "/v1/traces", {}),
        ("POST", "/v1/nothing", {}),
        ("POST", "/v1/traces", {"Origin": "http://web.page"}),
        ("POST", "/v1/traces", {"Content-Type": "text/plain"}),
    ):
        codes.add(send(method, full.http + path, b"", headers)[0])
    assert codes == {400, 403, 404, 405, 413, 415, 503}
    assert codes & RETRYABLE == {503}


def test_rule_29_an_outage_of_the_store_is_never_500(tmp_path: Path, start: Start) -> None:
    """What comes meanwhile is accepted, and stored when it is back."""
    server = ClickHouse(tmp_path / "server")
    server.start()
    try:
        collector = start(tmp_path / "data", store=server.url)
        server.stop()
        for signal in NAMES:
            for door in DOORS:
                assert export(collector, door, signal, request(signal, "outage", door=door)).stored
        server.start()
        assert [stored(collector, signal, "outage") for signal in NAMES] == [3, 3, 3]
    finally:
        server.stop()


@pytest.mark.parametrize("door", ["protobuf", "json"])
def test_rule_30_overload_says_when_to_come_back(full: Handle, door: str) -> None:
    """In whole seconds, few enough for an exporter that gives a request ten in all."""
    answer = export(full, door, "traces", _large("traces"))
    assert answer.code == 503
    assert 1 <= int(answer.headers["Retry-After"]) <= 5


@pytest.mark.parametrize("signal", NAMES)
def test_rule_31_overload_is_unavailable_over_grpc(full: Handle, signal: str) -> None:
    """Which every client tries again on; and what can never be accepted has a code that none does."""
    assert export(full, "grpc", signal, _large(signal)).code == "UNAVAILABLE"
    assert export(full, "grpc", signal, b"garbage").code == "INVALID_ARGUMENT"
    assert export(full, "grpc", signal, bytes(2 << 20)).code == "RESOURCE_EXHAUSTED"


def test_rule_32_the_hint_is_where_go_and_where_python_look(full: Handle) -> None:
    """The same seconds in both trailers, and in the status of HTTP; none where waiting helps nothing."""
    answer = export(full, "grpc", "traces", _large("traces"))
    said = Status.FromString(answer.headers["grpc-status-details-bin"])
    hint = RetryInfo()
    assert said.code == 14
    assert said.details[0].Unpack(hint)
    assert RetryInfo.FromString(answer.headers["google.rpc.retryinfo-bin"]) == hint
    assert 1 <= hint.retry_delay.seconds <= 5
    over_http = export(full, "protobuf", "traces", _large("traces"))
    assert over_http.message == said
    assert int(over_http.headers["Retry-After"]) == hint.retry_delay.seconds
    assert b"RetryInfo" in response_json(said)
    for sent in (b"garbage", bytes(2 << 20)):
        assert "google.rpc.retryinfo-bin" not in export(full, "grpc", "traces", sent).headers


def test_rule_32_exporters_come_back_after_an_overload(tmp_path: Path, start: Start) -> None:
    """Those that were refused are stored by themselves once there is room, each once."""
    server = ClickHouse(tmp_path / "server")
    server.start()
    results: dict[str, bool] = {}
    try:
        collector = start(tmp_path / "data", store=server.url, log_bytes=20_000, segment_age_s=0.05)
        server.stop()
        assert export(collector, "protobuf", "traces", body(span({"text": "x" * 18_000}), service="first")).stored

        def send_late(name: str) -> None:
            late = readable("late", len(name), attributes={"text": name * 1000})
            results[name] = exported(EXPORTERS[name](collector, timeout=60), late)

        senders = [threading.Thread(target=send_late, args=(name,)) for name in EXPORTERS]
        for sender in senders:
            sender.start()
        while collector.status()["signals"]["traces"]["refused_requests"].get("full", 0) < len(senders):
            assert all(sender.is_alive() for sender in senders), results
            time.sleep(0.05)
        server.start()
        for sender in senders:
            sender.join()
        assert results == dict.fromkeys(EXPORTERS, True)
        assert stored(collector, "traces", "late") == len(senders)
    finally:
        server.stop()


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_rule_33_exporters_drop_what_can_never_be_accepted(collector: Handle, service: str, name: str) -> None:
    """They send it once: a batch of spans without ids is refused one time, and called a failure."""
    before = collector.status()["signals"]["traces"]["refused_requests"].get("malformed", 0)
    assert not exported(EXPORTERS[name](collector), readable(service, 0))
    assert collector.status()["signals"]["traces"]["refused_requests"]["malformed"] == before + 1


@pytest.mark.parametrize("door", DOORS)
def test_rule_34_who_has_no_key_is_told_so(guarded: Guarded, door: str) -> None:
    """401 and UNAUTHENTICATED without a key that is known, 403 and PERMISSION_DENIED with one for something else."""
    codes = {
        guarded.keys["ingest"]: {200, "OK"},
        guarded.keys["read"]: {403, "PERMISSION_DENIED"},
        "ollm_unknown": {401, "UNAUTHENTICATED"},
    }
    for key, expected in codes.items():
        answer = export(guarded.collector, door, "traces", request("traces", door), Authorization=f"Bearer {key}")
        assert answer.code in expected
        assert answer.stored or answer.message.message.endswith(".")
    answer = export(guarded.collector, door, "traces", request("traces", door))
    assert answer.code in {401, "UNAUTHENTICATED"}
    if door != "grpc":
        assert (answer.headers["Content-Type"], answer.message.code) == (TYPES[door], 16)


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_rule_34_exporters_do_not_insist(guarded: Guarded, name: str) -> None:
    """One without a key fails at once; one that has it in its headers is let in."""
    span = readable("guarded", 7, attributes={"name": name})
    assert not exported(EXPORTERS[name](guarded.collector), span)
    headers = {"authorization": f"Bearer {guarded.keys['ingest']}"}
    assert exported(EXPORTERS[name](guarded.collector, headers=headers), span)
