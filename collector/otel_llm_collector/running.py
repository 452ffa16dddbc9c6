"""``<data>/collector.json``: how others on this machine find a collector that runs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

_FILE = "collector.json"


@dataclass(frozen=True, slots=True)
class Running:
    """A collector that runs: its process, and the URLs that it listens on."""

    pid: int
    version: str
    started: str
    grpc: str
    http: str
    api: str
    store: str

    def write(self, data: Path) -> None:
        """Say so in the data folder, in one step."""
        new = data / f"{_FILE}.new"
        new.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        new.replace(data / _FILE)

    @staticmethod
    def remove(data: Path) -> None:
        (data / _FILE).unlink(missing_ok=True)

    @classmethod
    def find(cls, data: Path) -> Running | None:
        """The collector of a data folder, or ``None`` when none runs: the file outlives a process that was killed."""
        try:
            found = cls(**json.loads((data / _FILE).read_text(encoding="utf-8")))
            os.kill(found.pid, 0)
        except PermissionError:
            return found  # it runs, as another user
        except (OSError, ValueError, TypeError):
            return None
        return found
