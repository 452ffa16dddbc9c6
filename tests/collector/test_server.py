"""A ClickHouse server as the store: there, gone, and back. It is the stand-in of ``tests/support/clickhouse.py``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_llm_collector.client import Reader
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.running import Running
from tests.collector.conftest import Start
from tests.support import command
from tests.support.clickhouse import PASSWORD, ClickHouse
from tests.support.collector import Handle, get, launch, send
from tests.support.otlp import body, span

CALL = {"gen_ai.operation.name": "chat"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouse]:
    server = ClickHouse(tmp_path / "server")
    server.start()
    yield server
    server.stop()


def _send(collector: Handle, *bodies: bytes) -> None:
    for sent in bodies:
        assert send("POST", f"{collector.http}/v1/traces", sent, {"Content-Type": "application/x-protobuf"})[0] == 200


def _counts(collector: Handle) -> list[dict[str, int]]:
    collector.flush()
    return collector.query(
        "SELECT count() AS spans, (SELECT count() FROM llm_calls) AS calls, "
        "(SELECT sum(calls) FROM llm_calls_hourly) AS summed FROM otel_traces"
    )


def test_spans_are_stored_in_a_server(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Its database is made; nested values, duplicates and the SQL endpoint are as with the embedded store."""
    collector = start(tmp_path / "data", store=server.url)
    nested = body(span({**CALL, "n": {"a": [1, {"b": 2}]}}))
    _send(collector, body(span(CALL), span({"zero": 0})), nested, nested)
    assert _counts(collector) == [{"spans": 3, "calls": 2, "summed": 2}]
    assert collector.query("SELECT SpanAttributes['n'] AS n FROM otel_traces WHERE n != ''") == [
        {"n": '{"a":[1,{"b":2}]}'}
    ]
    assert collector.query("SELECT count() AS n FROM otel.otel_traces WHERE SpanAttributes['zero'] = '0'") == [{"n": 1}]
    with pytest.raises(CollectorError, match=r"Table system\.users is not allowed here: only tables of otel"):
        collector.query("SELECT * FROM system.users")
    with pytest.raises(CollectorError) as raised:
        collector.query("SELECT nosuch FROM otel_traces")
    assert str(raised.value).startswith("Code: 47. DB::Exception: ")
    assert "for url" not in str(raised.value)
    assert PASSWORD not in str(collector.status())
    assert collector.stop() == 0
    with Reader.open(tmp_path / "data", server.url) as reader:
        assert reader.query("SELECT count() AS n FROM otel_traces") == [{"n": 3}]


def test_a_server_that_is_down_at_the_start_is_waited_for(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """Spans are accepted meanwhile; the collector says that it is not ready, and why, and recovers by itself."""
    server.stop()
    collector = start(tmp_path / "data", store=server.url)
    _send(collector, *(body(span(CALL)) for _ in range(5)))
    assert get(collector.api + "/livez")[0] == 200
    code, reason = get(collector.api + "/readyz")
    assert code == 503
    assert f"ClickHouse at clickhouse://default:***@127.0.0.1:{server.port}/otel cannot be reached" in reason.decode()
    server.start()
    assert _counts(collector) == [{"spans": 5, "calls": 5, "summed": 5}]
    assert get(collector.api + "/readyz") == (200, b"ok\n")
    assert collector.stop() == 0


def test_an_outage_loses_nothing_and_doubles_nothing(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """The server dies at any moment under load, twice; then the collector does, with the server away."""
    collector = start(tmp_path / "data", store=server.url, segment_age_s=0.05)
    sent = 0
    for _ in range(2):
        for number in range(60):
            _send(collector, body(*(span(CALL) for _ in range(20))))
            sent += 20
            if number == 20:
                server.stop()
            if number == 40:
                server.start()
    server.stop()
    _send(collector, body(span(CALL)))
    collector.kill()
    server.start()
    collector = start(tmp_path / "data", store=server.url)
    assert _counts(collector) == [{"spans": sent + 1, "calls": sent + 1, "summed": sent + 1}]
    collector.stop()


def test_a_collector_stops_though_its_server_is_away(tmp_path: Path, server: ClickHouse, start: Start) -> None:
    """What the server did not take waits in the log for the next start."""
    collector = start(tmp_path / "data", store=server.url)
    server.stop()
    _send(collector, body(span(CALL)))
    assert collector.stop() == 0
    assert len(list((tmp_path / "data" / "log").glob("*.seg"))) == 1


def test_up_does_not_say_that_all_is_stored_when_it_is_not(tmp_path: Path, server: ClickHouse) -> None:
    """But where the rest is."""
    data = tmp_path / "data"
    ports = [text for door in ("grpc", "http", "api") for text in (f"--{door}-port", "0")]
    process = command.start("up", "--data", str(data), "--store", server.url, *ports)
    assert process.stdout is not None
    for _ in range(7):
        process.stdout.readline()
    running = Running.find(data)
    assert running is not None
    server.stop()
    assert (
        send("POST", f"{running.http}/v1/traces", body(span(CALL)), {"Content-Type": "application/x-protobuf"})[0]
        == 200
    )
    process.terminate()
    said = process.communicate(timeout=60)[0]
    assert said == f"The store did not take everything; the rest is in {data}/log for the next start.\n"
    assert process.returncode == 0


def test_a_wrong_password_is_said_at_once(tmp_path: Path, server: ClickHouse) -> None:
    """In ClickHouse's words, without the password."""
    process = launch(tmp_path / "data", store=server.url.replace(PASSWORD, "wrong"))
    complaint = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "Traceback" not in complaint
    assert "Authentication failed" in complaint
    assert "wrong" not in complaint
