"""The demo's stage: a collector, the scripted provider and three services, up together and down together."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from otel_llm_collector import local
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.lock import FolderLock
from otel_llm_collector.running import Running

from .processes import Processes, port

SERVICES = ("understanding", "retrieval", "web")
_COLLECTOR = "collector"
_PORTS = {"--grpc-port": 4317, "--http-port": 4318, "--api-port": 4319, "--jaeger-port": 17271}
#: Variables that would steer the SDKs or the exporter elsewhere.
_FOREIGN = ("OTEL_", "OPENAI_", "GEMINI_", "GOOGLE_")
_KEYS = ("GEMINI_API_KEY", "OPENAI_API_KEY")

#: What a collector says that cannot have a port.
_NO_PORT = "cannot listen on"

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What is up: the collector, and each service by name."""

    collector: Running
    services: Mapping[str, str]
    processes: Processes

    def seen(self) -> dict[str, float]:
        """Ask every service to send its spans, and add up what they saw."""
        total: dict[str, float] = {}
        for url in self.services.values():
            for name, count in _post(f"{url}/finish").items():
                total[name] = total.get(name, 0) + count
        return total


@contextmanager
def stage(data: Path, live: bool, say: Say) -> Iterator[Stage]:
    """Bring everything up on the data folder; what was started here is ended when the ``with`` is left."""
    if live and (missing := [key for key in _KEYS if not os.environ.get(key)]):
        raise CollectorError(f"--live needs the real providers' keys: set {' and '.join(missing)}.")
    logs = data / "demo"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        (logs / "web.log").touch()
    except OSError as error:
        raise CollectorError(f"{data} cannot be written ({error.strerror}); use another --data.") from error
    with ExitStack() as stack:
        lock = FolderLock(logs)  # two demos at once would count each other's calls
        lock.acquire()
        stack.callback(lock.release)
        processes = stack.enter_context(Processes(logs))
        running = Running.find(data)
        if running:
            say(f"Using the collector that runs already, process {running.pid}")
        else:
            running = _start_collector(processes, data, say)
        urls = {name: f"http://127.0.0.1:{port()}" for name in SERVICES}
        environment = _environment(running.http, urls, live) | _key(data)
        if not live:
            from otel_llm.testing import ScriptedProvider
            from otel_llm_demo.scripted import DemoScript

            provider = stack.enter_context(ScriptedProvider(DemoScript()))
            environment["OTEL_LLM_DEMO_OPENAI_URL"] = provider.openai_base_url
            environment["OTEL_LLM_DEMO_GEMINI_URL"] = provider.gemini_base_url
        for name, url in urls.items():
            say(f"Starting {name}")
            processes.start(name, [f"otel_llm_demo.{name}", "--port", url.rpartition(":")[2]], environment)
        for name, url in urls.items():
            say(f"Waiting for {name}")
            processes.wait_for(name, partial(_answers, f"{url}/ready"))
        yield Stage(running, urls, processes)
        say("Stopping")


def _start_collector(processes: Processes, data: Path, say: Say) -> Running:
    """A collector on the usual ports, or on any where one of those is taken, if only while it starts."""
    taken = [usual for usual in _PORTS.values() if port(usual) != usual]
    if not taken:
        say("Starting a collector")
        try:
            return _collector(processes, data, _PORTS)
        except CollectorError as error:
            if _NO_PORT not in str(error):
                raise
            say(str(error))
    say("Starting a collector on other ports" + (f"; taken: {', '.join(map(str, taken))}" if taken else ""))
    return _collector(processes, data, dict.fromkeys(_PORTS, 0))


def _collector(processes: Processes, data: Path, ports: Mapping[str, int]) -> Running:
    options = [text for option, number in ports.items() for text in (option, str(number))]
    processes.start(_COLLECTOR, ["otel_llm_collector", "up", "--data", str(data), *options], _clean())
    return processes.wait_for(_COLLECTOR, partial(Running.find, data))


def _environment(otlp: str, urls: Mapping[str, str], live: bool) -> dict[str, str]:
    keys = {key: os.environ[key] for key in _KEYS if live}
    return {
        **_clean(),
        **keys,
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=demo",
        "OTEL_LLM_DEMO_LIVE": "1" if live else "0",
        "UNDERSTANDING_URL": urls["understanding"],
        "RETRIEVAL_URL": urls["retrieval"],
        "NO_PROXY": "127.0.0.1,localhost",
    }


def _key(data: Path) -> dict[str, str]:
    """The key that the services send, for a collector that asks for one."""
    shown = local.headers(data)
    return (
        {"OTEL_EXPORTER_OTLP_HEADERS": ",".join(f"{name}={secret}" for name, secret in shown.items())} if shown else {}
    )


def _clean() -> dict[str, str]:
    """This process's environment without what would lead the demo astray."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - loopback, http
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _post(url: str) -> dict[str, float]:
    request = urllib.request.Request(url, data=b"", method="POST")  # noqa: S310 - loopback, http
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback, http
            counts: dict[str, float] = json.load(response)
            return counts
    except OSError as error:
        raise CollectorError(f"A service of the demo does not answer at {url}: {error}") from error
