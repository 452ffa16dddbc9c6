"""The real peers, in environments of their own: a call is one span with a cost, whoever else is active.

Not part of the default suite, for it needs a package index and minutes: ``uv run pytest tests/peers/checks.py``.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from benchmarks.support.environments import Peer
from otel_llm.testing import ScriptedProvider
from tests.peers import environments as e
from tests.support.receiver import Receiver

by_key = {"ids": lambda peer: peer.key}
#: A and a are otel_llm on and off, B and b the peer.
ORDERS = ("AaBb", "ABab", "ABba", "BbAa", "BAba", "BAab")


def _recorded(turn: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {call: [span["scope"] for span in spans] for call, spans in turn.items()}


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What each peer records without otel_llm, turned on and off."""
    return {peer.key: e.run(peer, "instrumentations", {"peer": peer.key, "turns": "Bb"}) for peer in e.INSTRUMENTATIONS}


@pytest.mark.parametrize("peer", e.INSTRUMENTATIONS, **by_key)
@pytest.mark.parametrize("turns", ORDERS)
def test_one_span_in_all_orders(turns: str, peer: Peer, alone: dict[str, Any]) -> None:
    """While otel_llm is on, each call is its span, with a cost; else the peer records as it does alone."""
    found = e.run(peer, "instrumentations", {"peer": peer.key, "turns": turns})
    on = set()
    with_peer, without_peer = map(_recorded, alone[peer.key]["turns"])
    behind, together = False, False  # some leave patches behind when they are turned off
    for turn, recorded in zip(turns, found["turns"], strict=True):
        on = on | {turn} if turn.isupper() else on - {turn.upper()}
        if "A" in on:
            together = together or "B" in on or behind
            spans = {call: [(span["scope"], span["cost"]) for span in spans] for call, spans in recorded.items()}
            assert spans == {call: [("otel_llm", "priced")] for call in recorded}, turn
        elif "B" in on:
            assert _recorded(recorded) == with_peer, turn
        else:
            behind = any(recorded.values())
            assert not behind or _recorded(recorded) == without_peer, turn
    said = [sentence for sentence in found["said"] if "passed by" in sentence or "patched the client" in sentence]
    assert bool(said) is together
    assert len(said) == len(set(said)) <= 3


@pytest.mark.parametrize("peer", e.FRAMEWORKS, **by_key)
def test_one_span_below_a_framework(peer: Peer) -> None:
    """The framework's span of the call is adopted: none of ours beside it, and it has a cost."""
    found = e.run(peer, "frameworks", peer.key)
    for call, spans in found["calls"].items():
        models = [span for span in spans if span["operation"] in ("chat", "generate_content", "text_completion")]
        assert [(span["scope"] != "otel_llm", span["cost"]) for span in models] == [(True, "priced")], call
    assert sum("records model calls too" in sentence for sentence in found["said"]) == 1


# Servers --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where spans arrive."""
    with Receiver() as receiver:
        yield receiver


@contextmanager
def _started(receiver: Receiver, tmp_path: Path, *command: str, **variables: str) -> Iterator[Path]:
    """A server in its environment, ended as a supervisor does it; gives what it says, as a file."""
    said = tmp_path / "said.txt"
    with ScriptedProvider() as provider, said.open("w") as out:
        environ = e.settings(tmp_path, BASE_URL=provider.openai_base_url, **receiver.variables, **variables)
        server = subprocess.Popen([str(e.python(e.SERVERS)), "-m", *command], env=environ, cwd=tmp_path, stderr=out)
        try:
            yield said
        finally:
            server.terminate()
            assert server.wait(60) == 0, said.read_text()


def _until(done: Callable[[], Any]) -> Any:
    """What there is once it is there, within a minute."""
    deadline = time.monotonic() + 60
    while not (found := done()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("preload", [True, False])
def test_gunicorns_workers_send_their_own_spans(preload: bool, receiver: Receiver, tmp_path: Path) -> None:
    """Whether the application is imported before the fork or after it; all is sent when the server is stopped."""
    command = ["gunicorn", "tests.peers.web:app", "--workers", "2", "--bind", "127.0.0.1:0"]
    variables = {"ASK_FIRST": "1"} if preload else {}
    workers: set[bytes] = set()
    asked = 0
    with _started(receiver, tmp_path, *command, *["--preload"] * preload, **variables) as said:
        (address,) = _until(lambda: re.findall(r"http://[0-9.:]+", said.read_text()))
        while len(workers) < 2 or asked < 10:
            with urlopen(f"{address}/{asked}") as answer:
                workers.add(answer.read())
            asked += 1
    found = Counter(span["user.id"] for span in receiver.spans())
    assert found == {f"/{number}": 1 for number in range(asked)} | ({"import": 1} if preload else {})
    assert len({span["id"] for span in receiver.spans()}) == sum(found.values())


def test_celerys_workers_send_before_they_end(receiver: Receiver, tmp_path: Path) -> None:
    """Workers of the pool end by ``os._exit``, after a signal that they are about to."""
    folders = tmp_path / "folders"
    folders.mkdir()
    who = [f"task {number}" for number in range(6)]
    variables = {"FOLDERS": str(folders), "ASK_FIRST": "1"}
    command = ["celery", "-A", "tests.peers.tasks", "worker", "--concurrency", "2", "--pool", "prefork"]
    with _started(receiver, tmp_path, *command, "--loglevel", "error", "--without-gossip", **variables):
        with ScriptedProvider() as provider:
            environ = e.settings(tmp_path, BASE_URL=provider.openai_base_url, OTEL_TRACES_EXPORTER="none", **variables)
            sending = [str(e.python(e.SERVERS)), "-m", "tests.peers.tasks", *who]
            subprocess.run(sending, env=environ, cwd=tmp_path, check=True)
        _until(lambda: len(list(folders.glob("done *"))) == len(who))
    found = Counter(span["user.id"] for span in receiver.spans())
    assert found == {"import": 1} | dict.fromkeys(who, 1)


def test_billiards_processes_send_before_they_end(receiver: Receiver, tmp_path: Path) -> None:
    """Those of Celery's fork of multiprocessing that are no workers of a pool."""
    program = (
        "from tests.peers.web import ask; import billiard\n"
        "child = billiard.Process(target=ask, args=('child',)); child.start(); child.join()"
    )
    with ScriptedProvider() as provider:
        environ = e.settings(tmp_path, BASE_URL=provider.openai_base_url, **receiver.variables)
        subprocess.run([str(e.python(e.SERVERS)), "-c", program], env=environ, cwd=tmp_path, check=True)
    assert [span["user.id"] for span in receiver.spans()] == ["child"]


def test_the_command_with_its_distribution(receiver: Receiver, tmp_path: Path) -> None:
    """``opentelemetry-instrument`` sets up its providers and loads others too: one span, and none set up twice."""
    program = "from tests.peers.web import ask; ask('x')"
    python = e.python(e.DISTRO)
    with ScriptedProvider() as provider:
        environ = e.settings(tmp_path, BASE_URL=provider.openai_base_url, **receiver.variables)
        run = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"  # what the command does
        command = [str(python), "-c", run, str(python), "-c", program]
        done = subprocess.run(command, env=environ, cwd=tmp_path, check=True, capture_output=True, text=True)
    (span,) = receiver.spans()
    assert (span["scope"], span["user.id"]) == ("otel_llm", "x")
    assert "telemetry.auto.version" in span["resource"]
    assert "opentelemetry-instrumentation-genai-openai has patched" in done.stderr
    assert "Overriding" not in done.stderr
