"""Where spans, metrics and events go when the application has set up nothing: OTLP, by the ``OTEL_*`` variables."""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import wrapt
from opentelemetry import metrics, trace
from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import ProxyTracerProvider, TracerProvider

from otel_llm import config, fork
from otel_llm.ambient import logger_provider
from otel_llm.config import Setting
from otel_llm.errors import ConfigError
from otel_llm.events import NOWHERE
from otel_llm.reaper import settle

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider
    from opentelemetry.sdk.resources import Resource


class Providers(NamedTuple):
    """Where signals go; ``None`` stands for the application's own provider, whenever it sets one."""

    tracers: TracerProvider
    meters: MeterProvider | None
    loggers: LoggerProvider | None


#: The providers of the calls that are recorded now; flushed beside the application's own.
_in_use: list[Any] = []


def providers(
    service_name: str | None = None,
    endpoint: str | None = None,
    tracers: TracerProvider | None = None,
    meters: MeterProvider | None = None,
    loggers: LoggerProvider | None = None,
) -> Providers:
    """Those given, else the application's, else ones that are set up here.

    ``endpoint`` is the base address of an OTLP/HTTP receiver; without it the ``OTEL_*`` variables decide. Metrics and
    events are set up only where their variables ask for it. Raises :class:`~otel_llm.errors.ConfigError` for an
    exporter or protocol that is not known.
    """
    if config.on(config.DISABLED):
        found = Providers(tracers or trace.get_tracer_provider(), meters, loggers)
    else:
        found = Providers(
            tracers or _tracers(service_name, endpoint),
            meters or _meters(service_name, endpoint),
            loggers or _loggers(service_name, endpoint),
        )
    _in_use[:] = found
    return found


def _tracers(service_name: str | None, endpoint: str | None) -> TracerProvider:
    present = trace.get_tracer_provider()
    if not isinstance(present, ProxyTracerProvider) or (kind := _kind(config.EXPORTER)) == "none":
        return present
    from opentelemetry.sdk.trace import TracerProvider as Provider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    made = Provider(resource=_resource(service_name))
    made.add_span_processor(BatchSpanProcessor(_exporter(kind, "trace", "Span", endpoint)))
    trace.set_tracer_provider(made)
    return made


def _meters(service_name: str | None, endpoint: str | None) -> MeterProvider | None:
    if type(metrics.get_meter_provider()).__name__ not in NOWHERE or (kind := _kind(config.METRICS_EXPORTER)) == "none":
        return None
    from opentelemetry.sdk.metrics import MeterProvider as Provider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(_exporter(kind, "metric", "Metric", endpoint))
    made = Provider([reader], _resource(service_name))
    metrics.set_meter_provider(made)
    return made


def _loggers(service_name: str | None, endpoint: str | None) -> LoggerProvider | None:
    if type(logger_provider()).__name__ not in NOWHERE or (kind := _kind(config.LOGS_EXPORTER)) == "none":
        return None
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider as Provider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    made = Provider(_resource(service_name))
    made.add_log_record_processor(BatchLogRecordProcessor(_exporter(kind, "_log", "Log", endpoint)))
    _logs.set_logger_provider(made)
    return made


def _resource(name: str | None) -> Resource:
    """The service's name: as given, else by the variables, else that of the program."""
    from opentelemetry.sdk.resources import Resource

    if not name and not (
        "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    ):
        name = Path(sys.argv[0]).stem or "python"
    return Resource.create({"service.name": name} if name else {})


def _kind(setting: Setting) -> str:
    kind = config.read(setting).lower()
    if kind not in ("otlp", "console", "none"):
        raise ConfigError(f"{setting.variable}={kind} is not known: use otlp, console or none.")
    return kind


#: Of each signal: the path of OTLP/HTTP, the variable of its protocol and the module of the console exporter.
_SIGNALS = {
    "trace": ("traces", "opentelemetry.sdk.trace.export"),
    "metric": ("metrics", "opentelemetry.sdk.metrics.export"),
    "_log": ("logs", "opentelemetry.sdk._logs.export"),
}


def _exporter(kind: str, signal: str, noun: str, endpoint: str | None) -> Any:
    path, console = _SIGNALS[signal]
    if kind == "console":
        module = importlib.import_module(console)
        return (getattr(module, f"Console{noun}Exporter", None) or module.ConsoleLogRecordExporter)()
    from otel_llm.delivery import Delivery

    protocol = os.environ.get(f"OTEL_EXPORTER_OTLP_{path.upper()}_PROTOCOL") or config.read(config.PROTOCOL)
    if endpoint is not None or protocol == "http/protobuf":
        module = importlib.import_module(f"opentelemetry.exporter.otlp.proto.http.{signal}_exporter")
        make = partial(getattr(module, f"OTLP{noun}Exporter"), endpoint=f"{endpoint}/v1/{path}" if endpoint else None)
    elif protocol == "grpc":
        module = importlib.import_module(f"opentelemetry.exporter.otlp.proto.grpc.{signal}_exporter")
        make = getattr(module, f"OTLP{noun}Exporter")
    else:
        raise ConfigError(f"{config.PROTOCOL.variable}={protocol} is not known: use http/protobuf or grpc.")
    made: Any = wrapt.BaseObjectProxy(make())
    fork.in_child(lambda: setattr(made, "__wrapped__", make()))  # the connections are the parent's
    return Delivery(made) if signal == "trace" else made


def flush(timeout: float = 5.0) -> bool:
    """Ends dropped streams and sends what is waiting, for ``timeout`` seconds at most; whether all of it went."""
    end = time.monotonic() + timeout
    settle(timeout)
    present = [trace.get_tracer_provider(), logger_provider(), metrics.get_meter_provider(), *_in_use]
    sends = list(dict.fromkeys(filter(callable, (getattr(each, "force_flush", None) for each in present))))
    gone: list[bool] = []

    def send() -> None:
        gone.extend(bool(each(max(0, int((end - time.monotonic()) * 1000)))) for each in sends)

    sending = threading.Thread(target=send, name="otel_llm-flush", daemon=True)  # it may take longer than it is told
    sending.start()
    sending.join(max(0.0, end - time.monotonic()))
    return len(gone) == len(sends) and all(gone)
