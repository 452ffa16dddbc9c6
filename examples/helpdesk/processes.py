"""The four processes of the help desk, up together and down together."""

from __future__ import annotations

import os
import random
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from helpdesk.job_queue import JobQueue
from otel_llm_collector import local
from otel_llm_collector.cli.processes import Processes, port
from otel_llm_collector.running import Running

SERVICES = ("tickets", "answers", "gateway")
WORKER = "worker"

#: Ports that no system gives away by itself while a service starts.
_PORTS = range(20_000, 30_000)


class HelpDesk:
    """What runs; ``gateway`` is the address that customers know."""

    def __init__(self, processes: Processes, environment: Mapping[str, str], urls: Mapping[str, str]) -> None:
        self.processes = processes
        self.gateway = urls["gateway"]
        self._environment = environment
        self._urls = urls
        self._queue = JobQueue(Path(environment["QUEUE_FILE"]))

    def start(self, *names: str) -> None:
        """Start processes, and wait until those of them that are services answer."""
        for name in names:
            self.processes.start(name, [f"helpdesk.{name}"], self._environment)
        for name in names:
            if name in self._urls:
                self.processes.wait_for(name, partial(_listens, self._urls[name]))

    def wait_for_worker(self) -> None:
        """Return when every ticket has been summed up."""
        while self._queue.waiting("tickets"):
            time.sleep(0.05)


@contextmanager
def help_desk(folder: Path, variables: Mapping[str, str]) -> Iterator[HelpDesk]:
    """The help desk; its log files and its queue are in ``folder``.

    ``variables`` are more of the processes' environment: where telemetry goes (``OTEL_…``), and those of the SDKs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ports = map(port, random.sample(_PORTS, len(SERVICES)))
    urls = {name: f"http://127.0.0.1:{number}" for name, number in zip(SERVICES, ports, strict=True)}
    environment = {
        **os.environ,
        **{f"{name.upper()}_URL": url for name, url in urls.items()},
        "QUEUE_FILE": str(folder / "queue.sqlite"),
        "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
        **variables,
    }
    with Processes(folder) as processes:
        desk = HelpDesk(processes, environment, urls)
        desk.start(*SERVICES, WORKER)
        yield desk


def telemetry(data: Path, collector: Running) -> dict[str, str]:
    """The variables that lead telemetry to the collector of a data folder on this machine."""
    headers = ",".join(f"{name}={secret}" for name, secret in local.headers(data).items())
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http,
        "OTEL_LOGS_EXPORTER": "otlp",
        **({"OTEL_EXPORTER_OTLP_HEADERS": headers} if headers else {}),
    }


def _listens(url: str) -> bool:
    """Whether a service is up; nothing is asked of it, for that would be a trace."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 80), timeout=2).close()
    except OSError:
        return False
    return True
