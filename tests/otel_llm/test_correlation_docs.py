"""What docs/correlation.md shows runs, over sockets; the provider alone is scripted."""

from __future__ import annotations

import io
import json
import logging
import queue
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.trace import SpanKind

import otel_llm
from tests.conftest import Spans
from tests.support.served import get, uvicorn_serves, wsgiref_serves

PAGE = (Path(__file__).parents[2] / "docs" / "correlation.md").read_text()
SECTIONS = {
    section.partition("\n")[0]: re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    for section in PAGE.split("\n## ")[1:]
}


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the page instruments is as it was, and no provider is the whole process's."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    before = propagate.get_global_textmap()
    yield
    for instrumentor in (CeleryInstrumentor(), HTTPXClientInstrumentor(), RequestsInstrumentor()):
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()
    propagate.set_global_textmap(before)


@pytest.fixture
def names(instrumented: Spans, openai_client: Any) -> dict[str, Any]:
    """What an application has before it begins to read."""
    return {"otel_llm": otel_llm, "client": openai_client, "queue": queue.Queue()}


def run(section: str, names: dict[str, Any]) -> None:
    """Executes the blocks of a section, as a module would be."""
    for block in SECTIONS[section]:
        exec(compile(block.replace("from __future__ import annotations\n", ""), f"{section}.py", "exec"), names)


def users(spans: Spans) -> list[Any]:
    """Who made each model call."""
    return [(span.attributes or {}).get("user.id") for span in spans.all() if span.kind is SpanKind.CLIENT]


def test_fastapi_and_its_streams(names: dict[str, Any], instrumented: Spans) -> None:
    """A plain handler and one whose stream goes on when it has returned."""
    run("FastAPI, and whatever else speaks ASGI", names)
    run("Streams that outlive their handler", names)
    with uvicorn_serves(names["app"]) as url:
        for path in ("/ask/fire", "/stream/fire"):
            status, headers, body = get(f"{url}{path}", {"X-Request-ID": "r-1"})
            assert (status, headers["x-request-id"], bool(body)) == (200, "r-1", True)
    assert users(instrumented) == ["ada", "ada"]
    servers = [span.name for span in instrumented.all() if span.kind is SpanKind.SERVER]
    assert servers == ["GET /ask/{topic}", "GET /stream/{topic}"]


def test_flask_with_baggage(names: dict[str, Any], instrumented: Spans) -> None:
    """The user travels to a service that accepts it."""
    run("Flask, and whatever else speaks WSGI", names)
    run("Other services: httpx, requests", names)
    client, server = SECTIONS["Who asked: baggage"]
    exec(server, names)
    with wsgiref_serves(names["trusting"]) as url:
        names["desk"] = url
        exec(client, names)
    (asked,) = (
        span for span in instrumented.all() if (span.attributes or {}).get("user.id") and span.name[:4] == "chat"
    )
    assert (asked.attributes or {})["user.id"] == "ada"


def test_queues_and_batches(names: dict[str, Any], instrumented: Spans) -> None:
    """One trace for a message; links for many."""
    run("Queues", names)
    run("Batches", names)
    with otel_llm.observe("request") as request:
        names["ask_for_summary"]("text")
    message = names["queue"].queue[0]
    names["work"]()
    names["index"](message)
    names["work_on"]([message, message])
    spans = instrumented.all()
    jobs = {span.name: span for span in spans if span.kind is SpanKind.CONSUMER}
    identity = request.get_span_context()
    assert {jobs[name].context.trace_id for name in ("summarise", "index")} == {identity.trace_id}
    assert [link.context.span_id for link in jobs["summarise all"].links] == [identity.span_id] * 2
    assert len([span for span in spans if span.kind is SpanKind.CLIENT]) == 4


def test_celery(names: dict[str, Any], instrumented: Spans) -> None:
    """The task runs as the page has it; over a broker it does in test_instrumentations.py."""
    run("Celery", names)
    names["summarise"].apply(args=["text"], task_id="7").get()
    (call,) = (span for span in instrumented.all() if span.kind is SpanKind.CLIENT)
    assert (call.attributes or {})["otel_llm.task.id"] == "7"


def test_log_lines(names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One JSON object on stderr."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    try:
        run("Log lines", names)
    finally:
        logging.getLogger("desk").removeHandler(names["handler"])
    line = json.loads(stream.getvalue())
    assert (line["message"], line["batch_id"], line["duration_ms"]) == ("nothing found", "b1", 12.5)


def test_every_block_is_run() -> None:
    """Of each section that has one."""
    assert {name for name, blocks in SECTIONS.items() if blocks} == {
        "FastAPI, and whatever else speaks ASGI", "Flask, and whatever else speaks WSGI",
        "Other services: httpx, requests", "Who asked: baggage", "Streams that outlive their handler", "Queues",
        "Batches", "Celery", "Log lines",
    }  # fmt: skip
