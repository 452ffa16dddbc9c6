"""What the three services share: the web server, spans around requests, and the way to call the next service."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web
from opentelemetry import trace
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

import otel_llm
from otel_llm.guardrails import WordList
from otel_llm_demo.ledger import Ledger

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

#: Whether the SDKs talk to the real providers.
LIVE = os.environ.get("OTEL_LLM_DEMO_LIVE") == "1"

#: Answers may come from either provider, whatever the prompt.
FLASH = "gemini-3.8-flash"
MINI = "gpt-5.4-mini"
LUNA = "gpt-6-luna"


class ServiceError(Exception):
    """Another service could not do what it was asked to; the message is the one that it gave."""


ledger = Ledger()
_tracer = trace.get_tracer("otel_llm_demo")
_reader: ContextVar[Mapping[str, str]] = ContextVar("reader")


def run(name: str, routes: Mapping[str, Handler]) -> None:
    """Serve ``routes`` until the process is told to end; ``name`` is the name of the service."""
    parser = argparse.ArgumentParser(prog=f"python -m otel_llm_demo.{name}", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="port to listen on, on loopback")
    port = parser.parse_args().port

    claims = WordList(
        name="no_false_claims",
        words=["perpetual motion", "free energy"],
        action="block",
        stages=("output",),
        severity="error",
    )
    otel_llm.instrument(
        service_name=name,
        capture_content=True,
        prompts=Path(__file__).parent / "prompts",
        guardrails=[*otel_llm.guardrails.default(), claims],
    )
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.add_span_processor(ledger)
    app = web.Application(middlewares=[_in_a_span])
    app.cleanup_ctx.append(_with_its_parent)
    app.router.add_get("/ready", _ready)
    app.router.add_post("/finish", _finish)
    for path, handler in routes.items():
        app.router.add_post(path, _json(handler))
    web.run_app(app, host="127.0.0.1", port=port, print=None)


async def call(url: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask another service, in a client span whose context goes with the request."""
    with _tracer.start_as_current_span(f"POST {path}", kind=SpanKind.CLIENT) as span:
        span.set_attributes({"http.request.method": "POST", "url.full": url + path})
        headers = dict(_reader.get({}))
        inject(headers)
        async with ClientSession() as session, session.post(url + path, json=body, headers=headers) as response:
            span.set_attribute("http.response.status_code", response.status)
            answer: dict[str, Any] = await response.json()
            if response.status != 200:
                raise ServiceError(answer["error"])
            return answer


@web.middleware
async def _in_a_span(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A server span that continues the caller's trace, and the reader for every model call below it."""
    if request.method != "POST" or request.path == "/finish":
        return await handler(request)
    reader = {name: value for name in ("x-user-id", "x-session-id") if (value := request.headers.get(name))}
    _reader.set(reader)
    with (
        _tracer.start_as_current_span(
            f"POST {request.path}",
            context=extract(request.headers),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": "POST", "url.path": request.path, "http.route": request.path},
        ) as span,
        otel_llm.context(user_id=reader.get("x-user-id"), session_id=reader.get("x-session-id"), tags=["demo"]),
    ):
        try:
            response = await handler(request)
        except Exception as error:
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, str(error))
            text = str(error) if isinstance(error, ServiceError) else f"{type(error).__name__}: {error}"
            response = web.json_response({"error": text}, status=502)
        span.set_attribute("http.response.status_code", response.status)
        return response


def _json(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(await handler(await request.json()))

    return handle


async def _with_its_parent(app: web.Application) -> AsyncIterator[None]:
    """End when the process that started this one does, even if it was killed and could end nobody."""

    async def watch(parent: int) -> None:
        while os.getppid() == parent:
            await asyncio.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    task = asyncio.create_task(watch(os.getppid()))
    yield
    task.cancel()


async def _ready(request: web.Request) -> web.Response:
    return web.json_response({"ready": True})


async def _finish(request: web.Request) -> web.Response:
    """Send every span that is still here, and say what was seen."""
    otel_llm.flush()
    return web.json_response(ledger.as_dict())
