"""Jaeger's own storage in memory, behind the protocol that our collector speaks."""

from __future__ import annotations

from pathlib import Path

from tests.support.jaeger import MEMORY, configured

from .program import Program, free_port


class JaegerMemory(Program):
    """A storage that runs; ``reader`` is the URL of the protocol, ``http`` of OTLP over HTTP. A context manager.

    Raises ``Unavailable`` where Jaeger has not been built.
    """

    def __init__(self, folder: Path) -> None:
        otlp, reader = free_port(), free_port()
        self.http, self.reader = f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{reader}"
        remote = {"endpoint": f"127.0.0.1:{reader}", "storage": "store"}
        command = configured(folder, MEMORY, {"remote_storage": remote}, {"http": {"endpoint": f"127.0.0.1:{otlp}"}})
        super().__init__("Jaeger", command, otlp, folder / "jaeger.log")
