"""Collectors for tests, each in a process of its own: the embedded engine takes one path a process."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from otel_llm_collector.client import Reader
from otel_llm_collector.running import Running

ROOT = Path(__file__).parents[2]
START_S = 60.0


class Handle:
    """A collector that runs; ``http``, ``grpc`` and ``api`` are its URLs."""

    def __init__(self, data: Path, process: subprocess.Popen[str], running: Running) -> None:
        self.data = data
        self.process = process
        self.pid = running.pid
        self.http = running.http
        self.grpc = running.grpc
        self.api = running.api
        self.jaeger = running.jaeger

    def query(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """The rows of a question, through the collector."""
        with Reader.open(self.data) as reader:
            return reader.query(sql, parameters)

    def flush(self) -> None:
        """Wait until everything acknowledged can be queried."""
        with Reader.open(self.data) as reader:
            reader.flush()

    def status(self) -> dict[str, Any]:
        """What ``GET /v1/status`` says."""
        answer: dict[str, Any] = json.loads(get(self.api + "/v1/status")[1])
        return answer

    def stop(self) -> int:
        """SIGTERM, and wait until it has drained; the exit code."""
        self.process.terminate()
        return self._ended()

    def kill(self) -> int:
        """SIGKILL."""
        self.process.kill()
        return self._ended()

    def _ended(self) -> int:
        self.process.communicate(timeout=START_S)
        return self.process.returncode


def start_collector(data: Path, **options: Any) -> Handle:
    """Start a collector on ``data`` with any of its settings, on free ports, and wait until it listens."""
    process = launch(data, **options)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        running = Running.find(data)
        if running is not None and running.pid == process.pid:
            return Handle(data, process, running)
        if process.poll() is not None:
            break
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"The collector did not start: {process.communicate()[1]}")


def launch(data: Path, **options: Any) -> subprocess.Popen[str]:
    """Start a collector without waiting; its complaints are on stderr."""
    settings = {"grpc_port": 0, "http_port": 0, "api_port": 0, "jaeger_port": 0, **options, "data": str(data)}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.serve", json.dumps(settings)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def get(url: str) -> tuple[int, bytes]:
    """The status and body of a GET."""
    return send("GET", url, b"")[::2]


def send(
    method: str, url: str, body: bytes, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body that a request is answered with; error statuses are answers too."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request(
            method, f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/", body, headers or {}
        )
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()
    finally:
        connection.close()
