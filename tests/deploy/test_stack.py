"""The stack of ``collector/compose.yaml`` without Docker: the same configurations, on loopback, and a trace through it.

The collector, Jaeger and Prometheus are real; ClickHouse is the stand-in for a server. What differs from compose is
where things listen and where files are.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.support.built import Unavailable
from benchmarks.support.program import Program, free_port
from otel_llm_collector.running import Running
from otel_llm_collector.settings import Settings
from tests.support import jaeger_build
from tests.support.clickhouse import ClickHouse
from tests.support.collector import get, send
from tests.support.deployed import Collector, when
from tests.support.deployment import COLLECTOR, make_keys, moved, uncommented
from tests.support.otlp import body, span

TOML = COLLECTOR / "compose" / "collector.toml"
PROTOBUF = {"Content-Type": "application/x-protobuf"}
TRACE = bytes.fromhex("4bf92f3577b34da6a3ce929d0e0e4736")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder of the callers' keys, made by the step of compose that makes them."""
    make_keys(tmp_path / "data", tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[ClickHouse]:
    """A stand-in for a ClickHouse server, which runs."""
    server = ClickHouse(tmp_path / "server")
    server.start()
    yield server
    server.stop()


def _jaeger(folder: Path, configuration: str, **variables: str) -> tuple[Program, str]:
    """A Jaeger with a configuration of ours, and the URL of its API."""
    try:
        program = str(jaeger_build.binary())
    except Unavailable as error:
        pytest.skip(str(error))
    folder.mkdir()
    http = free_port()
    free = {f"JAEGER_{name}_PORT": str(free_port()) for name in ("GRPC", "METRICS", "HEALTH")}
    environment = {"OTEL_TRACES_SAMPLER": "always_off", "JAEGER_HTTP_PORT": str(http), **free, **variables}
    command = [program, "--config", str(COLLECTOR / "jaeger" / configuration)]
    return Program("Jaeger", command, http, folder / "log", environment), f"http://127.0.0.1:{http}"


def _send(collector: Running, key: str, status: int = 200) -> None:
    now = time.time_ns()
    one = span({"gen_ai.operation.name": "chat"}, trace_id=TRACE, start_time_unix_nano=now, end_time_unix_nano=now + 1)
    assert send("POST", f"{collector.http}/v1/traces", body(one), {**PROTOBUF, "x-api-key": key})[0] == status


def _ask(url: str) -> Any:
    """The ``data`` of an answer in JSON; nothing where it is none."""
    code, answer = get(url)
    return json.loads(answer)["data"] if code == 200 else None


def _shows(jaeger: str) -> bool:
    """Whether Jaeger has the trace."""
    traces = _ask(f"{jaeger}/api/traces/{TRACE.hex()}")
    return [trace["traceID"] for trace in traces or []] == [TRACE.hex()]


def test_jaeger_reads_the_store_and_prometheus_watches(tmp_path: Path, keys: Path, clickhouse: ClickHouse) -> None:
    """The application's key sends, Jaeger's and Prometheus' read; neither does what is the other's."""
    with Collector(tmp_path / "data", TOML, clickhouse.url) as collector:
        _send(collector, (keys / "application" / "key").read_text().strip())
        _send(collector, (keys / "jaeger" / "key").read_text().strip(), status=403)
        jaeger, url = _jaeger(
            tmp_path / "jaeger",
            "jaeger.yaml",
            OTEL_LLM_JAEGER=collector.jaeger.removeprefix("http://"),
            OTEL_LLM_KEY_FILE=str(keys / "jaeger" / "key"),
        )
        with jaeger:
            when(lambda: _shows(url))
            assert _ask(f"{url}/api/services") == ["tests"]
            _watch(tmp_path, keys / "prometheus" / "key", collector)


def _watch(tmp_path: Path, key: Path, collector: Running) -> None:
    """A real Prometheus, where there is one, comes to see the collector as up."""
    program = shutil.which("prometheus")
    if program is None:
        return
    text = (COLLECTOR / "compose" / "prometheus.yml").read_text()
    places = {
        f"collector:{Settings().api_port}": collector.api.removeprefix("http://"),
        "/run/otel-llm/key": str(key),
        "scrape_interval: 15s": "scrape_interval: 1s",
    }
    (tmp_path / "prometheus.yml").write_text(moved(text, places))
    port = free_port()
    options = [f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
    command = [program, *options, f"--web.listen-address=127.0.0.1:{port}"]
    with Program("Prometheus", command, port, tmp_path / "prometheus.log"):
        question = f'http://127.0.0.1:{port}/api/v1/query?query=up%7Bjob%3D"otel-llm"%7D'
        when(lambda: [one["value"][1] for one in (_ask(question) or {"result": []})["result"]] == ["1"])


def test_jaeger_gets_a_copy(tmp_path: Path, keys: Path, clickhouse: ClickHouse) -> None:
    """With what is a comment in the collector's configuration, and Jaeger's other one; Jaeger's own copy stays."""
    port = free_port()
    text = moved(uncommented(TOML.read_text()), {"grpc://jaeger:4317": f"grpc://127.0.0.1:{port}"})
    (tmp_path / "collector.toml").write_text(text)
    jaeger, url = _jaeger(
        tmp_path / "jaeger", "copy.yaml", JAEGER_OTLP_PORT=str(port), JAEGER_DATA=str(tmp_path / "jaeger")
    )
    with jaeger:
        with Collector(tmp_path / "data", tmp_path / "collector.toml", clickhouse.url) as collector:
            _send(collector, (keys / "application" / "key").read_text().strip())
            when(lambda: _shows(url))
        jaeger.stop()
        jaeger.start()
        assert _shows(url), "it is in Jaeger's own files, and no collector runs"
