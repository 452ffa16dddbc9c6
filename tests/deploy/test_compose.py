"""``collector/compose.yaml`` and what it mounts: against the compose specification, and against our own settings."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from otel_llm_collector import config
from otel_llm_collector.clickhouse.store import MINIMUM, Store
from otel_llm_collector.door.keys import KeyFile
from otel_llm_collector.settings import Settings
from tests.support.deployment import (
    COLLECTOR,
    COMPOSE,
    IMAGE,
    ROOT,
    compose,
    is_pinned,
    make_keys,
    parse,
    services,
    uncommented,
)

SERVICES = {"application", "clickhouse", "keys", "collector", "jaeger", "prometheus", "grafana"}
TOML = COLLECTOR / "compose" / "collector.toml"
DOCKERFILE = COLLECTOR / "Dockerfile"


def _ports(settings: Settings) -> set[int]:
    return {settings.grpc_port, settings.http_port, settings.api_port, settings.jaeger_port}


def test_it_is_what_the_compose_specification_describes() -> None:
    """By its published JSON schema, which check-jsonschema brings."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_every_part_is_there_and_pinned() -> None:
    """Each image with a version, ours with the version of the package; ClickHouse is new enough."""
    assert services().keys() >= SERVICES
    assert [name for name, service in services().items() if not is_pinned(service["image"])] == []
    version = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    ours = [service["image"] for service in services().values() if "build" in service]
    assert ours
    assert {image.rpartition(":")[2] for image in ours} == {version[1]}
    clickhouse = services()["clickhouse"]["image"].rpartition(":")[2].split(".")
    assert tuple(map(int, clickhouse[:2])) >= MINIMUM


def test_everything_that_is_mounted_exists() -> None:
    """Files and folders of the repository, and volumes that are declared; nothing of the repository can be written."""
    declared = set(compose()["volumes"])
    used = set()
    for service in services().values():
        for mount in service["volumes"]:
            source, _, rest = mount.partition(":")
            if source.startswith("."):
                assert (COLLECTOR / source).exists(), mount
                assert rest.endswith(":ro"), mount
            else:
                used.add(source)
    assert used == declared


def test_others_reach_it_through_loopback_only() -> None:
    """Every port is published on 127.0.0.1, and ClickHouse's is not."""
    published = [port for service in services().values() for port in service.get("ports", [])]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []
    assert "ports" not in services()["clickhouse"]
    assert compose()["networks"]["store"]["internal"] is True
    assert [name for name, service in services().items() if "store" in service.get("networks", [])] == [
        "clickhouse",
        "collector",
    ]


def test_every_part_is_watched_limited_and_started_in_order() -> None:
    """A health check, limits of memory and processors, and no wait for something that never becomes healthy."""
    checked = {name for name, service in services().items() if "healthcheck" in service}
    checked |= {name for name, service in services().items() if service["image"].startswith(IMAGE) and name != "keys"}
    assert checked == SERVICES - {"application", "keys"}, "which end by themselves; ours is checked by its image"
    assert "HEALTHCHECK" in DOCKERFILE.read_text()
    for service in services().values():
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
        assert "no-new-privileges:true" in service["security_opt"]
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert other in checked
            else:
                assert (other, wanted["condition"]) == ("keys", "service_completed_successfully")


def test_no_secret_is_in_the_open() -> None:
    """What is secret comes from a file that is not in git; whoever forgets it is told so by compose."""
    asked = re.findall(r"\$\{(\w+)([^}]*)\}", COMPOSE.read_text())
    assert asked
    assert [name for name, rest in asked if not rest.startswith(":?")] == []
    example = dict(line.split("=", 1) for line in (COLLECTOR / ".env.example").read_text().splitlines() if "=" in line)
    assert example.keys() == {name for name, _ in asked}
    assert set(example.values()) == {""}
    ignored = subprocess.run(["git", "check-ignore", "collector/.env"], cwd=ROOT, capture_output=True, check=False)
    assert ignored.returncode == 0


def test_the_collector_understands_what_it_is_given() -> None:
    """Its command, its configuration, with and without what is a comment there, and the address of its store."""
    service = services()["collector"]
    given = parse(service["command"])
    mounted = dict(mount.split(":")[:2][::-1] for mount in service["volumes"])
    path = COLLECTOR / mounted[str(given["config"])]
    assert path.resolve() == TOML
    settings = Settings(**config.read(path))
    assert str(settings.data) in mounted
    assert not settings.allow_anyone
    published = {int(port.rpartition(":")[2]) for port in service["ports"]}
    assert published == _ports(settings) - {settings.jaeger_port}
    assert f"127.0.0.1:{urlsplit(settings.jaeger_url or '').port}:16686" in services()["jaeger"]["ports"]
    assert services()["jaeger"]["environment"]["OTEL_LLM_JAEGER"] == f"collector:{settings.jaeger_port}"
    store = Store(re.sub(r"\$\{.*?\}", "secret", service["environment"]["OTEL_LLM_STORE"]))
    clickhouse = services()["clickhouse"]["environment"]
    assert (store.host, store.user, store.database) == (
        "clickhouse",
        clickhouse["CLICKHOUSE_USER"],
        clickhouse["CLICKHOUSE_DB"],
    )


def test_what_is_a_comment_in_the_collectors_configuration_is_right_too(tmp_path: Path) -> None:
    """The copy for Jaeger: its port is the one that copy.yaml listens on."""
    (tmp_path / "collector.toml").write_text(uncommented(TOML.read_text()))
    (forward,) = Settings(**config.read(tmp_path / "collector.toml")).forward
    assert (forward.url, forward.signals) == ("grpc://jaeger:4317", ("traces",))
    assert "JAEGER_OTLP_PORT:-4317" in (COLLECTOR / "jaeger" / "copy.yaml").read_text()


def test_the_image_starts_what_there_is() -> None:
    """Its command, the ports that it names, and the folder that it keeps."""
    text = DOCKERFILE.read_text()
    command = re.search(r"^CMD (\[\"up.*\])", text, re.MULTILINE)
    exposed = re.search(r"^EXPOSE (.*)", text, re.MULTILINE)
    assert command is not None
    assert exposed is not None
    given = parse(yaml.safe_load(command[1]))
    assert given["host"] == "0.0.0.0"
    assert not given["allow_anyone"]
    assert f'VOLUME ["{given["data"]}"]' in text
    assert _ports(Settings()) == set(map(int, exposed[1].split()))
    assert f":{Settings().api_port}/readyz" in text
    bases = [image for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE) if ":" in image]
    assert bases
    assert all(map(is_pinned, bases))


def test_what_the_image_copies_is_there_and_let_through() -> None:
    """Every source of COPY exists, and .dockerignore does not keep it out."""
    copied = re.findall(r"^COPY (?!--from)(.*)", DOCKERFILE.read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()[:-1]}
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sources == let_through


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("There is no hadolint.")
    done = subprocess.run([program, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_keys_are_made_once_and_again_for_a_new_data_folder(tmp_path: Path) -> None:
    """Each caller of compose finds one that the collector knows, with the scope that it needs and no more."""
    folder = tmp_path / "keys"
    assert make_keys(tmp_path / "data", folder).count("Made a key") == 4
    first = {path.parent.name: path.read_text() for path in folder.glob("*/key")}
    mounted = {mount.partition(":")[0] for service in services().values() for mount in service["volumes"]}
    assert {f"key-{name}" for name in first} <= mounted
    scopes = {key.name.rpartition("-")[0]: key.scopes for key in KeyFile(tmp_path / "data").read()}
    assert scopes == {"application": ("ingest",), "jaeger": ("read",), "prometheus": ("read",), "grafana": ("read",)}
    assert make_keys(tmp_path / "data", folder) == ""
    assert {path.parent.name: path.read_text() for path in folder.glob("*/key")} == first
    assert make_keys(tmp_path / "other", folder).count("Made a key") == 4
    assert not set(first.values()) & {path.read_text() for path in folder.glob("*/key")}
