"""What tests of OpenAI's SDK share: which methods the installed one has, a call sync or async, and the whole span."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncGenerator
from importlib.util import find_spec
from operator import attrgetter
from typing import Any, Literal

import openai
import pytest

from otel_llm.testing import ScriptedProvider
from tests.conftest import Spans

#: What a connection that is cut in the middle of a stream is to the caller; before 3.0 it was the HTTP library's own.
CUT: tuple[type[Exception], ...] = (
    openai.APIConnectionError,
    *(importlib.import_module(name).RemoteProtocolError for name in ("httpx", "httpx2") if find_spec(name)),
)

Read = Literal["plain", "iterate", "manage", "bytes"]


def has(path: str) -> bool:
    """Whether the installed SDK has a method, such as ``images.generate``."""
    with openai.OpenAI(api_key="x") as client:
        try:
            attrgetter(path)(client)
        except AttributeError:
            return False
    return True


def needs(path: str) -> pytest.MarkDecorator:
    """For tests of a method that not every supported SDK has."""
    return pytest.mark.skipif(not has(path), reason=f"openai {openai.__version__} has no {path}")


def call(provider: ScriptedProvider, path: str, kwargs: dict[str, Any], read: Read = "plain") -> Any:
    """Calls a method and reads what it gives."""
    with openai.OpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        result = attrgetter(path)(client)(**kwargs)
        if read == "iterate":
            for _ in result:
                pass
        elif read == "manage":
            with result as stream:
                for _ in stream:
                    pass
        elif read == "bytes":
            result.read()
        return result


async def call_async(provider: ScriptedProvider, path: str, kwargs: dict[str, Any], read: Read = "plain") -> Any:
    """The same with the async client."""
    async with openai.AsyncOpenAI(api_key="x", base_url=provider.openai_base_url) as client:
        result = attrgetter(path)(client)(**kwargs)
        if inspect.isawaitable(result):
            result = await result
        if read == "iterate":
            async for _ in result:
                pass
        elif read == "manage":
            async with result as stream:
                async for _ in stream:
                    pass
        elif read == "bytes":
            result.read()
        return result


def whole(spans: Spans) -> dict[str, Any]:
    """The only span without what differs from run to run, after a look that it is there and right."""
    span = spans.one()
    attributes = {
        name: list(value) if isinstance(value, tuple) else value for name, value in (span.attributes or {}).items()
    }
    assert attributes.pop("server.address") == "127.0.0.1"
    assert attributes.pop("server.port") > 0
    assert attributes.pop("otel_llm.cost.price_version", "genai-prices ").startswith("genai-prices ")
    for seconds in ("gen_ai.response.time_to_first_chunk", "otel_llm.stream.time_per_output_chunk"):
        assert 0 < attributes.pop(seconds, 1) < 60
    return {"name": span.name, "kind": span.kind.name, "status": span.status.status_code.name, **attributes}


class Clients:
    """The sync and the async client of one provider behind one face, for tests that try both."""

    def __init__(self, provider: ScriptedProvider, asynchronous: bool, **settings: Any) -> None:
        self.asynchronous = asynchronous
        kind = openai.AsyncOpenAI if asynchronous else openai.OpenAI
        self.client: Any = kind(api_key="x", base_url=provider.openai_base_url, **settings)

    async def result(self, value: Any) -> Any:
        """What a method gave, awaited where it has to be."""
        return await value if inspect.isawaitable(value) else value

    async def call(self, path: str, **kwargs: Any) -> Any:
        """Calls a method."""
        return await self.result(attrgetter(path)(self.client)(**kwargs))

    async def items(self, stream: Any) -> AsyncGenerator[Any, None]:
        """Goes through a stream."""
        if self.asynchronous:
            async for item in stream:
                yield item
        else:
            for item in stream:
                yield item

    async def close(self) -> None:
        """Closes the client."""
        await self.result(self.client.close())
