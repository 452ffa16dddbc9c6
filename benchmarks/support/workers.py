"""The parent's side of the workers: starts one in each environment and asks them in turn."""

from __future__ import annotations

import json
import select
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from . import environments as e

#: Seconds that an answer may take.
PATIENCE = 120


class Worker:
    """A peer's process. ``trouble`` says why a configuration cannot be measured, by its name."""

    def __init__(
        self,
        environment: e.Environment,
        configurations: Sequence[str],
        answers: Mapping[str, tuple[str, str]],
        folder: Path,
    ) -> None:
        self.peer = environment.peer
        self.notes = list(environment.notes)
        self.versions: dict[str, str] = {}
        self.trouble: dict[str, str] = {}
        self._configurations = configurations
        self._process: subprocess.Popen[str] | None = None
        if environment.python is None:
            self.trouble = dict.fromkeys(configurations, self.notes.pop())
            return
        home = folder / self.peer.key
        home.mkdir()
        self._said: IO[str] = (home / "said.txt").open("w+")
        self._process = subprocess.Popen(
            [str(environment.python), "-m", "support.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            cwd=home,
            env=e.settings(self.peer, home),
        )
        self._send({"peer": self.peer.key, "configurations": configurations, "answers": answers, "folder": str(home)})

    def wait(self) -> None:
        """Waits until the worker can be asked."""
        if self._process is None:
            return
        try:
            ready = self._receive()
        except ConnectionError as error:
            self.trouble = dict.fromkeys(self._configurations, str(error))
            return
        self.versions = ready["versions"]
        for configuration, said in ready["ready"].items():
            if "error" in said:
                self.trouble[configuration] = said["error"]

    def ask(self, configuration: str, do: str, **question: Any) -> Any:
        """The answer to a question; ``None`` where there is none, and the reason in ``trouble``."""
        if configuration in self.trouble:
            return None
        try:
            self._send({"of": configuration, "do": do, **question})
            said = self._receive()
        except OSError as error:
            said = {"error": str(error)}
        for host in said.get("refused", ()):
            note = f"wanted to talk to {host}, which was refused"
            if note not in self.notes:
                self.notes.append(note)
        if "error" in said:
            self.trouble[configuration] = said["error"]
        return said.get("answer")

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.communicate()
            self._said.close()

    def _send(self, what: Any) -> None:
        assert self._process
        assert self._process.stdin
        print(json.dumps(what), file=self._process.stdin, flush=True)

    def _receive(self) -> Any:
        assert self._process
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            self._process.kill()
        line = self._process.stdout.readline()
        if not line:
            self._said.seek(0)
            last = [text.strip() for text in self._said if text.strip()][-1:]
            raise ConnectionError(f"its process ended: {' '.join(last)}")
        return json.loads(line)
