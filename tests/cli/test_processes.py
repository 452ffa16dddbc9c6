"""Processes that the demo starts: ready, failed, interrupted, ended; and ports."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from otel_llm_collector.cli import stage
from otel_llm_collector.cli.processes import Processes, port
from otel_llm_collector.errors import CollectorError


def test_a_process_that_ends_while_it_starts_says_why(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("web", ["no_such_module_anywhere"], os.environ)
        with pytest.raises(CollectorError, match=r"web ended while it started: .*No module named no_such_module"):
            processes.wait_for("web", lambda: False)
        assert processes.ended() == ["web"]


def test_processes_are_ended_when_the_block_is_left(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number = probe.getsockname()[1]
        processes.start("server", ["http.server", "--bind", "127.0.0.1", str(number)], os.environ)
        processes.wait_for("server", lambda: _listens(number))
        assert processes.ended() == []
    assert not _listens(number)


def test_an_interrupt_while_they_end_leaves_none(tmp_path: Path) -> None:
    """Impatience kills: one that does not listen to SIGTERM, and those that were not told yet."""
    (tmp_path / "stubborn.py").write_text(
        "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    processes = Processes(tmp_path)
    names = ("one", "two", "three")
    for name in names:
        processes.start(name, ["stubborn"], {**os.environ, "PYTHONPATH": str(tmp_path)})
    for name in names:
        processes.wait_for(name, (tmp_path / f"{name}.log").read_text)
    children = list(processes._children.values())
    impatient = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    impatient.start()
    with pytest.raises(KeyboardInterrupt):
        processes.stop()
    impatient.join()
    assert [child.returncode for child in children] == [-signal.SIGKILL] * 3


def test_a_port_that_is_taken_between_the_look_and_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other ports are used, and it is said."""
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        monkeypatch.setattr(
            stage, "_PORTS", {"--grpc-port": number, "--http-port": 0, "--api-port": 0, "--jaeger-port": 0}
        )
        monkeypatch.setattr(stage, "port", lambda preferred: preferred)
        with Processes(tmp_path) as processes:
            running = stage._start_collector(processes, tmp_path, said.append)
    assert not running.grpc.endswith(f":{number}")
    assert said[0] == "Starting a collector"
    assert f"OTLP/gRPC cannot listen on 127.0.0.1:{number}" in said[1]
    assert said[2] == "Starting a collector on other ports"


def test_a_port_that_is_taken_is_replaced() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert port(number) not in (number, 0)
    assert port(number) == number


def _listens(number: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", number)) == 0
