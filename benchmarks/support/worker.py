"""Runs in a peer's environment: instruments the SDKs and does what it is asked, one line of JSON for each question.

The first line says what to measure. The SDKs are imported once; each configuration is a fork of this process, so that
what a peer keeps in global state is its own. Only one of them ever works at a time. Nothing may leave the machine:
connections and look-ups of anything but loopback are refused, and reported.
"""

from __future__ import annotations

import gc
import importlib.metadata
import json
import logging
import multiprocessing
import os
import sys
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from . import transport as t
from .adapters import ADAPTERS, CONTENT, PROMPT, NotOffered, Telemetry
from .calls import BY_NAME, CALLS, Call
from .matrix import behaviour
from .record import contents
from .toggle import Toggle, preload

VERSIONS = ("openai", "google-genai", "opentelemetry-sdk", "pydantic")
_refused: list[str] = []


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses whatever would leave this machine."""
    if event == "socket.connect":
        host = arguments[1][0] if isinstance(arguments[1], tuple) else "localhost"
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in ("127.0.0.1", "::1", "localhost"):
        _refused.append(str(host))
        raise PermissionError(f"{host} is not on this machine")


class Subject:
    """One configuration of a peer, in a process of its own."""

    def __init__(self, peer: str, configuration: str, answers: t.Answers, folder: Path) -> None:
        self.telemetry = Telemetry(peer, CONTENT if configuration == "matrix" else configuration, folder)
        self.clients = t.clients(t.transport(answers, by_event=configuration == "matrix"))
        toggle = Toggle()
        ADAPTERS[peer](self.telemetry)
        toggle.seal()
        self.toggle = toggle

    def do(self, question: dict[str, Any]) -> Any:
        """The answer to a question."""
        if question["do"] == "matrix":
            return behaviour(self.clients, self.telemetry)
        call = BY_NAME[question["call"]]
        return self.measure(call, question["pairs"]) if question["do"] == "measure" else self.look(call)

    def measure(self, call: Call, pairs: int) -> dict[str, list[float]]:
        """CPU microseconds of a bare call, and what the instrumented one took more, in pairs one after the other."""
        bare, added = [], []
        gc.collect()
        gc.disable()
        self._cpu(call, 1)  # other processes have had the caches
        for number in range(pairs):
            figures = {}
            for instrumented in (False, True) if number % 2 else (True, False):
                self.toggle.set(instrumented)
                if not call.chunks:
                    self._cpu(call, 1)
                figures[instrumented] = self._cpu(call, call.batch)
            bare.append(figures[False])
            added.append(figures[True] - figures[False])
        gc.enable()
        return {"bare": bare, "added": added}

    def _cpu(self, call: Call, count: int) -> float:
        """CPU microseconds of this thread for a call, without what it takes to make its text."""
        make, clients, spent = call.make, self.clients, 0
        for _ in range(count):
            text = self.telemetry.text()
            started = time.thread_time_ns()
            make(clients, text)
            spent += time.thread_time_ns() - started
        return spent / count / 1000

    def look(self, call: Call) -> dict[str, Any]:
        """What the spans of one call hold, and how many there are when the bare methods are in place."""
        found = {}
        for instrumented in (False, True):
            self.toggle.set(instrumented)
            self.telemetry.flush()
            self.telemetry.sink.keeping = True
            call.make(self.clients, text := self.telemetry.text())
            self.telemetry.flush()
            found[instrumented] = self.telemetry.sink.spans
            self.telemetry.sink.keeping, self.telemetry.sink.spans = False, []
        return {"bare_spans": len(found[False]), **contents(found[True], call, text, PROMPT)}


def serve(connection: Connection, peer: str, configuration: str, answers: t.Answers, folder: Path) -> None:
    """Answers questions until there are no more; the first answer says whether the peer could be turned on."""
    folder.mkdir()
    try:
        subject = Subject(peer, configuration, answers, folder)
    except NotOffered as reason:
        connection.send({"error": str(reason)})
        return
    except Exception as error:
        traceback.print_exc()
        connection.send({"error": f"{type(error).__name__}: {error}"})
        return
    gc.collect()
    gc.freeze()
    connection.send({"patched": len(subject.toggle.sites), "refused": sorted(set(_refused))})
    parent = os.getppid()
    while parent == os.getppid():
        if connection.poll(1.0):
            try:
                answer: Any = {"answer": subject.do(connection.recv())}
            except EOFError:
                return
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            connection.send({**answer, "refused": sorted(set(_refused))})


def main(questions: TextIO, answers: TextIO) -> None:
    """Forks a subject for each configuration and hands questions and answers on."""

    def say(what: Any) -> None:
        print(json.dumps(what), file=answers, flush=True)

    task = json.loads(questions.readline())
    clients = t.clients(t.transport(task["answers"]))
    preload()
    for call in CALLS:
        call.make(clients, "hi")
    gc.freeze()
    fork = multiprocessing.get_context("fork")
    subjects: dict[str, Connection] = {}
    ready = {}
    for configuration in task["configurations"]:
        here, there = fork.Pipe()
        folder = Path(task["folder"]) / configuration.replace(" ", "-")
        arguments = (there, task["peer"], configuration, task["answers"], folder)
        fork.Process(target=serve, args=arguments, daemon=True).start()
        there.close()
        subjects[configuration] = here
    for configuration, here in subjects.items():
        ready[configuration] = here.recv()
    say({"versions": {name: importlib.metadata.version(name) for name in VERSIONS}, "ready": ready})
    for line in questions:
        question = json.loads(line)
        here = subjects[question["of"]]
        here.send(question)
        say(here.recv())


if __name__ == "__main__":
    logging.disable(logging.INFO)
    sys.addaudithook(_stay_here)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a peer prints is not an answer
    main(sys.stdin, out)
