"""``<data>/collector.json``: how others on this machine find a collector that runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_FILE = "collector.json"
_TIMEOUT_S = 10.0


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
        """The collector of a data folder, or ``None`` when none answers.

        The file outlives a process that was killed, and by then its number and its ports may be another's: so the one
        that answers must say that it is this one.
        """
        try:
            said = json.loads((data / _FILE).read_text(encoding="utf-8"))
            found = cls(**said)
            status = _status(found.api)
            return found if all(status[name] == value for name, value in said.items()) else None
        except (OSError, HTTPException, ValueError, TypeError, KeyError):
            return None


def _status(api: str) -> dict[str, Any]:
    """What the API at a URL says of itself; raises any of the errors above where there is none."""
    connection = HTTPConnection(str(urlsplit(api).netloc), timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/v1/status")
        status: dict[str, Any] = json.loads(connection.getresponse().read())
        return status
    finally:
        connection.close()
