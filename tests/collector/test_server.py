"""A ClickHouse server as the store. It is the stand-in of ``tests/support/clickhouse.py``."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_llm_collector.client import Reader
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.running import Running
from tests.collector.conftest import Start
from tests.support import command
from tests.support.clickhouse import PASSWORD, ClickHouse
from tests.support.collector import Handle, send
from tests.support.otlp import body, span

CALL = {"gen_ai.operation.name": "chat"}


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


def test_up_does_not_say_that_all_is_stored_when_it_is_not(tmp_path: Path, server: ClickHouse) -> None:
    """But where the rest is."""
    data = tmp_path / "data"
    ports = [text for door in ("grpc", "http", "api", "jaeger") for text in (f"--{door}-port", "0")]
    process = command.start("up", "--data", str(data), "--store", server.url, *ports)
    assert process.stdout is not None
    for _ in range(8):
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
