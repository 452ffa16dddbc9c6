"""Jaeger's own storage in memory, behind the protocol that our collector speaks."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.support.jaeger_build import binary

from .program import Program, free_port


class JaegerMemory(Program):
    """A storage that runs; ``reader`` is the URL of the protocol, ``http`` of OTLP over HTTP. A context manager.

    Raises ``Unavailable`` where Jaeger has not been built.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        otlp, reader = free_port(), free_port()
        self.http, self.reader = f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{reader}"
        extensions = {
            "jaeger_storage": {"backends": {"store": {"memory": {"max_traces": 100_000}}}},
            "remote_storage": {"endpoint": f"127.0.0.1:{reader}", "storage": "store"},
        }
        configuration = {
            "extensions": extensions,
            "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{otlp}"}}}},
            "exporters": {"jaeger_storage_exporter": {"trace_storage": "store"}},
            "service": {
                "extensions": list(extensions),
                "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
                "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            },
        }
        path = folder / "jaeger.yaml"
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        super().__init__("Jaeger", [str(binary()), "--config", str(path)], otlp, folder / "jaeger.log")
