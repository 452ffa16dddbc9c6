"""``collector/kubernetes``: against Kubernetes' own schemas, against each other, and against our settings."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from otel_llm_collector import config
from otel_llm_collector.settings import Settings
from tests.support.deployment import COLLECTOR, IMAGE, KUBERNETES, ROOT, documents, is_pinned, parse, variables

VERSION = "1.33"
"""The oldest that the manifests are checked against, strictly: no field that it does not know."""
OBJECTS = [(path, found) for path, found in documents(KUBERNETES)]
WORKLOADS = [found for _, found in OBJECTS if found["kind"] in ("StatefulSet", "Deployment")]
ROOTS = [KUBERNETES, KUBERNETES / "gateway", KUBERNETES / "gateway-to-collector"]
DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()


def _name(found: dict[str, Any]) -> str:
    return f"{found['kind']}/{found['metadata']['name']}"


def _pod(workload: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = workload["spec"]["template"]["spec"]
    return pod


def _workload(name: str) -> dict[str, Any]:
    (found,) = (workload for workload in WORKLOADS if workload["metadata"]["name"] == name)
    return found


@pytest.mark.parametrize("found", [found for _, found in OBJECTS], ids=_name)
def test_kubernetes_knows_every_field(found: dict[str, Any]) -> None:
    kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_kustomize_builds_it(root: Path) -> None:
    """As ``kubectl apply -k`` does; what comes out is what Kubernetes knows, too."""
    if shutil.which("kubectl") is None:
        pytest.skip("There is no kubectl.")
    done = subprocess.run(["kubectl", "kustomize", str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    built = list(yaml.safe_load_all(done.stdout))
    for found in built:
        kubernetes_validate.validate(found, VERSION, strict=True)
        assert found["metadata"].get("namespace", "otel-llm") == "otel-llm"
    maps = {found["metadata"]["name"] for found in built if found["kind"] == "ConfigMap"}
    for workload in (found for found in built if found["kind"] in ("StatefulSet", "Deployment")):
        used = {volume["configMap"]["name"] for volume in _pod(workload)["volumes"] if "configMap" in volume}
        assert used <= maps | {"otelcol"}, "otelcol is made by a command of docs/deployment.md"


def test_every_file_is_part_of_something() -> None:
    """What a kustomization names exists, and every file is named by one."""
    named: set[Path] = set()
    for path in [*KUBERNETES.rglob("kustomization.yaml"), COLLECTOR / "jaeger" / "kustomization.yaml"]:
        found = yaml.safe_load(path.read_text())
        files = [file for generator in found.get("configMapGenerator", []) for file in generator["files"]]
        patches = [patch["path"] for patch in found.get("patches", [])]
        for name in [*found.get("resources", []), *files, *patches]:
            assert (path.parent / name).exists(), f"{path}: {name}"
            named.add((path.parent / name).resolve())
    assert {path for path in KUBERNETES.rglob("*.*") if path.name != "kustomization.yaml"} <= named


def test_everything_is_as_confined_as_the_namespace_asks() -> None:
    """The restricted profile of the pod security standards, which the namespace enforces; limits; no account."""
    assert WORKLOADS
    for workload in WORKLOADS:
        pod = _pod(workload)
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}
            assert is_pinned(container["image"]) or container["image"] == IMAGE
        for container in pod["containers"]:
            assert {"livenessProbe", "readinessProbe"} <= container.keys()


def test_what_is_mounted_is_there_and_what_is_there_is_mounted() -> None:
    for workload in WORKLOADS:
        pod = _pod(workload)
        claims = workload["spec"].get("volumeClaimTemplates", [])
        volumes = {volume["name"] for volume in pod["volumes"]} | {claim["metadata"]["name"] for claim in claims}
        containers = [*pod["containers"], *pod.get("initContainers", [])]
        assert {mount["name"] for container in containers for mount in container["volumeMounts"]} == volumes


def test_services_policies_and_budgets_choose_the_pods_that_they_mean() -> None:
    """By the labels that the pods have; their ports are ports of the containers."""
    for workload in WORKLOADS:
        name, labels = workload["metadata"]["name"], workload["spec"]["template"]["metadata"]["labels"]
        ports = {port["name"] for port in _pod(workload)["containers"][0]["ports"]}
        chosen = {"app.kubernetes.io/name": name}
        assert workload["spec"]["selector"]["matchLabels"] == chosen
        assert chosen.items() <= labels.items()
        mine = {found["kind"]: found["spec"] for _, found in OBJECTS if found["metadata"]["name"] == name}
        assert mine["Service"]["selector"] == chosen
        assert {port["targetPort"] for port in mine["Service"]["ports"]} <= ports
        assert mine["NetworkPolicy"]["podSelector"]["matchLabels"] == chosen
        assert {port["port"] for rule in mine["NetworkPolicy"]["ingress"] for port in rule["ports"]} <= ports
        if workload["kind"] == "StatefulSet":
            assert mine["PodDisruptionBudget"]["selector"]["matchLabels"] == chosen
            assert workload["spec"]["serviceName"] == name
        for container in _pod(workload)["containers"]:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container.get(probe, {"httpGet": {"port": next(iter(ports))}})["httpGet"]["port"] in ports


def test_secrets_are_made_by_commands_that_the_document_shows() -> None:
    """None is in a file; each that a pod uses, and the ConfigMap of the gateway, is in docs/deployment.md."""
    assert [path for path, found in OBJECTS if found["kind"] == "Secret"] == []
    text = "".join(path.read_text() for path in KUBERNETES.rglob("*.yaml"))
    used = set(re.findall(r"secretName: ([\w-]+)|secretKeyRef: \{ name: ([\w-]+)", text))
    names = {name for pair in used for name in pair if name}
    assert len(names) == 6
    assert [name for name in names if f"create secret generic {name}" not in DOCUMENT] == []
    assert "create configmap otelcol --from-file=collector/otelcol.yaml" in DOCUMENT


def test_the_collector_understands_what_it_is_given() -> None:
    """Its command, its configuration, its folder, its ports and where its probes ask."""
    workload = _workload("otel-llm-collector")
    (container,) = _pod(workload)["containers"]
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    given = parse(container["args"])
    assert mounts[str(given["config"])]["subPath"] == "collector.toml"
    settings = Settings(**config.read(KUBERNETES / "collector" / "collector.toml"))
    assert mounts[str(settings.data)]["name"] == "data"
    assert not settings.allow_anyone
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {
        "otlp-grpc": settings.grpc_port,
        "otlp-http": settings.http_port,
        "api": settings.api_port,
        "jaeger": settings.jaeger_port,
    }
    (keys,) = _pod(workload)["initContainers"]
    assert keys["command"][-1] == f"{settings.data}/keys.json"
    assert Path(keys["command"][-2]).parent.as_posix() in mounts
    assert [variable["name"] for variable in container["env"]] == ["OTEL_LLM_STORE"]


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("jaeger", [COLLECTOR / "jaeger" / "jaeger.yaml"]),
        ("otelcol", [COLLECTOR / "otelcol.yaml", KUBERNETES / "gateway" / "exposed.yaml"]),
    ],
)
def test_configurations_read_the_variables_that_are_set(name: str, files: list[Path]) -> None:
    """All that are set, but Go's own and those of the OpenTelemetry SDK, are read by a configuration."""
    (container,) = _pod(_workload(name))["containers"]
    given = {variable["name"] for variable in container["env"]} - {"GOMEMLIMIT", "OTEL_TRACES_SAMPLER"}
    assert given <= set().union(*map(variables, files))
    files_given = [argument.rpartition("=")[2] for argument in container["args"] if argument.endswith(".yaml")]
    assert [Path(file).name for file in files_given] == [file.name for file in files]
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {Path(file).parent.as_posix() for file in files_given} <= mounts
