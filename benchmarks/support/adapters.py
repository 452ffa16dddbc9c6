"""How each peer is turned on, as its own pages say, with content; run inside the peer's environment.

Nothing here is imported before it is asked for. Metrics and logs have no provider, for any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from . import transport as t

CONTENT, UNSAMPLED, NO_PROVIDER = "content", "unsampled", "no provider"
CONFIGURATIONS = (CONTENT, UNSAMPLED, NO_PROVIDER)
PROMPT = "benchmark_answer"
#: Peers that an application gives a processor or an exporter, and not its provider.
OWN_PROVIDER = ("logfire", "langfuse")


class NotOffered(Exception):
    """A peer has nothing like this configuration."""


class Sink(SpanExporter):
    """Throws spans away, or keeps them while asked to."""

    def __init__(self) -> None:
        self.keeping = False
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Takes anything."""
        if self.keeping:
            self.spans.extend(spans)
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True


class Telemetry:
    """Where a peer's spans go in a configuration; ``flush`` brings to the sink what waits."""

    def __init__(self, peer: str, configuration: str, folder: Path) -> None:
        self.configuration = configuration
        self.folder = folder
        self.sink = Sink()
        self.sampler = ALWAYS_OFF if configuration == UNSAMPLED else ALWAYS_ON
        self.processor = BatchSpanProcessor(self.sink, max_queue_size=100_000)
        self.flush: Callable[[], object] = self.processor.force_flush
        if configuration != NO_PROVIDER and peer not in OWN_PROVIDER:
            provider = TracerProvider(sampler=self.sampler)
            provider.add_span_processor(self.processor)
            trace.set_tracer_provider(provider)
        #: The application's own, which is the global one; the API's where there is none.
        self.provider = trace.get_tracer_provider()
        #: The text that is sent; rendered anew for each call where prompts can be linked.
        self.text: Callable[[], str] = lambda: t.TEMPLATE.replace("{{ passage }}", t.PASSAGE).replace(
            "{{ question }}", t.QUESTION
        )


def otel_llm(telemetry: Telemetry) -> None:
    """Content, cost and prompt link on, no guardrails."""
    library = import_module("otel_llm")
    (telemetry.folder / f"{PROMPT}.yaml").write_text(json.dumps({"versions": {"1": {"template": t.TEMPLATE}}}))
    library.instrument(tracer_provider=telemetry.provider, capture_content=True, prompts=telemetry.folder)
    telemetry.text = lambda: library.prompt(PROMPT).render(passage=t.PASSAGE, question=t.QUESTION)


def genai(telemetry: Telemetry) -> None:
    """Both of the live official instrumentors."""
    provider = telemetry.provider
    openai = import_module("opentelemetry.instrumentation.genai.openai")
    google = import_module("opentelemetry.instrumentation.google_genai")
    openai.OpenAIInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    google.GoogleGenAiSdkInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)


def openai_v2(telemetry: Telemetry) -> None:
    """The superseded official one, by the latest conventions."""
    module = import_module("opentelemetry.instrumentation.openai_v2")
    module.OpenAIInstrumentor().instrument(tracer_provider=telemetry.provider, skip_dep_check=True)


def traceloop(telemetry: Telemetry) -> None:
    """Both instrumentors, content as attributes, which is the default."""
    provider = telemetry.provider
    openai = import_module("opentelemetry.instrumentation.openai")
    google = import_module("opentelemetry.instrumentation.google_generativeai")
    openai.OpenAIInstrumentor().instrument(tracer_provider=provider)
    google.GoogleGenerativeAiInstrumentor().instrument(tracer_provider=provider)


def openinference(telemetry: Telemetry) -> None:
    """Both instrumentors, content on, which is the default."""
    provider = telemetry.provider
    openai = import_module("openinference.instrumentation.openai")
    google = import_module("openinference.instrumentation.google_genai")
    openai.OpenAIInstrumentor().instrument(tracer_provider=provider)
    google.GoogleGenAIInstrumentor().instrument(tracer_provider=provider)


def openlit(telemetry: Telemetry) -> None:
    """Content and cost on, no metrics and events; prices from a file, as it would fetch them. It takes the global
    provider."""
    if telemetry.configuration == NO_PROVIDER:
        raise NotOffered("it always sets up a provider of its own")
    price = {"promptPrice": 0.00025, "completionPrice": 0.002}
    prices = telemetry.folder / "prices.json"
    prices.write_text(
        json.dumps({"chat": {t.CHAT_MODEL: price, t.GEMINI_MODEL: price}, "embeddings": {t.EMBEDDING_MODEL: 0.00002}})
    )
    import_module("openlit").init(pricing_json=str(prices), disable_metrics=True, disable_events=True)


def logfire(telemetry: Telemetry) -> None:
    """Its own set-up, nothing sent and nothing on the console; unconfigured where there is no provider."""
    library = import_module("logfire")
    if telemetry.configuration != NO_PROVIDER:
        library.configure(
            send_to_logfire=False,
            console=False,
            metrics=False,
            inspect_arguments=False,
            config_dir=telemetry.folder,
            data_dir=telemetry.folder,
            additional_span_processors=[telemetry.processor],
            sampling=library.SamplingOptions(head=0.0 if telemetry.configuration == UNSAMPLED else 1.0),
        )
    library.instrument_openai()
    library.instrument_google_genai(skip_dep_check=True)


def langfuse(telemetry: Telemetry) -> None:
    """Its own client and processor, with our exporter; tracing switched off where there is no provider."""
    on = telemetry.configuration != NO_PROVIDER
    provider = TracerProvider(sampler=telemetry.sampler)
    client = import_module("langfuse").Langfuse(
        public_key="pk-lf-x",
        secret_key="sk-lf-x",
        base_url="http://127.0.0.1:9",
        tracing_enabled=on,
        tracer_provider=provider,
        span_exporter=telemetry.sink,
    )
    telemetry.flush = provider.force_flush
    import_module("langfuse.openai")
    if on and not client._tracing_enabled:
        raise RuntimeError("its client is disabled")


ADAPTERS: dict[str, Callable[[Telemetry], None]] = {
    adapter.__name__: adapter
    for adapter in (otel_llm, genai, openai_v2, traceloop, openinference, openlit, logfire, langfuse)
}
