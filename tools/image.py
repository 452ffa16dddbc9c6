"""What collector/Dockerfile does, without Docker: installs what it installs, from what it copies, and runs it.

    uv run python tools/image.py

The steps of the build that use uv are run as they are written, in a folder that has only what COPY brings; then the
collector is started with the image's command and asked with the image's health check, and the application of compose
sends to it. Only places differ: folders, ports, loopback for every address, and this machine's Python. It takes a
minute, and network where uv's cache is empty.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "collector" / "Dockerfile").read_text()
BUILDS = ("build", "build-application")
INSTALLED = "/opt/otel-llm"
DATA = "/var/lib/otel-llm"
PATIENCE_S = 120.0
QUESTION = "SELECT uniqExact(ServiceName) FROM otel_traces"


def main() -> None:
    """Builds, starts, asks, and says what it came to."""
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for stage in BUILDS:
            _build(stage, work)
            print(f"{stage}: {_megabytes(work / 'installed')} MB installed", flush=True)
        _run(work)


def _stage(name: str) -> str:
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert found, f"There is no stage {name}."
    return found[1].replace("\\\n", " ")


def _build(stage: str, work: Path) -> None:
    """The steps of a stage, in order: COPY, and RUN of uv itself."""
    source = work / "source"
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    for name, value in re.findall(r"(UV_\w+)=(\S+)", _stage(BUILDS[0])):
        if name != "UV_NO_CACHE":
            environment[name] = value.replace(INSTALLED, str(work / "installed"))
    environment["UV_PYTHON"] = sys.executable
    for step, text in re.findall(r"^(COPY|RUN) (.*)", _stage(stage), re.MULTILINE):
        if step == "COPY":
            *files, where = text.split()
            for file in files:
                _copy(ROOT / file, source / where / Path(file).name if where.endswith("/") else source / where)
        elif text.startswith("uv "):
            subprocess.run(text.split(), cwd=source, env=environment, check=True, stderr=subprocess.DEVNULL)


def _copy(file: Path, where: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    if file.is_dir():
        shutil.copytree(file, where, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(file, where)


def _run(work: Path) -> None:
    """The collector with keys, its health check, the application, and a stop of each."""
    programs = work / "installed" / "bin"
    data = work / "data"
    key = subprocess.run(
        [programs / "otel-llm", "keys", "create", "application", "--data", data],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (work / "key").write_text(key.strip())
    collector = subprocess.Popen([programs / "otel-llm", *_command("collector", data)], stdout=subprocess.DEVNULL)
    try:
        where = _when(lambda: _read(data / "collector.json"))
        _, *check = _array("HEALTHCHECK", "collector")
        check = [str(programs / "python"), *(part.replace("http://127.0.0.1:4319", where["api"]) for part in check)]
        _when(lambda: subprocess.run(check, capture_output=True).returncode == 0)
        print(f"The collector is healthy; its process has {_resident(collector.pid)} MB.", flush=True)
        _play(work, where["http"], data)
    finally:
        collector.send_signal(signal.SIGTERM)
        print(f"The collector has ended with {collector.wait(PATIENCE_S)}.")


def _play(work: Path, endpoint: str, data: Path) -> None:
    """The application, until the store has spans of all its services."""
    for file in re.findall(r"^COPY (?!--from)(\S+)", _stage("application"), re.MULTILINE):
        _copy(ROOT / file, work / "application" / Path(file).name)
    programs = work / "installed" / "bin"
    python, script = _array("CMD", "application")
    environment = {
        "PATH": os.environ["PATH"],
        "HELPDESK": str(work / "helpdesk"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_LLM_KEY_FILE": str(work / "key"),
    }
    application = subprocess.Popen(
        [programs / python, script], cwd=work / "application", env=environment, stderr=subprocess.DEVNULL
    )
    ask = [str(programs / "otel-llm"), "sql", QUESTION, "--format", "tsv", "--data", str(data)]
    try:
        _when(lambda: subprocess.run(ask, capture_output=True, text=True).stdout.strip().endswith("4"))
        print("Three services and a worker have sent to it.", flush=True)
    finally:
        application.send_signal(signal.SIGTERM)
        print(f"The application has ended with {application.wait(PATIENCE_S)}.")


def _array(instruction: str, stage: str) -> list[str]:
    found = re.search(rf"^{instruction} .*?(\[.*\])", _stage(stage), re.MULTILINE)
    assert found, f"The stage {stage} has no {instruction}."
    array: list[str] = json.loads(found[1])
    return array


def _command(stage: str, data: Path) -> list[str]:
    """The command of a stage, on loopback, on any ports."""
    here = {DATA: str(data), "0.0.0.0": "127.0.0.1"}
    ports = [text for name in ("grpc", "http", "api", "jaeger") for text in (f"--{name}-port", "0")]
    return [here.get(part, part) for part in _array("CMD", stage)] + ports


def _read(path: Path) -> dict[str, str] | None:
    return json.loads(path.read_text()) if path.exists() else None


def _when(found: Callable[[], T | None]) -> T:
    """What is found, once it is; the end of it all where that takes too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := found()):
        if time.monotonic() > deadline:
            sys.exit("It did not come.")
        time.sleep(0.2)
    return answer


def _megabytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink()) >> 20


def _resident(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) >> 10 if found else 0


if __name__ == "__main__":
    main()
