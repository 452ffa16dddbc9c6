"""Beside OpenTelemetry's own instrumentations, over real sockets: one request is one trace, with its calls below it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import celery
import fastapi
import flask
import httpx
import openai
import pytest
import requests
from celery.contrib.testing.worker import start_worker
from celery.signals import setup_logging
from fastapi.responses import StreamingResponse
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor, HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

import otel_llm
from otel_llm.testing import ScriptedProvider
from otel_llm.web import ASGIMiddleware, WSGIMiddleware, in_context
from tests.conftest import Spans
from tests.support.served import get, opened, uvicorn_serves, wsgiref_serves

CHAT: dict[str, Any] = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "hi"}]}
both = pytest.mark.parametrize("beside", ["", "instrumentation"], ids=lambda beside: beside or "alone")
ways = pytest.mark.parametrize("beside", ["", "instrumentation", "itself"], ids=lambda beside: beside or "alone")
"""By itself FastAPI makes a server span, where it has a provider."""


@pytest.fixture(autouse=True)
def clients(instrumented: Spans, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """HTTP clients carry the trace, as applications have them; FastAPI has no provider but what a test gives it."""
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    before = propagate.get_global_textmap()
    instrumentors = (HTTPXClientInstrumentor(), HTTPX2ClientInstrumentor(), RequestsInstrumentor())
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=instrumented.provider)
    yield
    for instrumentor in instrumentors:
        instrumentor.uninstrument()
    propagate.set_global_textmap(before)


def flask_app(spans: Spans, client: openai.OpenAI, beside: str) -> flask.Flask:
    """Answers, and streams by a generator that goes on when its view has returned."""
    app = flask.Flask("answers")

    @app.get("/answer/<name>")
    def answer(name: str) -> str:
        client.chat.completions.create(**CHAT)
        return name

    @app.get("/stream")
    def stream() -> flask.Response:
        def chunks() -> Iterator[str]:
            for chunk in client.chat.completions.create(**CHAT, stream=True):
                yield f"{chunk.id}\n"

        with otel_llm.context(user_id="ada"):
            return flask.Response(in_context(chunks()))

    if beside == "instrumentation":
        FlaskInstrumentor().instrument_app(app, tracer_provider=spans.provider)
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, accept_baggage=True)  # type: ignore[method-assign]
    return app


def fastapi_app(spans: Spans, client: openai.OpenAI, beside: str, answers: str = "") -> fastapi.FastAPI:
    """Asks another service, and streams in each way there is."""
    own: Any = {"tracer_provider": spans.provider, "operation_spans": False} if beside == "itself" else None
    app = fastapi.FastAPI(telemetry=own)

    @app.get("/ask/{name}")
    async def ask(name: str) -> str:
        with otel_llm.context(user_id="ada", baggage=True):
            async with httpx.AsyncClient() as http:
                await http.get(f"{answers}/answer/{name}")
        return name

    @app.get("/ask-plain")
    def ask_plain() -> str:
        with otel_llm.context(user_id="ada", baggage=True):
            return requests.get(f"{answers}/answer/x", timeout=30).text

    def chunks() -> Iterator[str]:
        yield "first\n"
        for chunk in client.chat.completions.create(**CHAT, stream=True):
            yield f"{chunk.id}\n"

    async def chunks_async() -> AsyncIterator[str]:
        yield "first\n"
        async with openai.AsyncOpenAI(api_key="x", base_url=str(client.base_url)) as other:
            async for chunk in await other.chat.completions.create(**CHAT, stream=True):
                yield f"{chunk.id}\n"

    @app.get("/stream/{how}")
    async def stream(how: str) -> StreamingResponse:
        with otel_llm.context(user_id="ada"):
            return StreamingResponse(in_context(chunks()) if how == "sync" else in_context(chunks_async()))

    @app.get("/plain-stream")
    def plain_stream() -> StreamingResponse:
        return StreamingResponse(chunks())

    app.add_middleware(ASGIMiddleware)
    if beside == "instrumentation":
        FastAPIInstrumentor.instrument_app(app, tracer_provider=spans.provider, exclude_spans=["receive", "send"])
    return app


def tree(spans: Spans) -> dict[str, tuple[SpanKind, str]]:
    """The spans of the only trace: by name, each with its kind and the name of its parent."""
    ended = spans.all()
    assert len({span.context.trace_id for span in ended}) == 1
    names = {span.context.span_id: span.name for span in ended}
    assert len(set(names.values())) == len(ended), sorted(names.values())
    return {span.name: (span.kind, names[span.parent.span_id] if span.parent else "") for span in ended}


def call(spans: Spans) -> ReadableSpan:
    """The only model call."""
    (found,) = (span for span in spans.all() if span.name == "chat gpt-5-mini")
    return found


def server(spans: Spans) -> ReadableSpan:
    """The only server span."""
    (found,) = (span for span in spans.all() if span.kind is SpanKind.SERVER)
    return found


@ways
@pytest.mark.parametrize("path", ["/ask/x", "/ask-plain"])
def test_across_fastapi_and_flask(
    path: str, beside: str, instrumented: Spans, openai_client: Any, provider: ScriptedProvider
) -> None:
    """One trace, a server span a service, the user by baggage, and nothing of either for the provider."""
    answers = flask_app(instrumented, openai_client, beside)
    with (
        wsgiref_serves(answers) as below,
        uvicorn_serves(fastapi_app(instrumented, openai_client, beside, below)) as url,
    ):
        _, headers, _ = get(f"{url}{path}", {"X-Request-ID": "r-1"})
    spans = instrumented.all()
    trace_id = headers["x-trace-id"]
    assert {f"{span.context.trace_id:032x}" for span in spans} == {trace_id}
    servers = [span for span in spans if span.kind is SpanKind.SERVER]
    front = "GET /ask/{name}" if path == "/ask/x" else f"GET {path}"
    assert sorted(span.name for span in servers) == sorted(["GET /answer/<name>", front])
    assert [span.name for span in spans if span.parent is None] == [front]
    said = call(instrumented).attributes or {}
    assert said["user.id"] == "ada"
    assert said["otel_llm.request.id"] not in ("r-1", "")
    (request,) = provider.requests
    assert not {"traceparent", "tracestate", "baggage", "x-request-id", "x-trace-id"}.intersection(request.headers)
    assert "ada" not in json.dumps(dict(request.headers))


@ways
@pytest.mark.parametrize("path", ["/stream/sync", "/stream/async", "/plain-stream"])
def test_a_stream_of_fastapi_outlives_its_handler(
    path: str, beside: str, instrumented: Spans, openai_client: Any
) -> None:
    """Its call is below the request, with the request's id, and with the handler's user where that is carried on."""
    with uvicorn_serves(fastapi_app(instrumented, openai_client, beside)) as url:
        _, headers, body = get(f"{url}{path}", {"X-Request-ID": "r-1"})
    assert body.startswith(b"first\n")
    made, served = call(instrumented), server(instrumented)
    assert made.parent is not None
    assert made.parent.span_id == served.context.span_id
    assert headers["x-trace-id"] == f"{made.context.trace_id:032x}"
    said = made.attributes or {}
    assert (said["otel_llm.request.id"], said["otel_llm.stream.outcome"]) == ("r-1", "completed")
    assert said.get("user.id") == (None if path == "/plain-stream" else "ada")
    assert (served.attributes or {})["otel_llm.request.id"] == "r-1"
    assert made.end_time is not None
    assert served.end_time is not None
    assert served.end_time >= made.end_time


@both
def test_a_stream_of_flask_outlives_its_view(beside: str, instrumented: Spans, openai_client: Any) -> None:
    """The same in the server's thread, by the standard library's server."""
    with wsgiref_serves(flask_app(instrumented, openai_client, beside)) as url:
        _, headers, body = get(f"{url}/stream", {"X-Request-ID": "r-1"})
    assert body
    made, served = call(instrumented), server(instrumented)
    assert headers["x-trace-id"] == f"{made.context.trace_id:032x}" == f"{served.context.trace_id:032x}"
    assert made.parent is not None
    said = made.attributes or {}
    assert (said["otel_llm.request.id"], said["user.id"], said["otel_llm.stream.outcome"]) == (
        "r-1",
        "ada",
        "completed",
    )
    assert served.name == "GET /stream"


def test_a_client_that_goes_away_in_the_middle(instrumented: Spans) -> None:
    """The request's span ends, and says how; the generator is told by the server, as without us."""
    told = threading.Event()
    app = fastapi.FastAPI()

    async def chunks() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0.001)
        finally:
            told.set()

    @app.get("/long")
    async def long() -> StreamingResponse:
        return StreamingResponse(in_context(chunks()))

    app.add_middleware(ASGIMiddleware)
    with uvicorn_serves(app) as url:
        with opened(f"{url}/long") as answer:
            answer.read(10)
        assert told.wait(30)
    assert server(instrumented).name == "GET /long"
    assert (server(instrumented).attributes or {})["otel_llm.stream.outcome"] in ("closed_early", "error")


@both
def test_a_task_of_celery(beside: str, instrumented: Spans, openai_client: Any) -> None:
    """Beside its instrumentation the trace comes by itself; without it, by a carrier in the arguments."""
    app = celery.Celery("desk", broker="memory://", backend="cache+memory://")
    app.conf.update(broker_connection_retry_on_startup=False)

    def nothing(**given: Any) -> None:
        """In place of Celery's own setting up of the process's logging."""

    setup_logging.connect(nothing)

    @app.task(bind=True, shared=False)
    def summarise(self: Any, carrier: dict[str, str]) -> str:
        with otel_llm.job("summarise", carrier, job_id=self.request.id, accept_baggage=True):
            openai_client.chat.completions.create(**CHAT)
        return str(self.request.id)

    instrumentor = CeleryInstrumentor()
    if beside:
        instrumentor.instrument(tracer_provider=instrumented.provider)
    try:
        with start_worker(app, pool="solo", perform_ping_check=False), otel_llm.observe("request"):
            with otel_llm.context(user_id="ada", baggage=True):
                result = summarise.delay({} if beside else otel_llm.carrier())
            job_id = result.get(timeout=30)
    finally:
        setup_logging.disconnect(nothing)
        if beside:
            instrumentor.uninstrument()
    found = tree(instrumented)
    assert found["chat gpt-5-mini"][1] == "summarise"
    assert found["summarise"][0] is SpanKind.CONSUMER
    parents = ["summarise"]
    while parents[-1] != "request":
        parents.append(found[parents[-1]][1])
    assert len(parents) == (4 if beside else 2)
    said = call(instrumented).attributes or {}
    assert (said["otel_llm.task.id"], said["user.id"]) == (job_id, "ada")
