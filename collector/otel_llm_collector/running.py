"""``<data>/collector.json``: how others on this machine find a collector that runs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from http.client import HTTPException
from pathlib import Path
from ssl import SSLError
from typing import Any

from . import local
from .errors import CollectorError

_FILE = "collector.json"
_TIMEOUT_S = 10.0
_DENIED = (401, 429)
"""How those are answered who have no key that is known; 403 is what web pages are told too."""


@dataclass(frozen=True, slots=True)
class Running:
    """A collector that runs: its process, and the URLs that it listens on."""

    pid: int
    version: str
    started: str
    grpc: str
    http: str
    api: str
    jaeger: str
    """Its storage as Jaeger reads it."""
    store: str
    certificate: str = ""
    """File of its certificate, where it has TLS."""
    jaeger_url: str = ""
    """Where people have Jaeger's pages, where that is set."""

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
        that answers must say that it is this one. Raises ``CollectorError`` where it does not let this caller ask.
        """
        try:
            said = json.loads((data / _FILE).read_text(encoding="utf-8"))
            found = cls(**said)
            status = status_of(found, data)
            return found if all(status[name] == value for name, value in said.items()) else None
        except (OSError, HTTPException, ValueError, TypeError, KeyError):
            return None


def status_of(running: Running, data: Path) -> dict[str, Any]:
    """What the API of a collector says of itself; raises any of the errors above where there is none.

    Raises ``CollectorError`` where it does not let this caller ask.
    """
    connection = local.connection(running.api, running.certificate, _TIMEOUT_S)
    try:
        connection.request("GET", "/v1/status", headers=local.headers(data))
        answer = connection.getresponse()
        body = answer.read()
    except (SSLError, ConnectionResetError, BrokenPipeError) as error:  # who shows no certificate may just be hung up
        if not running.certificate:
            raise
        raise CollectorError(local.no_tls(running.api, error)) from error
    finally:
        connection.close()
    if answer.status in _DENIED:
        said = body.decode(errors="replace").strip()
        raise CollectorError(f"The collector at {running.api} says: {said} Name a key in {local.KEY_VARIABLE}.")
    status: dict[str, Any] = json.loads(body)
    return status
