"""Processes that the demo starts: ready, failed, ended; and ports."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

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
