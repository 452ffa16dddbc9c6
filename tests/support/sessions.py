"""What tests of sessions share: conversations sync and async, clients of Live, and the whole span of a turn."""

from __future__ import annotations

import base64
import datetime
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from operator import attrgetter
from typing import Any, Literal

import openai
from google import genai
from google.oauth2.credentials import Credentials
from opentelemetry.sdk.trace import ReadableSpan

from otel_llm.testing import ScriptedProvider

#: What the client does, a method and its parameters, or the type of the event that it then waits for.
Step = tuple[str, dict[str, Any]] | str

SILENCE = base64.b64encode(bytes(8)).decode()
TEXT_ONLY = {"type": "realtime", "output_modalities": ["text"]}
NO_DETECTION = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}


def audio(text: str) -> str:
    """Speech, for the scripted provider."""
    return base64.b64encode(text.encode()).decode()


def said(text: str) -> Step:
    """The user says something in writing."""
    content = [{"type": "input_text", "text": text}]
    return "conversation.item.create", {"item": {"type": "message", "role": "user", "content": content}}


def asked(**response: Any) -> Step:
    """A response is asked for."""
    return "response.create", {"response": response} if response else {}


def talk(connection: Any, steps: Iterable[Step]) -> list[Any]:
    """Does the steps, one after the other; every event that came."""
    events = []
    for step in steps:
        if isinstance(step, str):
            events.append(connection.recv())
            while events[-1].type != step:
                events.append(connection.recv())
        else:
            attrgetter(step[0])(connection)(**step[1])
    return events


async def talk_async(connection: Any, steps: Iterable[Step]) -> list[Any]:
    """The same on an async connection."""
    events = []
    for step in steps:
        if isinstance(step, str):
            events.append(await connection.recv())
            while events[-1].type != step:
                events.append(await connection.recv())
        else:
            await attrgetter(step[0])(connection)(**step[1])
    return events


def realtime(provider: ScriptedProvider, steps: Iterable[Step], **connect: Any) -> list[Any]:
    """A whole session."""
    with connected(provider, **connect) as connection:
        return talk(connection, steps)


def options(provider: ScriptedProvider) -> dict[str, Any]:
    """What an OpenAI client is made with; an older one would connect by TLS unless told."""
    return {"api_key": "x", "websocket_base_url": provider.openai_base_url.replace("http", "ws")}


@contextmanager
def connected(provider: ScriptedProvider, **connect: Any) -> Iterator[Any]:
    """A session."""
    given = {"model": "gpt-realtime"} | connect
    with openai.OpenAI(**options(provider)) as client, client.realtime.connect(**given) as connection:
        yield connection


async def realtime_async(provider: ScriptedProvider, steps: Iterable[Step], **connect: Any) -> list[Any]:
    """A whole session, async."""
    async with connected_async(provider, **connect) as connection:
        return await talk_async(connection, steps)


@asynccontextmanager
async def connected_async(provider: ScriptedProvider, **connect: Any) -> AsyncIterator[Any]:
    """A session, async."""
    given = {"model": "gpt-realtime"} | connect
    async with openai.AsyncOpenAI(**options(provider)) as client, client.realtime.connect(**given) as connection:
        yield connection


@asynccontextmanager
async def live(
    provider: ScriptedProvider, backend: Literal["gemini", "vertex"] = "gemini", **config: Any
) -> AsyncIterator[Any]:
    """A Live session, in writing unless ``config`` says else."""
    given: dict[str, Any] = {"api_key": "x"}
    if backend == "vertex":
        later = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(hours=1)
        given = {"vertexai": True, "project": "p", "location": "us-central1"}
        given["credentials"] = Credentials(token="x", expiry=later)
    client = genai.Client(http_options=provider.gemini_live_options, **given)
    config = {"response_modalities": ["TEXT"]} | config
    async with client.aio.live.connect(model="gemini-live-2.5-flash", config=config) as session:
        yield session


async def answered(session: Any) -> list[Any]:
    """Reads until the turn is complete."""
    return [message async for message in session.receive()]


def whole(span: ReadableSpan) -> dict[str, Any]:
    """The span without what differs from run to run, after a look that it is there and right."""
    attributes = {
        name: list(value) if isinstance(value, tuple) else value for name, value in (span.attributes or {}).items()
    }
    assert attributes.pop("server.address") == "127.0.0.1"
    assert attributes.pop("server.port") > 0
    assert attributes.pop("otel_llm.cost.price_version", "genai-prices ").startswith("genai-prices ")
    if span.name.startswith("generate_content"):  # older SDKs do not tell the session's id
        assert attributes.pop("gen_ai.conversation.id", "live-00000001") == "live-00000001"
    for name in ("gen_ai.response.time_to_first_chunk", "otel_llm.stream.time_per_output_chunk"):
        if name in attributes:
            assert 0 < attributes.pop(name) < 60
            attributes[name] = "some"
    return {"name": span.name, "kind": span.kind.name, "status": span.status.status_code.name, **attributes}
