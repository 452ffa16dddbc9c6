"""From a trace to its calls, log lines, costs and Jaeger's page, by the command; sent by OpenTelemetry's SDK."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_llm
from otel_llm.testing import ScriptedProvider
from otel_llm_collector.settings import Settings
from tests.support.collector import Handle, start_collector
from tests.support.command import otel_llm as run
from tests.support.command import sentence

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
JAEGER = "http://localhost:16686"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector that knows where Jaeger is."""
    handle = start_collector(tmp_path_factory.mktemp("correlation"), jaeger_url=JAEGER)
    yield handle
    assert handle.stop() == 0


@pytest.fixture(scope="module")
def trace(collector: Handle) -> str:
    """A trace of two calls for two users, with two log lines; and another one with a call."""
    resource = Resource.create({"service.name": "desk"})
    spans, logs = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{collector.http}/v1/traces")))
    logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(f"{collector.http}/v1/logs")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it moves into a package of its own
        from opentelemetry.sdk._logs import LoggingHandler

        handler = LoggingHandler(logger_provider=logs)
    logger = logging.getLogger("desk")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    otel_llm.instrument(tracer_provider=spans)
    try:
        with ScriptedProvider() as provider, openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
            with otel_llm.observe("request") as span:
                logger.info("asked", extra={"ticket": 7})
                with otel_llm.observe("answer"), otel_llm.context(user_id="ada"):
                    client.chat.completions.create(**CHAT)
                    logger.error("no\x1b[31mthing found")
                with otel_llm.context(user_id="bob"):
                    client.chat.completions.create(**CHAT)
            logger.info("of no trace")
            client.chat.completions.create(**CHAT)
    finally:
        otel_llm.uninstrument()
        logger.removeHandler(handler)
        spans.shutdown()
        logs.shutdown()
    collector.flush()
    return f"{span.get_span_context().trace_id:032x}"


def test_the_whole_of_a_trace(collector: Handle, trace: str) -> None:
    """Spans with costs summed up, log lines with their spans, costs by service, prompt and user, Jaeger's page."""
    shown = json.loads(run("trace", trace[:12], "--json", "--data", str(collector.data)).stdout)
    assert (shown["trace_id"], shown["jaeger"]) == (trace, f"{JAEGER}/trace/{trace}")
    by_name = {span["span_name"]: span for span in shown["spans"]}
    calls = [span for span in shown["spans"] if span["provider"]]
    assert len(calls) == 2
    assert all(call["cost_total"] > 0 for call in calls)
    stored = collector.query("SELECT sum(cost_total) AS cost FROM llm_calls WHERE trace_id = {t:String}", t=trace)
    assert by_name["request"]["cost_sum"] == pytest.approx(stored[0]["cost"], rel=1e-9)
    assert by_name["answer"]["cost_sum"] == calls[0]["cost_sum"] == calls[0]["cost_total"]
    assert [(cost["service_name"], cost["prompt_name"], cost["user_id"], cost["calls"]) for cost in shown["costs"]] == [
        ("desk", "", "ada", 1), ("desk", "", "bob", 1),
    ]  # fmt: skip
    assert sum(cost["cost_total"] for cost in shown["costs"]) == pytest.approx(stored[0]["cost"], rel=1e-9)
    lines = [(line["body"], line["severity"], line["span_id"], line["service_name"]) for line in shown["logs"]]
    assert lines == [
        ("asked", "INFO", by_name["request"]["span_id"], "desk"),
        ("no\x1b[31mthing found", "ERROR", by_name["answer"]["span_id"], "desk"),
    ]
    assert shown["logs"][0]["attributes"]["ticket"] == "7"


def test_as_people_see_it(collector: Handle, trace: str) -> None:
    """What the terminal would obey is not printed."""
    text = run("trace", trace, "--data", str(collector.data)).stdout
    assert text.count("Σ $") == 2
    assert "Cost by service, prompt and user" in text
    assert "2 log lines" in text
    assert "asked" in text
    assert "\x1b" not in text
    assert text.splitlines()[-1] == f"Jaeger: {JAEGER}/trace/{trace}"


def test_the_calls_of_a_trace(collector: Handle, trace: str) -> None:
    """By its id, its first digits, or the handle of a call; no other trace's."""
    everything = json.loads(run("calls", "--json", "--data", str(collector.data)).stdout)
    assert len(everything) == 3
    handle = f"00-{trace}-{everything[0]['span_id']}-01"
    for given in (trace, trace[:12].upper(), handle):
        calls = json.loads(run("calls", "--trace", given, "--json", "--data", str(collector.data)).stdout)
        assert [call["user_id"] for call in calls] == ["bob", "ada"]
    assert f"Last 2 calls of trace {trace}" in run("calls", "--trace", trace, "--data", str(collector.data)).stdout
    assert "xyz is not a trace id" in sentence(run("calls", "--trace", "xyz", "--data", str(collector.data)))


def test_jaegers_address_may_be_given(collector: Handle, trace: str) -> None:
    """By an option or the environment, which win over what the collector says; it must be one."""
    arguments = ("trace", trace, "--json", "--data", str(collector.data))
    for done in (run(*arguments, "--jaeger-url", "https://j/ui/"), run(*arguments, OTEL_LLM_JAEGER_URL="https://j/ui")):
        assert json.loads(done.stdout)["jaeger"] == f"https://j/ui/trace/{trace}"
    said = sentence(run(*arguments, "--jaeger-url", "javascript:alert(1)"))
    assert said.startswith("--jaeger-url is 'javascript:alert(1)'; it must be the address of pages")


def test_a_span_that_is_stored_twice_is_two_and_not_four(collector: Handle) -> None:
    """As ``llm_calls`` has it: the tree's sum is the table's."""
    kept = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource.create({"service.name": "twice"}))
    provider.add_span_processor(SimpleSpanProcessor(kept))
    otel_llm.instrument(tracer_provider=provider)
    try:
        with otel_llm.call(provider="openai", model="gpt-5-mini", input="hi") as call:
            call.complete(output="ho", usage={"input_tokens": 1000, "output_tokens": 1000})
    finally:
        otel_llm.uninstrument()
    provider.get_tracer("x").start_span("other").end()
    spans = [span for span in kept.get_finished_spans() if span.name != "other"]
    trace = f"{spans[0].context.trace_id:032x}"
    made = "SELECT count() AS n, sum(cost_total) AS cost FROM llm_calls WHERE trace_id = {t:String}"
    for requests in (spans, kept.get_finished_spans()):  # another request, so that it is no resend
        exporter = OTLPSpanExporter(f"{collector.http}/v1/traces")
        exporter.export(requests)
        exporter.shutdown()
        collector.flush()
    shown = json.loads(run("trace", trace, "--json", "--data", str(collector.data)).stdout)
    stored = collector.query(made, t=trace)
    assert stored[0]["n"] == 2
    assert len([span for span in shown["spans"] if span["provider"]]) == stored[0]["n"]
    assert sum(span["cost_total"] or 0 for span in shown["spans"]) == pytest.approx(stored[0]["cost"], rel=1e-9)


def test_the_collector_says_where_jaeger_is(collector: Handle, tmp_path: Path) -> None:
    """In its status; where it is not told, there is no link."""
    status = json.loads(run("status", "--json", "--data", str(collector.data)).stdout)
    assert status["jaeger_url"] == JAEGER
    assert Settings(data=tmp_path).jaeger_url is None
