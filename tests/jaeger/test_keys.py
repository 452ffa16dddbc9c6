"""Jaeger before a collector that wants keys: it shows one as a header of its storage, to read and to write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from otel_llm_collector.door.keys import KeyFile
from otel_llm_collector.signals import TRACES
from tests.support.collector import Handle, start_collector
from tests.support.jaeger import Jaeger, remote
from tests.support.jaeger_client import address
from tests.support.jaeger_view import spans
from tests.support.otlp import body, span


@pytest.fixture
def key(tmp_path: Path) -> str:
    data = tmp_path / "data"
    data.mkdir()
    return KeyFile(data).create("jaeger", ("ingest", "read"), "", "")


@pytest.fixture
def collector(key: str, tmp_path: Path) -> Iterator[Handle]:
    """One that has keys, in place of the one that has none."""
    handle = start_collector(tmp_path / "data")
    yield handle
    assert handle.stop() == 0


@pytest.mark.parametrize("header", ["x-api-key", "authorization"])
def test_with_its_key_it_writes_and_reads(
    memory: Jaeger, collector: Handle, key: str, tmp_path: Path, header: str
) -> None:
    shown = {header: key if header == "x-api-key" else f"Bearer {key}"}
    sent = span(trace_id=b"\x07" * 16)
    with Jaeger(tmp_path / "jaeger", remote(collector.jaeger, collector.grpc, shown)) as jaeger:
        with grpc.insecure_channel(address(jaeger.otlp)) as channel:
            channel.unary_unary(f"/{TRACES.service}/Export")(body(sent), timeout=60)
        collector.flush()
        code, found = spans(jaeger.ask(f"/api/traces/{sent.trace_id.hex()}"))
        assert (code, len(found[sent.trace_id.hex()])) == (200, 1)


def test_without_one_it_is_told_so(memory: Jaeger, collector: Handle, tmp_path: Path) -> None:
    with Jaeger(tmp_path / "jaeger", remote(collector.jaeger, collector.grpc)) as jaeger:
        code, said = jaeger.ask("/api/services")
    assert code == 500
    assert "key" in said["errors"][0]["msg"]
