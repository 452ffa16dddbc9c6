"""Builds and runs the programs of tests/clients against a collector of its own, where their languages are installed.

uv run python tools/clients.py

They ask what Grafana (Go, clickhouse-go) and DBeaver (Java, clickhouse-jdbc) ask of ClickHouse's HTTP interface. What
is left out is said, with the reason.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otel_llm_collector.app import Collector
from otel_llm_collector.settings import Settings

CLIENTS = Path(__file__).parent.parent / "tests" / "clients"
START = 1_790_000_000_123_456_789
CALLS = 3
_MAVEN = ["mvn", "--batch-mode", "--quiet", "-Dstyle.color=never"]


def main() -> int:
    """Runs what can be run; 1 when something failed."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data=Path(folder) / "data", grpc_port=0, http_port=0, api_port=0, jaeger_port=0, late_days=3660
        )
        with Collector(settings) as collector:
            assert collector.running is not None
            _send(f"{collector.running.http}/v1/traces", _spans().SerializeToString(), "application/x-protobuf")
            _send(f"{collector.running.api}/v1/flush", b"", "text/plain")
            address = urlsplit(collector.running.api).netloc
            for language, (tools, commands) in _programs(Path(folder)).items():
                missing = [tool for tool in tools if shutil.which(tool) is None]
                if missing:
                    counts["skipped"] += 1
                    print(f"skipped {language}: {' and '.join(missing)} is not installed here", flush=True)
                    continue
                counts["passed" if _run(CLIENTS / language, commands, address) else "failed"] += 1
    print(", ".join(f"{number} {word}" for word, number in counts.items()))
    return 1 if counts["failed"] else 0


def _programs(folder: Path) -> dict[str, tuple[list[str], list[list[str]]]]:
    """For each language what must be installed, and the commands, the last of which is given the address."""
    binary, target = str(folder / "clients"), str(folder / "java")
    classes = f"{target}/classes:{target}/dependency/*"
    return {
        "go": (["go"], [["go", "build", "-buildvcs=false", "-o", binary, "."], [binary]]),
        "java": (
            ["java", "mvn"],
            [
                [*_MAVEN, f"-Dtarget={target}", "compile", "dependency:copy-dependencies"],
                ["java", "-cp", classes, "Client"],
            ],
        ),
    }


def _run(folder: Path, commands: list[list[str]], address: str) -> bool:
    for command in [*commands[:-1], [*commands[-1], address]]:
        if subprocess.run(command, cwd=folder, check=False).returncode:
            print(f"not ok  {folder.name}: {command[0]} failed", flush=True)
            return False
    return True


def _send(url: str, body: bytes, kind: str) -> None:
    urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": kind})).close()


def _spans() -> ExportTraceServiceRequest:
    """Three model calls and a span that is none, of the service ``clients``."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.append(_attribute("service.name", "clients"))
    spans = group.scope_spans.add().spans
    for number in range(1, CALLS + 2):
        span = spans.add(
            trace_id=bytes([number]) * 16,
            span_id=bytes([number]) * 8,
            name="chat gpt",
            kind=Span.SPAN_KIND_CLIENT,
            start_time_unix_nano=START + number - 1,
            end_time_unix_nano=START + number - 1 + 1_500_000_000,
        )
        span.attributes.append(_attribute("n", number))
        event = span.events.add(name="said", time_unix_nano=START)
        event.attributes.append(_attribute("a", "b"))
        if number <= CALLS:
            call = {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": "gpt",
                "gen_ai.request.stream": True,
                "gen_ai.usage.input_tokens": 12,
                "otel_llm.cost.total": 0.000000123,
                "otel_llm.tags": ["a", "b"],
                "otel_llm.metadata.team": "x",
            }
            span.attributes.extend(_attribute(key, value) for key, value in call.items())
    return request


def _attribute(key: str, value: str | bool | int | float | list[str]) -> KeyValue:
    match value:
        case bool():
            kind = AnyValue(bool_value=value)
        case int():
            kind = AnyValue(int_value=value)
        case float():
            kind = AnyValue(double_value=value)
        case str():
            kind = AnyValue(string_value=value)
        case list():
            kind = AnyValue(array_value=ArrayValue(values=[AnyValue(string_value=item) for item in value]))
    return KeyValue(key=key, value=kind)


if __name__ == "__main__":
    sys.exit(main())
