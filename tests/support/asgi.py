"""Requests of ASGI, message by message."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from opentelemetry.trace import get_current_span

from otel_llm.context import current

Sent = list[dict[str, Any]]
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def scope(headers: Iterable[tuple[bytes, bytes]] = (), **more: Any) -> dict[str, Any]:
    """A request as servers describe it."""
    return {
        "type": "http", "method": "GET", "scheme": "http", "path": "/ask", "root_path": "", "http_version": "1.1",
        "server": ("127.0.0.1", 8000), "headers": list(headers), **more,
    }  # fmt: skip


async def answer(send: Callable[[dict[str, Any]], Awaitable[None]], status: int = 200, **head: Any) -> None:
    """A whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": [(b"x-own", b"kept")], **head})
    await send({"type": "http.response.body", "body": b"all"})


async def answers(scope: Any, receive: Any, send: Any) -> str:
    """An application that answers, and returns something."""
    await answer(send)
    return "returned"


def play(app: Any, given: dict[str, Any]) -> tuple[Any, Sent]:
    """What an application returns, and what it sends."""
    sent: Sent = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def run() -> Any:
        returned = await app(given, receive, send)
        assert current() == {}
        assert not get_current_span().get_span_context().is_valid
        return returned

    return asyncio.run(run()), sent


def headers_of(sent: Sent) -> dict[str, str]:
    """The headers of an answer."""
    return {name.decode(): value.decode() for name, value in sent[0]["headers"]}
