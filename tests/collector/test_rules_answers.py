"""Rules 22 to 26 of the receiver's checklist (``docs/otlp.md``): a success, in full and in part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.app import Collector
from otel_llm_collector.settings import Settings
from tests.collector.conftest import Start
from tests.support.collector import Handle, send
from tests.support.doors import DOORS, NAMES, data_point, export, log_record, request, stored
from tests.support.exporters import EXPORTERS, exported, readable
from tests.support.otlp import span

BAD = {"trace_id": b"\x01" * 5}


def _counts(collector: Handle, signal: str) -> dict[str, Any]:
    counts: dict[str, Any] = collector.status()["signals"][signal]
    return counts


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize("door", DOORS)
def test_rule_22_a_full_success_says_nothing(collector: Handle, service: str, door: str, signal: str) -> None:
    """The response of the signal, without a partial success; in JSON an empty object."""
    answer = export(collector, door, signal, request(signal, service))
    assert answer.stored
    assert not answer.message.HasField("partial_success")
    assert answer.body == (b"{}" if door == "json" else b"")


@pytest.mark.parametrize("signal", NAMES)
@pytest.mark.parametrize("door", DOORS)
def test_rule_23_an_empty_request_is_a_success(collector: Handle, service: str, door: str, signal: str) -> None:
    """Not a byte, an empty object, and envelopes with nothing in them; nothing is written."""
    empty = request(signal, service)
    (group,) = empty.ListFields()[0][1]
    (scopes,) = [value for field, value in group.ListFields() if field.name.startswith("scope_")]
    del scopes[:]
    bare = type(empty)()
    before = _counts(collector, signal)["segments_waiting"], collector.status()["bytes_waiting"]
    for sent in (b"{}" if door == "json" else b"", bare, empty):
        answer = export(collector, door, signal, sent)
        assert answer.stored
        assert not answer.message.HasField("partial_success")
    assert (_counts(collector, signal)["segments_waiting"], collector.status()["bytes_waiting"]) <= before
    assert stored(collector, signal, service) == 0


@pytest.mark.parametrize("door", DOORS)
def test_rule_24_partial_success_says_how_many_and_why(collector: Handle, service: str, door: str) -> None:
    """Three spans, one of which has five bytes for a trace id: two are stored. In JSON the number is a string."""
    answer = export(collector, door, "traces", request("traces", service, span(), span(**BAD), span()))
    assert answer.stored
    assert answer.message.partial_success.rejected_spans == 1
    assert answer.message.partial_success.error_message.startswith("1 of 3 spans have no valid ids")
    assert (b'"rejectedSpans":"1"' in answer.body) == (door == "json")
    assert stored(collector, "traces", service) == 2


@pytest.mark.parametrize("door", DOORS)
def test_rule_24_log_records_and_data_points_are_all_kept(collector: Handle, service: str, door: str) -> None:
    """There is nothing in one that costs it its place."""
    record = log_record(trace_id=b"x", span_id=b"y", severity_number=999)
    assert not export(collector, door, "logs", request("logs", service, record)).message.HasField("partial_success")
    point = data_point(start_time_unix_nano=2**64 - 1, flags=2**32 - 1)
    assert not export(collector, door, "metrics", request("metrics", service, point)).message.HasField(
        "partial_success"
    )
    assert (stored(collector, "logs", service), stored(collector, "metrics", service)) == (1, 1)


@pytest.mark.parametrize("door", DOORS)
def test_rule_25_there_are_no_warnings(collector: Handle, service: str, door: str) -> None:
    """What is set right and stored, here a time of another century, is a full success, and counted."""
    before = _counts(collector, "traces")["clamped"]
    late = span(start_time_unix_nano=2**63, end_time_unix_nano=2**63 + 1)
    answer = export(collector, door, "traces", request("traces", service, late))
    assert answer.stored
    assert not answer.message.HasField("partial_success")
    assert _counts(collector, "traces")["clamped"] == before + 1
    assert stored(collector, "traces", service) == 1


@pytest.mark.parametrize("name", sorted(EXPORTERS))
def test_rule_26_a_partial_success_is_not_sent_again(collector: Handle, service: str, name: str) -> None:
    """The exporters of Python take it for a success and say nothing of it, so it is counted here."""
    before = _counts(collector, "traces")
    assert exported(EXPORTERS[name](collector), readable(service, 7), readable(service, 0))
    after = _counts(collector, "traces")
    assert after["rejected"] == before["rejected"] + 1
    assert after["duplicate_requests"] == before["duplicate_requests"]
    assert stored(collector, "traces", service) == 1


def test_rule_26_what_passes_is_never_a_partial_success(tmp_path: Path, start: Start) -> None:
    """A full log refuses a request as a whole, with a code to try again on."""
    small = start(tmp_path, log_bytes=300_000, segment_age_s=600.0)
    assert export(small, "protobuf", "traces", request("traces", "first", span({"text": "x" * 200_000}))).stored
    mixed = request("traces", "mixed", span({"text": "x" * 200_000}), span(**BAD))
    codes = [export(small, door, "traces", mixed).code for door in DOORS]
    assert codes == [503, 503, "UNAVAILABLE"]
    assert stored(small, "traces", "mixed") == 0


def test_rule_26_what_is_rejected_is_in_the_log_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute, since those who sent it do not read their answer."""
    settings = Settings(data=tmp_path, grpc_port=0, http_port=0, api_port=0, jaeger_port=0)
    with Collector(settings) as collector:
        assert collector.running is not None
        for _ in range(3):
            sent = request("traces", "said", span(), span(**BAD)).SerializeToString()
            url = f"{collector.running.http}/v1/traces"
            assert send("POST", url, sent, {"Content-Type": "application/x-protobuf"})[0] == 200
    said = [record.getMessage() for record in caplog.records if record.name.endswith(".intake")]
    assert len(said) == 1
    assert said[0].startswith("Not stored: 1 of 2 spans have no valid ids")
