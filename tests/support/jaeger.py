"""A real Jaeger for tests: with a storage of its own in memory, or with a collector of ours behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import yaml

from benchmarks.support.program import Program, free_port

from .collector import send
from .jaeger_build import binary

MEMORY = {"memory": {"max_traces": 100_000}}
Answer = tuple[int, Any]
"""A status of HTTP, and what the JSON with it says."""


def remote(reader: str, writer: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The storage that others serve: the URL of Jaeger's protocol, and of OTLP over gRPC."""

    def client(url: str) -> dict[str, Any]:
        return {"endpoint": urlsplit(url).netloc, "tls": {"insecure": True}, "headers": dict(headers or {})}

    return {"grpc": {**client(reader), "writer": client(writer)}}


def configured(
    folder: Path, storage: Mapping[str, Any], extensions: Mapping[str, Any], receiver: Mapping[str, Any]
) -> list[str]:
    """The command of a Jaeger with a storage, more extensions and OTLP by the protocols of ``receiver``.

    Raises ``Unavailable`` where Jaeger has not been built.
    """
    folder.mkdir(parents=True, exist_ok=True)
    extensions = {"jaeger_storage": {"backends": {"store": dict(storage)}}, **extensions}
    configuration = {
        "extensions": extensions,
        "receivers": {"otlp": {"protocols": dict(receiver)}},
        "exporters": {"jaeger_storage_exporter": {"trace_storage": "store"}},
        "service": {
            "extensions": list(extensions),
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
        },
    }
    path = folder / "jaeger.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return [str(binary()), "--config", str(path)]


class Jaeger(Program):
    """A Jaeger that runs; ``http`` and ``otlp`` are the URLs of its API and of its OTLP receiver over gRPC.

    ``storage`` is a backend as its configuration has it. A context manager.
    """

    def __init__(self, folder: Path, storage: Mapping[str, Any]) -> None:
        otlp, grpc, http = free_port(), free_port(), free_port()
        self.otlp, self.http = f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{http}"
        query = {
            "storage": {"traces": "store"},
            "http": {"endpoint": f"127.0.0.1:{http}"},
            "grpc": {"endpoint": f"127.0.0.1:{grpc}"},
        }
        receiver = {"grpc": {"endpoint": f"127.0.0.1:{otlp}"}}
        command = configured(folder, storage, {"jaeger_query": query}, receiver)
        super().__init__("Jaeger", command, otlp, folder / "jaeger.log", {"OTEL_TRACES_SAMPLER": "always_off"})

    def ask(self, path: str, **parameters: Any) -> Answer:
        """What ``GET path`` is answered with; a parameter that is a map is sent as JSON."""
        given = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in parameters.items()}
        code, _, body = send("GET", f"{self.http}{path}?{urlencode(given)}", b"")
        try:
            return code, json.loads(body)
        except ValueError:
            return code, body.decode(errors="replace")
