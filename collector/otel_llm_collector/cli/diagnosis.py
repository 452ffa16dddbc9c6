"""What ``otel-llm doctor`` looks at, one function a subject; each says what it found and what would mend it."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from otel_llm.errors import OtelLLMError
from otel_llm_collector.running import Running

State = Literal["ok", "warn", "fail"]

#: Free bytes below which a disk is called full.
_TOO_FULL = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    text: str


def diagnose(data: Path) -> list[Finding]:
    """Everything that can be said about this machine and the data folder."""
    return [*_python(), *_sdks(), *_patches(), *_other_instrumentors(), *_exporter(), *_collector(data), *_settings()]


def _python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    enough = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if enough else "fail", f"{version} at {sys.executable}")
    yield Finding("otel-llm", "ok", importlib.metadata.version("otel-llm"))


def _sdks() -> Iterator[Finding]:
    for name, extra in (("google-genai", "gemini"), ("openai", "openai")):
        if _installed(name):
            yield Finding(name, "ok", importlib.metadata.version(name))
        else:
            yield Finding(name, "warn", f"not installed; pip install 'otel-llm[{extra}]' if you use it")


def _patches() -> Iterator[Finding]:
    """Instruments this process for a moment, sending nothing."""
    from opentelemetry._logs import NoOpLoggerProvider
    from opentelemetry.metrics import NoOpMeterProvider
    from opentelemetry.trace import NoOpTracerProvider

    import otel_llm
    from otel_llm.providers import PROVIDERS

    present = [provider for provider in PROVIDERS if _importable(provider.package)]
    needed: dict[str, bool] = {}
    for endpoint in (endpoint for provider in present for endpoint in provider.endpoints):
        needed[endpoint.module] = needed.get(endpoint.module, False) or not endpoint.optional
    for module, all_have_it in sorted(needed.items()):
        try:
            importlib.import_module(module)
        except Exception as error:  # an SDK that is broken may raise anything
            if all_have_it:
                yield Finding("patches", "fail", f"{module} cannot be imported: {type(error).__name__}: {error}")
    log = logging.getLogger("otel_llm")
    log.disabled = True
    try:
        report = otel_llm.instrument(
            tracer_provider=NoOpTracerProvider(),
            meter_provider=NoOpMeterProvider(),
            logger_provider=NoOpLoggerProvider(),
        )
        patched, missing = list(report.patched), list(report.missing)
        otel_llm.uninstrument()
    except OtelLLMError as error:
        yield Finding("patches", "fail", str(error))
        return
    finally:
        log.disabled = False
    for provider in present:
        count = sum(method.startswith(f"{provider.package}.") for method in patched)
        said = f"{count} methods of {provider.distribution} would be recorded"
        yield (
            Finding("patches", "ok", said) if count else Finding("patches", "fail", f"{said}: it is broken or too old")
        )
    if not present:
        yield Finding("patches", "warn", "no SDK is installed whose calls could be recorded")
    for method in missing:
        yield Finding("patches", "warn", f"{method} is not in the installed SDK: calls of it are not recorded")


def _other_instrumentors() -> Iterator[Finding]:
    """Other packages that record the same calls, when something loads them."""
    found = {
        entry.dist.name
        for entry in importlib.metadata.entry_points(group="opentelemetry_instrumentor")
        if entry.dist and entry.dist.name != "otel-llm" and _same_calls(entry.dist.name)
    }
    found |= {name for name in ("openlit", "langfuse", "logfire") if _installed(name)}
    if not found:
        yield Finding("other instrumentors", "ok", "none installed")
    for name in sorted(found):
        yield Finding("other instrumentors", "warn", f"{name} is installed: with both active, a call is still one span")


def _exporter() -> Iterator[Finding]:
    kind = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if kind != "otlp":
        yield Finding("exporter", "warn", f"OTEL_TRACES_EXPORTER={kind}: no collector gets the spans")
        return
    grpc = (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    ) == "grpc"
    default = "http://localhost:4317" if grpc else "http://localhost:4318"
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    endpoint = next((os.environ[name] for name in names if os.environ.get(name)), default)
    parts = urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "localhost", port), timeout=2):
            yield Finding("exporter", "ok", f"{endpoint} is reachable")
    except (OSError, ValueError) as error:
        yield Finding("exporter", "warn", f"{endpoint} is not reachable ({error}); start a collector with: otel-llm up")


def _collector(data: Path) -> Iterator[Finding]:
    missing = [name for name in ("aiohttp", "chdb", "clickhouse_connect", "grpc") if not importlib.util.find_spec(name)]
    if missing:
        yield Finding("collector", "warn", f"{', '.join(missing)} not installed: pip install 'otel-llm[collector]'")
    try:
        running = Running.find(data)
    except OtelLLMError as error:
        yield Finding("collector", "warn", str(error))
    else:
        yield _found(running, data)
    yield _writable(data)


def _found(running: Running | None, data: Path) -> Finding:
    if running is None:
        return Finding("collector", "ok", f"none runs on {data}; otel-llm up starts one")
    where = f"OTLP {running.http} and {running.grpc}, SQL {running.api}"
    return Finding("collector", "ok", f"runs as process {running.pid}: {where}")


def _writable(data: Path) -> Finding:
    """Whether the folder, or the nearest one above it that exists, can be written."""
    place = data.absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place):
            pass
    except OSError as error:
        return Finding("store", "fail", f"{place} cannot be written ({error.strerror}); use another --data")
    free = shutil.disk_usage(place).free
    text = f"{data.absolute()} can be written, {free / (1 << 30):.1f} GiB free"
    return Finding("store", "ok" if free > _TOO_FULL else "warn", text)


def _settings() -> Iterator[Finding]:
    from otel_llm.config import SETTINGS, read

    for setting in SETTINGS:
        given = "set" if os.environ.get(setting.variable) else "default"
        yield Finding("setting", "ok", f"{setting.variable}={read(setting)} ({given}). {setting.sentence}")


def _same_calls(distribution: str) -> bool:
    return any(word in distribution for word in ("openai", "genai", "generativeai", "langfuse"))


def _importable(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # nor is the package above it
        return False


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
