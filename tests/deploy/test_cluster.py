"""What the manifests for Kubernetes rely on, without a cluster: a Secret that changes, and the official Collector."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.support import otelcol
from benchmarks.support.built import Unavailable
from benchmarks.support.program import Program, free_port
from otel_llm_collector.client import Reader
from otel_llm_collector.door.keys import KeyFile
from tests.support.collector import send
from tests.support.deployed import Collector, when
from tests.support.deployment import COLLECTOR, KUBERNETES
from tests.support.otlp import body, span

TOML = KUBERNETES / "collector" / "collector.toml"
GATEWAY = (
    COLLECTOR / "otelcol.yaml",
    KUBERNETES / "gateway" / "exposed.yaml",
    KUBERNETES / "gateway-to-collector" / "to-collector.yaml",
)
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def _mounted(secret: Path, number: int, keys: Path) -> None:
    """A Secret's file as the kubelet brings it: in a folder that a link is turned to in one step."""
    folder = secret / f"..{number}"
    folder.mkdir(parents=True)
    (folder / "keys.json").write_bytes(keys.read_bytes())
    (secret / "new").symlink_to(folder.name)
    (secret / "new").replace(secret / "..data")


def _linked(tmp_path: Path) -> tuple[Path, str]:
    """The collector's data folder after the init container, with one key, and that key."""
    secret, data = tmp_path / "secret", tmp_path / "data"
    key = KeyFile(tmp_path / "here").create("one")
    _mounted(secret, 1, tmp_path / "here" / "keys.json")
    (secret / "keys.json").symlink_to("..data/keys.json")
    data.mkdir()
    (data / "keys.json").symlink_to(secret / "keys.json")
    return data, key


def _status(http: str, headers: dict[str, str]) -> int:
    spans = body(span({"gen_ai.operation.name": "chat"}), service="gateway")
    return send("POST", f"{http}/v1/traces", spans, {**PROTOBUF, **headers})[0]


def test_a_secret_that_changes_is_noticed(tmp_path: Path) -> None:
    """Through the links that the init container and the kubelet make; a key that is revoked there is refused."""
    data, first = _linked(tmp_path)
    with Collector(data, TOML, f"chdb://{data}/store") as collector:
        assert _status(collector.http, {"x-api-key": first}) == 200
        keys = KeyFile(tmp_path / "here")
        second = keys.create("two")
        assert _status(collector.http, {"x-api-key": second}) == 401
        keys.revoke("one")
        _mounted(tmp_path / "secret", 2, keys.path)
        when(lambda: _status(collector.http, {"x-api-key": second}) == 200)
        assert _status(collector.http, {"x-api-key": first}) == 401


def test_the_gateway_asks_for_its_key_and_hands_on_to_the_collector(tmp_path: Path) -> None:
    """The official Collector with all three configurations, as the manifest names them."""
    try:
        program = str(otelcol.binary())
    except Unavailable as error:
        pytest.skip(str(error))
    data, key = _linked(tmp_path)
    (tmp_path / "key").write_text(key)
    (tmp_path / "callers").write_text("the-gateways-key")
    http = free_port()
    places = (
        f"receivers::otlp::protocols::http::endpoint=127.0.0.1:{http}",
        "receivers::otlp::protocols::grpc::endpoint=127.0.0.1:0",
        "service::telemetry::metrics::level=none",
        "service::telemetry::metrics::readers=[]",
    )
    with Collector(data, TOML, f"chdb://{data}/store") as collector:
        command = [program, *(f"--config={path}" for path in GATEWAY), *(f"--set={place}" for place in places)]
        variables = {
            "OTELCOL_HEALTH_ADDRESS": "127.0.0.1:0",
            "OTELCOL_QUEUE": str(tmp_path / "queue"),
            "OTELCOL_KEY": str(tmp_path / "callers"),
            "OTEL_LLM_HTTP": collector.http,
            "OTEL_LLM_KEY_FILE": str(tmp_path / "key"),
        }
        with Program("The official Collector", command, http, tmp_path / "log", {**os.environ, **variables}):
            gateway = f"http://127.0.0.1:{http}"
            assert _status(gateway, {}) == 401
            assert _status(gateway, {"Authorization": "Bearer another"}) == 401
            assert _status(gateway, {"Authorization": "Bearer the-gateways-key"}) == 200
            with Reader.open(data) as reader:
                when(lambda: reader.query("SELECT count() AS n FROM llm_calls", {}) == [{"n": 1}])
