"""OpenAI's Responses API over a WebSocket: the events of the stream, one message each, in lanes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from otel_llm.testing import openai_responses
from otel_llm.testing.script import Reply, Request
from otel_llm.testing.websocket import Ask, Cut, Socket, Speaker


class ResponsesTalk:
    """One connection."""

    def __init__(self, socket: Socket, ask: Ask, path: str, speaker: Speaker) -> None:
        self._socket = socket
        self._ask = ask
        self._speaker = speaker
        self._lanes: dict[Any, asyncio.Task[None]] = {}

    async def opened(self) -> None:
        """The client speaks first."""

    async def received(self, message: Mapping[str, Any]) -> None:
        """An event of the client's."""
        if message["type"] == "response.create":
            lane = message.get("stream_id")
            body = {name: value for name, value in message.items() if name not in ("type", "stream_id")}
            request, reply = self._ask("responses", body)
            self._lanes[lane] = self._speaker.speak(self._respond(lane, request, reply, self._lanes.get(lane)))

    async def _respond(self, lane: str | None, request: Request, reply: Reply, after: Any) -> None:
        """A response, when its lane has answered what was asked before."""
        if after is not None:
            await after
        at = {} if lane is None else {"stream_id": lane}
        await asyncio.sleep(reply.delay)
        if reply.body is not None:
            for message in json.loads(reply.body):
                await self._socket.send(message)
            return
        if reply.status >= 400:
            error = {"type": "invalid_request_error", "code": reply.error_code or None, "message": reply.error}
            await self._socket.send({"type": "error", "status": reply.status, "error": error, **at})
            return
        answer = openai_responses.responses(request, reply)
        for number, event in enumerate(answer.events or ()):
            if number:
                await asyncio.sleep(reply.chunk_delay)
            await self._socket.send(json.loads(event.partition(b"data: ")[2]) | at)
        if answer.cut:
            raise Cut
