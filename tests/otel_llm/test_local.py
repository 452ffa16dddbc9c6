"""``instrument(local=True)``: a collector found or started, for a script on a machine where nothing is set up."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from otel_llm import local
from otel_llm.errors import ConfigError
from otel_llm.testing import ScriptedProvider
from tests.otel_llm.test_setting_up import CALL, run

#: The usual port is left alone, whatever listens there on the machine that tests.
SCRIPT = (
    "import otel_llm.local; otel_llm.local.DEFAULT = 'http://127.0.0.1:9'; otel_llm.instrument(local=True)\n" + CALL
)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_script_starts_a_collector_and_the_next_one_finds_it(tmp_path: Path) -> None:
    """Two runs, one collector; both calls are in the store, and stay there when the collector has ended."""
    with ScriptedProvider() as provider:
        script = f"URL = {provider.openai_base_url!r}\n" + SCRIPT
        first = run(script, tmp_path)
        state = json.loads((tmp_path / ".otel-llm" / "collector.json").read_text())
        try:
            second = run(script, tmp_path)
        finally:
            os.kill(state["pid"], signal.SIGTERM)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert f"Started a collector in the background (pid {state['pid']}) on .otel-llm." in first.stderr
    assert "otel-llm calls" in first.stderr
    assert second.stderr == ""
    deadline = time.monotonic() + 30
    while not _gone(state["pid"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    asked = subprocess.run(
        [sys.executable, "-m", "otel_llm_collector", "sql", "SELECT provider, request_model FROM llm_calls",
         "--data", str(tmp_path / ".otel-llm"), "--format", "csv"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert asked.stdout.splitlines()[1:] == ['"openai","gpt-5-mini"'] * 2


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigError, match=r"A collector cannot be started: .*folder is not writable"):
        local._start(tmp_path / "taken" / "folder")


@pytest.mark.parametrize("answer", [b"not http\n", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"])
def test_a_port_that_is_somebody_elses_by_now_is_not_taken(answer: bytes, tmp_path: Path) -> None:
    """collector.json outlives a killed collector; what listens there is asked whether it is that one."""

    class Other(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(answer)

    with socketserver.TCPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        said = {"pid": 1, "started": "then", "http": address, "api": address}
        (tmp_path / "collector.json").write_text(json.dumps(said))
        assert local.running(tmp_path) is None
        assert not local._answers(address)
        server.shutdown()
