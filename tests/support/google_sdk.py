"""What tests of Google's SDK share: which methods the installed one has, a client of either API, and whole spans."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from operator import attrgetter
from typing import Any, Literal

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from opentelemetry.sdk.trace import ReadableSpan

from otel_llm.testing import ScriptedProvider

Api = Literal["gemini", "vertex"]


def new_client(provider: ScriptedProvider, api: Api = "gemini", **http_options: Any) -> genai.Client:
    """A client of the Developer API or of Vertex AI, talking to the scripted provider."""
    options: Any = {"base_url": provider.gemini_base_url, **http_options}
    if api == "gemini":
        return genai.Client(api_key="x", http_options=options)
    credentials: Any = Credentials(token="x")
    return genai.Client(vertexai=True, project="p", location="global", credentials=credentials, http_options=options)


@contextlib.contextmanager
def opened(provider: ScriptedProvider, api: Api = "gemini", **http_options: Any) -> Iterator[Any]:
    """A client, closed again; older SDKs cannot, what is below them can."""
    client: Any = new_client(provider, api, **http_options)
    try:
        yield client
    finally:
        (client if hasattr(client, "close") else client._api_client._httpx_client).close()


@contextlib.asynccontextmanager
async def opened_async(provider: ScriptedProvider, api: Api = "gemini", **http_options: Any) -> AsyncIterator[Any]:
    """The asynchronous side of a client."""
    with opened(provider, api, **http_options) as client:
        try:
            yield client.aio
        finally:
            await (client.aio if hasattr(client.aio, "aclose") else client._api_client._async_httpx_client).aclose()


def has(path: str) -> bool:
    """Whether the installed SDK has a method such as ``models.embed_content``, or a field such as ``Part.thought``."""
    if path[0].isupper():
        name, _, member = path.partition(".")
        return member in getattr(getattr(types, name, None), "model_fields", {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            attrgetter(path)(genai.Client(api_key="x"))
        except AttributeError:
            return False
    return True


def needs(*paths: str) -> pytest.MarkDecorator:
    """For tests of what not every supported SDK has."""
    missing = [path for path in paths if not has(path)]
    return pytest.mark.skipif(bool(missing), reason=f"google-genai {genai.__version__} has no {', '.join(missing)}")


def method(client: Any, path: str) -> Callable[..., Any]:
    """A method by its path; ``chat.send_message`` is one of a new chat."""
    if path.startswith("chat."):
        client = type("WithChat", (), {"chat": client.chats.create(model="gemini-2.5-flash")})
    found: Callable[..., Any] = attrgetter(path)(client)
    return found


def call(client: Any, path: str, kwargs: dict[str, Any]) -> Any:
    """Calls a method, and reads a stream to its end."""
    result = method(client, path)(**kwargs)
    return list(result) if hasattr(result, "__next__") else result


async def call_async(client: Any, path: str, kwargs: dict[str, Any]) -> Any:
    """The same with the asynchronous side of a client."""
    result = method(client, path)(**kwargs)
    if inspect.isawaitable(result):
        result = await result
    return [item async for item in result] if hasattr(result, "__anext__") else result


def described(span: ReadableSpan) -> dict[str, Any]:
    """A span without what differs from run to run, after a look that it is there and right."""
    attributes = {
        name: list(value) if isinstance(value, tuple) else value for name, value in (span.attributes or {}).items()
    }
    if span.kind.name == "CLIENT":
        assert attributes.pop("server.address") == "127.0.0.1"
        assert attributes.pop("server.port") > 0
    assert attributes.pop("otel_llm.cost.price_version", "genai-prices ").startswith("genai-prices ")
    for seconds in (
        "gen_ai.response.time_to_first_chunk",
        "otel_llm.stream.time_per_output_chunk",
        "otel_llm.work.duration",
    ):
        if seconds in attributes:
            assert 0 < attributes[seconds] < 60
            attributes[seconds] = "seconds"
    return {"name": span.name, "kind": span.kind.name, "status": span.status.status_code.name, **attributes}
