"""``instrument()`` and ``uninstrument()``: what is recorded, and where it goes."""

from __future__ import annotations

import functools
import importlib.metadata
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

from otel_llm import attributes, completion, config, fork, headers, patches
from otel_llm.completion import Completion
from otel_llm.content import Content
from otel_llm.errors import ConfigError
from otel_llm.events import Events
from otel_llm.export import flush
from otel_llm.export import providers as providers_in_force
from otel_llm.interceptor import Interceptor
from otel_llm.metrics import Metrics
from otel_llm.patches import Instrumentation
from otel_llm.pricing import Pricing
from otel_llm.prompts import PromptLink, configure
from otel_llm.providers import PROVIDERS
from otel_llm.redaction import Redact
from otel_llm.scope import Scope

if TYPE_CHECKING:
    from opentelemetry._logs import LoggerProvider

    from otel_llm.guardrails import Guardrail

logger = logging.getLogger("otel_llm")

Capture = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT"]


def instrument(
    *,
    providers: Iterable[str] | None = None,
    capture_content: bool | Capture | None = None,
    redact: Redact | None = None,
    completion_hook: Any = None,
    guardrails: Sequence[Guardrail] = (),
    prompts: str | Path | None = None,
    interceptors: Sequence[Interceptor] = (),
    include_usage: bool | None = None,
    start_events: bool | None = None,
    trace_headers: bool | None = None,
    service_name: str | None = None,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    logger_provider: LoggerProvider | None = None,
    local: bool = False,
) -> Instrumentation:
    """Records every model call of the SDKs that are installed, from now on and whenever they are imported.

    ``providers`` names some of ``google_genai`` and ``openai``; all by default. ``capture_content`` says where messages
    go: ``True`` is ``SPAN_ONLY``, ``False`` is ``NO_CONTENT``; by default the variable
    ``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT`` decides. ``redact`` is given every text of content, and
    returns what is to be kept of it. ``completion_hook`` is an object with the ``on_completion`` of
    opentelemetry-util-genai, which stores content elsewhere.

    ``guardrails`` are checked on every call. ``prompts`` is the folder where :func:`otel_llm.prompt` looks.
    ``include_usage`` asks OpenAI's chat for usage in streams that did not ask themselves, and keeps the extra chunk
    from the caller. ``start_events`` sends an event when a call begins, so that one that never ends is known of.
    ``trace_headers`` lets trace headers and baggage go to model providers.

    Spans go to ``tracer_provider``, else to the one that the application has set, else by OTLP to where the ``OTEL_*``
    variables say; metrics and events the same way. ``local=True`` finds a collector on this machine, or starts one on
    ``./.otel-llm``, and says where to look.

    Calling it again changes the settings and patches nothing twice. Raises
    :class:`~otel_llm.errors.ConfigError` for a provider, exporter, mode, hook or rule that is not known.
    """
    known = {provider.name: provider for provider in PROVIDERS}
    names = frozenset(known if providers is None else [providers] if isinstance(providers, str) else providers)
    if unknown := names - known.keys():
        raise ConfigError(f"Unknown provider {', '.join(sorted(unknown))}: use {' or '.join(known)}.")
    content = _content(capture_content, redact)
    hook = completion_hook if completion_hook is not None else completion.load()
    chain: list[Interceptor] = [PromptLink()]
    if guardrails:
        from otel_llm.guardrails import Guardrails  # imported with the first guardrail

        chain.append(Guardrails(guardrails))
    if prompts is not None:
        configure(Path(prompts))
    endpoint = None
    if local:
        from otel_llm.local import collector

        endpoint = collector()
    tracers, meters, loggers = providers_in_force(
        service_name, endpoint, tracer_provider, meter_provider, logger_provider
    )
    about = {attributes.SCHEMA_VERSION.name: attributes.VERSION}
    scope = Scope(
        tracer=tracers.get_tracer("otel_llm", version(), attributes=about),
        interceptors=(*chain, *interceptors, Pricing()),
        content=content,
        events=Events(loggers, version(), about),
        metrics=Metrics(meters, version(), about),
        completion=None if hook is None else Completion(hook, redact),
        include_usage=config.on(config.INCLUDE_USAGE) if include_usage is None else include_usage,
        start_events=config.on(config.START_EVENTS) if start_events is None else start_events,
        trace_headers=config.on(config.TRACE_HEADERS) if trace_headers is None else trace_headers,
    )
    fork.at_end(_send)
    report = patches.put_in_force(scope, {name: known[name] for name in sorted(names)})
    if names and (providers is not None or len(report.absent) == len(known)):
        for name in names.intersection(report.absent):
            logger.warning("%s is not installed, none of its calls can be recorded.", known[name].distribution)
    return report


def _send() -> None:
    """Sends what is waiting, unless it is not ours to see to any more."""
    if patches.STATE.scope is not None:
        flush()


def uninstrument() -> None:
    """Takes every patch back; methods that a client has kept pass calls through untouched."""
    patches.take_back()
    headers.let_go()


@functools.cache
def version() -> str:
    """The version of this library."""
    return importlib.metadata.version("otel-llm")


def _content(capture: bool | Capture | None, redact: Redact | None) -> Content:
    if redact is not None and not callable(redact):
        raise ConfigError(f"redact={redact!r} is not a function: it is given a text and returns what is kept of it.")
    if capture is None:
        span, event = config.capture()
    elif isinstance(capture, bool):
        span, event = capture, False
    elif capture in config.MODES:
        span, event = config.MODES[capture]
    else:
        raise ConfigError(f"capture_content={capture!r} is not known: use True, False or {', '.join(config.MODES)}.")
    return Content(
        span=span,
        event=event,
        redact=redact,
        part_bytes=config.number(config.PART_BYTES),
        span_bytes=config.number(config.SPAN_BYTES),
    )
