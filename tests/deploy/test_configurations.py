"""What is handed to programs of others, checked by those programs; a test is skipped where there is no such program."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
import yaml

from benchmarks.support import otelcol
from benchmarks.support.built import Unavailable
from otel_llm_collector.settings import Settings
from tests.support import jaeger_build
from tests.support.collector import send, start_collector
from tests.support.deployment import COLLECTOR, KUBERNETES, ROOT, moved, services, variables
from tests.support.otlp import body, span

JAEGER = COLLECTOR / "jaeger"
GATEWAY = (COLLECTOR / "otelcol.yaml", KUBERNETES / "gateway" / "exposed.yaml")
DATASOURCES = COLLECTOR / "compose" / "grafana" / "datasources.yaml"
KEY_FILE = "/run/otel-llm/key"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A file with a key, as containers find it."""
    path = tmp_path / "key"
    path.write_text("ollm_a-key\n")
    return path


def _program(find: Callable[[], Path]) -> str:
    try:
        return str(find())
    except Unavailable as error:
        pytest.skip(str(error))


def _accepts(program: str, files: tuple[Path, ...], environment: Mapping[str, str]) -> None:
    named = [argument for file in files for argument in ("--config", str(file))]
    done = subprocess.run([program, "validate", *named], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["jaeger.yaml", "copy.yaml"])
def test_jaeger_accepts_its_configuration(name: str, key: Path) -> None:
    _accepts(_program(jaeger_build.binary), (JAEGER / name,), {"OTEL_LLM_KEY_FILE": str(key)})


@pytest.mark.parametrize(
    "files",
    [GATEWAY[:1], GATEWAY, (*GATEWAY, KUBERNETES / "gateway-to-collector" / "to-collector.yaml")],
    ids=["alone", "exposed", "to-collector"],
)
def test_the_official_collector_accepts_its_configuration(files: tuple[Path, ...], key: Path) -> None:
    _accepts(_program(otelcol.binary), files, {"OTEL_LLM_KEY_FILE": str(key), "OTELCOL_KEY": str(key)})


def test_the_gateway_is_the_version_that_is_tested() -> None:
    manifest = (KUBERNETES / "gateway" / "statefulset.yaml").read_text()
    assert f"otel/opentelemetry-collector-contrib:{otelcol.version()}\n" in manifest


def test_a_trace_in_jaeger_leads_to_its_calls(tmp_path: Path) -> None:
    """By a link to Grafana, with a statement that the collector answers."""
    assert services()["jaeger"]["environment"]["JAEGER_UI"] == "/etc/jaeger/ui.json"
    (pattern,) = json.loads((JAEGER / "ui.json").read_text())["linkPatterns"]
    collector = start_collector(tmp_path)
    sent = span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"})
    assert send("POST", f"{collector.http}/v1/traces", body(sent), {"Content-Type": "application/x-protobuf"})[0] == 200
    collector.flush()
    link = urlsplit(pattern["url"].replace("#{traceID}", sent.trace_id.hex()))
    assert link.netloc == "localhost:3000"
    (pane,) = json.loads(parse_qs(link.query)["panes"][0]).values()
    assert pane["datasource"] in {source["uid"] for source in yaml.safe_load(DATASOURCES.read_text())["datasources"]}
    rows = collector.query(pane["queries"][0]["rawSql"])
    assert collector.stop() == 0
    assert [row["service_name"] for row in rows] == ["tests"]


def test_compose_sets_what_jaegers_configurations_read() -> None:
    """No variable that neither reads, and the key is where it is mounted."""
    given = services()["jaeger"]["environment"]
    assert given.keys() - {"OTEL_TRACES_SAMPLER"} <= variables(JAEGER / "jaeger.yaml") | variables(JAEGER / "copy.yaml")
    assert given["OTEL_LLM_KEY_FILE"] == KEY_FILE
    for name in ("jaeger", "prometheus", "grafana"):
        assert f"key-{name}:{Path(KEY_FILE).parent}:ro" in services()[name]["volumes"]


def test_prometheus_accepts_its_configuration(tmp_path: Path, key: Path) -> None:
    """And asks our API port, with the key."""
    text = (COLLECTOR / "compose" / "prometheus.yml").read_text()
    assert f'targets: ["collector:{Settings().api_port}"]' in text
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("There is no promtool.")
    (tmp_path / "prometheus.yml").write_text(moved(text, {KEY_FILE: str(key)}))
    done = subprocess.run(
        [promtool, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_grafana_finds_what_is_there() -> None:
    """Its sources are services of compose, at ports that they listen on; links lead to a source that there is."""
    sources: list[dict[str, Any]] = yaml.safe_load(DATASOURCES.read_text())["datasources"]
    known = {source["uid"] for source in sources}
    assert {source["type"] for source in sources} == {"grafana-clickhouse-datasource", "jaeger", "prometheus"}
    for source in sources:
        for correlation in source.get("correlations", []):
            assert correlation["targetUID"] in known
            assert correlation["description"]
            assert correlation["config"]["type"] == "query", "Grafana refuses any other in this place"
    (ours,) = (source for source in sources if "jsonData" in source and "host" in source["jsonData"])
    assert (ours["jsonData"]["host"], ours["jsonData"]["port"]) == ("collector", Settings().api_port)
    assert ours["secureJsonData"]["password"] == f"$__file{{{KEY_FILE}}}"
    assert ours["jsonData"]["defaultDatabase"] == services()["clickhouse"]["environment"]["CLICKHOUSE_DB"]
    for source in sources:
        if "url" in source:
            name, port = source["url"].removeprefix("http://").split(":")
            assert f"127.0.0.1:{port}:{port}" in services()[name]["ports"]
    environment = services()["grafana"]["environment"]
    assert environment["GF_PLUGINS_PREINSTALL_SYNC"].startswith("grafana-clickhouse-datasource@4.")


def test_the_columns_that_links_begin_at_are_there() -> None:
    """``trace_id`` and ``TraceId`` are columns of our tables."""
    fields = re.findall(r"field: (\w+)", DATASOURCES.read_text())
    schema = "".join(path.read_text() for path in (ROOT / "schemas" / "migrations").glob("*.sql"))
    assert len(fields) == 2
    assert [field for field in fields if not re.search(rf"\b{field}\b", schema)] == []


def test_clickhouses_configuration_is_well_formed() -> None:
    root = ElementTree.parse(COLLECTOR / "compose" / "clickhouse" / "logs.xml").getroot()
    assert root.tag == "clickhouse"
    assert all(element.get("remove") == "1" or element.find("ttl") is not None for element in root)
