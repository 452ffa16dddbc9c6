"""What otel_llm adds to a call: CPU microseconds over the bare SDK, in the same process and the same run.

    uv run python benchmarks/overhead.py [--quick] [--json]

Both SDKs talk to a transport in this process, so no socket blurs the figures. Rounds of bare and instrumented calls
alternate; a figure is the median over the rounds of the difference in this thread's CPU time for one call. Both sides
render the prompt, so linking it counts and rendering it does not. Spans go to a BatchSpanProcessor whose exporter
throws them away. Behind each figure stands its standard error; an aim is missed when the figure is above it by more
than two of them. "bare" against itself shows the noise; "plain span" is what OpenTelemetry's SDK takes, by its own
functions, for one current span with as many attributes and nothing else; "metrics" is "unsampled" with a MeterProvider
of the SDK's.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
from google import genai
from opentelemetry import context, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, set_span_in_context

import otel_llm
from otel_llm.testing import Reply, ScriptedProvider, Usage

CHUNKS = 200
TEMPLATE = "Answer the question from the passage. Passage: {{ passage }} Question: {{ question }}"
PASSAGE = "There is no better, there is no more open door by which you can enter into the study of nature. " * 8
REPLY = Reply("word " * CHUNKS, usage=Usage(input=300, output=250, cached=100, reasoning=50), chunks=CHUNKS)

#: Most added microseconds for a call, by (configuration, call).
AIMS = {
    ("content", "openai chat"): 80.0,
    ("content", "openai responses"): 80.0,
    ("content", "gemini generate"): 80.0,
    ("content", "openai stream 200"): 500.0,
    ("content", "gemini stream 200"): 500.0,
    **{("no provider", call): 10.0 for call in ("openai chat", "openai responses", "openai embeddings",
       "openai stream 200", "gemini generate", "gemini stream 200", "gemini embed")},
}  # fmt: skip


Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class Nowhere(SpanExporter):
    """Throws spans away."""

    def export(self, spans: Any) -> SpanExportResult:
        """Takes anything."""
        del spans
        return SpanExportResult.SUCCESS


SAMPLED, UNSAMPLED = TracerProvider(), TracerProvider(sampler=ALWAYS_OFF)
METERED = MeterProvider([InMemoryMetricReader()])
for each in (SAMPLED, UNSAMPLED):
    each.add_span_processor(BatchSpanProcessor(Nowhere(), max_queue_size=100_000))


@dataclass
class Figure:
    """One cell of the table, in CPU microseconds a call."""

    configuration: str
    call: str
    bare_us: float
    added_us: float
    error_us: float
    ratio: float
    aim_us: float | None
    met: bool | None


def recorded(paths: dict[str, tuple[str, dict[str, Any]]]) -> dict[str, httpx2.Response]:
    """The scripted provider's answers, by path, for the transport to give again and again."""
    answers = {}
    with ScriptedProvider(lambda request: REPLY) as provider, httpx2.Client(base_url=provider.url) as client:
        for key, (path, body) in paths.items():
            response = client.post(path, json=body)
            response.raise_for_status()
            answers[key] = response
    return answers


def transport() -> httpx2.MockTransport:
    """Answers both SDKs in this process, from answers recorded once."""
    message = [{"role": "user", "content": "hi"}]
    contents = [{"role": "user", "parts": [{"text": "hi"}]}]
    answers = recorded(
        {
            "chat": ("/v1/chat/completions", {"model": "gpt-5-mini", "messages": message}),
            "chat stream": (
                "/v1/chat/completions",
                {"model": "gpt-5-mini", "messages": message, "stream": True, "stream_options": {"include_usage": True}},
            ),
            "responses": ("/v1/responses", {"model": "gpt-5-mini", "input": "hi"}),
            "embeddings": (
                "/v1/embeddings",
                {"model": "text-embedding-3-small", "input": "hi", "dimensions": 256, "encoding_format": "base64"},
            ),
            "generateContent": ("/v1beta/models/gemini-2.5-flash:generateContent", {"contents": contents}),
            "streamGenerateContent": (
                "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
                {"contents": contents},
            ),
            "batchEmbedContents": (
                "/v1beta/models/gemini-embedding-001:batchEmbedContents",
                {"requests": [{"model": "models/gemini-embedding-001", "content": contents[0],
                               "outputDimensionality": 256}]},
            ),
        }
    )  # fmt: skip
    bodies = {key: (answer.headers["content-type"], answer.content) for key, answer in answers.items()}

    def answer(request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        key = path.rpartition(":")[2] if ":" in path else path.rpartition("/")[2]
        if key == "completions":
            key = "chat stream" if b'"stream":true' in request.content.replace(b" ", b"") else "chat"
        kind, body = bodies[key]
        return httpx2.Response(200, headers={"content-type": kind, "x-request-id": "req_1"}, content=body)

    return httpx2.MockTransport(answer)


def calls(prompt: Callable[[], str]) -> dict[str, tuple[Callable[[], object], int]]:
    """The calls by name, each with how many make a round. ``prompt`` gives the text that is sent."""
    through = transport()
    client = openai.OpenAI(api_key="x", http_client=httpx2.Client(transport=through), max_retries=0)
    google = genai.Client(api_key="x", http_options={"client_args": {"transport": through}})

    def messages() -> Any:
        return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": prompt()}]

    def drain(stream: Any) -> None:
        for _ in stream:
            pass

    return {
        "openai chat": (
            lambda: client.chat.completions.create(model="gpt-5-mini", messages=messages(), temperature=0.2), 12,
        ),
        "openai responses": (lambda: client.responses.create(model="gpt-5-mini", input=prompt()), 12),
        "openai embeddings": (
            lambda: client.embeddings.create(model="text-embedding-3-small", input=prompt(), dimensions=256), 12,
        ),
        "openai stream 200": (
            lambda: drain(client.chat.completions.create(
                model="gpt-5-mini", messages=messages(), stream=True, stream_options={"include_usage": True})), 1,
        ),
        "gemini generate": (
            lambda: google.models.generate_content(
                model="gemini-2.5-flash", contents=prompt(), config={"temperature": 0.2}), 12,
        ),
        "gemini stream 200": (
            lambda: drain(google.models.generate_content_stream(model="gemini-2.5-flash", contents=prompt())), 1,
        ),
        "gemini embed": (
            lambda: google.models.embed_content(
                model="gemini-embedding-001", contents=prompt(), config={"output_dimensionality": 256}), 12,
        ),
    }  # fmt: skip


def cpu(function: Callable[[], object], count: int) -> float:
    """CPU microseconds of this thread for one call, over ``count`` calls."""
    started = time.thread_time_ns()
    for _ in range(count):
        function()
    return (time.thread_time_ns() - started) / count / 1000


class Switch:
    """The patched methods of a configuration that is set up once, put in place and taken out again."""

    def __init__(self, setup: Callable[[], otel_llm.Instrumentation | None], wrap: Wrap | None = None) -> None:
        report = setup()
        self._methods: list[tuple[type, str, Any, Any]] = []
        self._found: list[tuple[type, str, Any]] = []
        for label in report.patched if report else ():
            module, _, target = label.partition(":")
            name, _, method = target.partition(".")
            owner = getattr(sys.modules[module], name)
            patched = owner.__dict__[method]
            original = patched.__wrapped__
            self._found.append((owner, method, patched))
            self._methods.append((owner, method, original, wrap(original) if wrap else patched))

    def set(self, instrumented: bool) -> None:
        """Puts the patched methods in place, or the bare ones."""
        for owner, name, original, patched in self._methods:
            setattr(owner, name, patched if instrumented else original)

    def restore(self) -> None:
        """Leaves everything as it was found."""
        for owner, name, patched in self._found:
            setattr(owner, name, patched)
        otel_llm.uninstrument()


def plain_span(original: Callable[..., Any]) -> Callable[..., Any]:
    """A method below one plain span of the SDK's: what any instrumentation takes at least."""
    tracer = SAMPLED.get_tracer("plain")
    start = {f"gen_ai.request.attribute_{number}": "a value" for number in range(5)}
    late = {f"gen_ai.response.attribute_{number}": number if number % 2 else "a value" for number in range(26)}

    def call(*args: Any, **kwargs: Any) -> Any:
        span = tracer.start_span("chat gpt-5-mini", kind=SpanKind.CLIENT, attributes=start)
        token = context.attach(set_span_in_context(span))
        response = original(*args, **kwargs)
        context.detach(token)
        span.set_attributes(late)
        span.end()
        return response

    return call


def pair(function: Callable[[], object], count: int, rounds: int, switch: Switch) -> tuple[float, float, float]:
    """Median bare CPU, median paired difference and its standard error, in microseconds a call."""
    bare: list[float] = []
    added: list[float] = []
    gc.collect()
    gc.disable()
    for number in range(rounds):
        figures = {}
        for instrumented in (False, True) if number % 2 else (True, False):
            switch.set(instrumented)
            function()
            figures[instrumented] = cpu(function, count)
        bare.append(figures[False])
        added.append(figures[True] - figures[False])
    gc.enable()
    low, _, high = statistics.quantiles(added, n=4)
    error = 1.2533 * (high - low) / 1.349 / math.sqrt(rounds)  # of a median; the spread by quartiles, outliers apart
    return statistics.median(bare), statistics.median(added), error


def configurations(folder: Path) -> dict[str, tuple[Callable[[], otel_llm.Instrumentation | None], Wrap | None]]:
    """How the library is set up, by name, and what is put in place of its methods instead."""
    rules = otel_llm.guardrails.default()

    def content() -> otel_llm.Instrumentation:
        return otel_llm.instrument(tracer_provider=SAMPLED, capture_content=True, guardrails=rules, prompts=folder)

    def without(
        provider: trace.TracerProvider, meters: MeterProvider | None = None
    ) -> Callable[[], otel_llm.Instrumentation]:
        return lambda: otel_llm.instrument(
            tracer_provider=provider, meter_provider=meters, capture_content=False, prompts=folder
        )

    return {
        "bare (noise)": (lambda: None, None),
        "plain span": (content, plain_span),
        "content": (content, None),
        "no content": (without(SAMPLED), None),
        "unsampled": (without(UNSAMPLED), None),
        "no provider": (without(trace.NoOpTracerProvider()), None),
        "metrics": (without(UNSAMPLED, METERED), None),
    }


def measure(rounds: int) -> list[Figure]:
    """Every configuration with every call."""
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "answer.yaml").write_text(json.dumps({"versions": {"1": {"template": TEMPLATE}}}))
        setups = configurations(folder)
        setups["content"][0]()
        prompt = otel_llm.prompt("answer")
        table = calls(lambda: prompt.render(passage=PASSAGE, question="Why?"))
        for function, _ in table.values():  # imports what the SDKs import late
            function()
        gc.freeze()
        otel_llm.uninstrument()
        for configuration, (setup, wrap) in setups.items():
            switch = Switch(setup, wrap)
            for call, (function, count) in table.items():
                if configuration == "plain span" and "stream" in call:
                    continue  # it would end with the first chunk
                bare, added, error = pair(function, count, rounds, switch)
                aim = AIMS.get((configuration, call))
                met = None if aim is None else added - 2 * error <= aim
                figures.append(Figure(configuration, call, bare, added, error, (bare + added) / bare, aim, met))
            switch.restore()
    return figures


def where_it_goes(figures: list[Figure]) -> list[str]:
    """For each aim that was missed, the steps from a bare call to it, as differences between configurations."""
    added = {(figure.configuration, figure.call): figure.added_us for figure in figures}
    lines = []
    for figure in figures:
        plain, lean = added.get(("plain span", figure.call)), added.get(("no content", figure.call))
        if figure.met is False and plain is not None and lean is not None:
            lines.append(
                f"{figure.call}: {plain:.0f} us are a plain span of the SDK, {lean - plain:.0f} the request, the "
                f"response, the prompt and the cost, {figure.added_us - lean:.0f} the messages and the guardrails"
            )
    return lines


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under 50 s")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    options = parser.parse_args()
    figures = measure(rounds=16 if options.quick else 120)
    if options.json:
        print(json.dumps({"benchmark": "overhead", "unit": "us", "figures": [asdict(figure) for figure in figures]}))
        return
    print(f"{'configuration':14} {'call':18} {'bare us':>9} {'added us':>9} {'±':>5} {'ratio':>6} {'aim us':>7}")
    for figure in figures:
        aim = "" if figure.aim_us is None else f"{figure.aim_us:7.0f} {'met' if figure.met else 'MISSED'}"
        print(
            f"{figure.configuration:14} {figure.call:18} {figure.bare_us:9.0f} {figure.added_us:9.1f} "
            f"{figure.error_us:5.1f} {figure.ratio:6.2f} {aim}"
        )
    print("\n".join(where_it_goes(figures)))


if __name__ == "__main__":
    main()
