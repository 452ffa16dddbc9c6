"""A collector for scripts and notebooks: found on this machine, or started in the background on ``./.otel-llm``."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from otel_llm.errors import ConfigError

logger = logging.getLogger("otel_llm")

#: What comes of asking something that is not a collector.
_NO_COLLECTOR = (OSError, HTTPException, ValueError, TypeError, KeyError)

FOLDER = Path(".otel-llm")
DEFAULT = "http://127.0.0.1:4318"

#: Seconds that a collector may take to start.
START = 30.0


def collector(folder: Path = FOLDER) -> str:
    """The address of a collector's OTLP/HTTP port: the one on ``folder``, else the default port's, else a new one.

    Raises :class:`~otel_llm.errors.ConfigError` where none runs and none can be started.
    """
    return running(folder) or (DEFAULT if _answers(DEFAULT) else None) or _start(folder)


def running(folder: Path) -> str | None:
    """The address of the collector that works on ``folder``: of the one that its file names, where that answers."""
    try:
        said: dict[str, Any] = json.loads((folder / "collector.json").read_text())
        status = _get(f"{said['api']}/v1/status")
        return str(said["http"]) if (status["pid"], status["started"]) == (said["pid"], said["started"]) else None
    except _NO_COLLECTOR:
        return None


def _answers(address: str) -> bool:
    """Whether an otel-llm collector answers there."""
    try:
        return bool(_get(f"{address}/")["service"] == "otel-llm")
    except _NO_COLLECTOR:
        return False


def _get(url: str) -> Any:
    """The JSON that a collector on this machine answers with."""
    if not url.startswith("http://"):
        raise ValueError(f"{url} is not the address of a collector.")
    with urllib.request.urlopen(url, timeout=1.0) as answer:  # noqa: S310 - checked above
        return json.load(answer)


#: The usual ports, by the options that say others.
_PORTS = {"--grpc-port": 4317, "--http-port": 4318, "--api-port": 4319, "--jaeger-port": 17271}


def _ports() -> list[str]:
    """The usual ports where they are free, else any."""
    options = []
    for option, port in _PORTS.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                port = 0
        options += [option, str(port)]
    return options


def _start(folder: Path) -> str:
    if importlib.util.find_spec("chdb") is None:
        raise ConfigError(
            "No collector runs on this machine and none can be started: pip install 'otel-llm[collector]'."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        log = (folder / "collector.log").open("ab")
    except OSError as error:
        raise ConfigError(f"A collector cannot be started: {folder} is not writable ({error.strerror}).") from error
    with log:
        process = subprocess.Popen(
            [sys.executable, "-m", "otel_llm_collector", "up", "--data", str(folder), *_ports()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not name.startswith("OTEL_")},
        )
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        if (address := running(folder)) is not None:
            logger.warning(
                "Started a collector in the background (pid %d) on %s. See the calls with: otel-llm calls --data %s",
                process.pid, folder, folder,
            )  # fmt: skip
            return address
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise ConfigError(f"The collector did not start; {folder / 'collector.log'} says why.")
