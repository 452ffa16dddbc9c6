"""OpenAI's Responses API over a WebSocket: responses one after the other, or beside one another in lanes.

A turn is a response, as it is over HTTP: from ``response.create`` until the event that holds all of it. A lane, which
``stream_id`` names, answers its requests in order. One that is steered goes on by itself, with what was said to it.
Of what the SDK's ``ResponsesWebSocketSession`` sends, past every public method, only the answers are seen.
"""

from __future__ import annotations

import itertools
import json
from types import SimpleNamespace
from typing import Any

from otel_llm.provider import Params, Session, Turns, get, given
from otel_llm.providers.openai_messages import listed, text_of
from otel_llm.providers.openai_realtime import server
from otel_llm.providers.openai_responses import ENDPOINTS
from otel_llm.providers.openai_streams import ResponseFold

#: Steers that are kept until they are followed; of more, the first go.
MOST = 256

_RESPONSE = next(endpoint for endpoint in ENDPOINTS if endpoint.method == "Responses.create")
_ENVELOPE = frozenset({"type", "event_id", "stream_id"})
_WHOLE = {"response.completed": "completed", "response.incomplete": "completed", "response.failed": "error"}


class ResponsesDialogue:
    """What the events of a connection mean."""

    def __init__(self, params: Params, connection: Any, capture: bool) -> None:
        self._numbers = itertools.count()
        self._asked: dict[Any, list[int]] = {}
        self._answered: dict[Any, int] = {}
        self._steers: dict[Any, list[Any]] = {}

    def sent(self, turns: Turns, method: str, args: tuple[Any, ...], kwargs: Params) -> None:
        """An event is about to be sent, as an object or as JSON."""
        event = args[0] if args else next(iter(kwargs.values()), None)
        fields = json.loads(event) if isinstance(event, str | bytes) else _fields(event)
        if fields.get("type") == "response.create":
            key = self._begin(turns, {name: value for name, value in fields.items() if name not in _ENVELOPE})
            lane = fields.get("stream_id")
            self._asked[lane] = [*self._waiting(turns, lane), key]
        elif fields.get("type") == "response.steer":
            said = fields.get("input")
            items = [{"role": "user", "content": said}] if isinstance(said, str) else listed(said)
            self._steers.setdefault(fields.get("previous_response_id"), []).extend(items)
            if len(self._steers) > MOST:
                del self._steers[next(iter(self._steers))]

    def _begin(self, turns: Turns, params: Params) -> int:
        key = next(self._numbers)
        said = params.get("input")  # the caller's own list, which may grow while the answer comes
        turns.begin(key, _RESPONSE, {**params, "input": list(said) if isinstance(said, list) else said, "stream": True},
                    ResponseFold())  # fmt: skip
        return key

    def received(self, turns: Turns, message: Any) -> None:
        """An event has come, as an object or as JSON."""
        if isinstance(message, str | bytes):
            message = json.loads(message, object_hook=lambda fields: SimpleNamespace(**fields))
        kind, lane = text_of(get(message, "type")), get(message, "stream_id")
        if kind == "response.created":
            self._answered[lane] = self._created(turns, lane, get(message, "response"))
        elif kind == "error":
            self._failed(turns, lane, get(message, "error"))
            return
        key = self._answered.get(lane)
        if key is not None:
            turns.add(key, message, chunk=kind.endswith(".delta"))
            if kind in _WHOLE:
                turns.end(key, _WHOLE[kind])
                del self._answered[lane]

    def _created(self, turns: Turns, lane: Any, response: Any) -> int:
        """The turn that a response was created for: the oldest of its lane, or one that nobody asked for."""
        first, *others = self._waiting(turns, lane) or (None,)
        if first is not None:
            self._asked[lane] = others
            return first
        before = get(response, "previous_response_id")
        said = self._steers.pop(before, [])
        return self._begin(turns, {"model": get(response, "model"), "previous_response_id": before, "input": said})

    def _waiting(self, turns: Turns, lane: Any) -> list[int]:
        """The turns that a lane is still to answer, oldest first; a lane that has none is forgotten."""
        return [key for key in self._asked.pop(lane, ()) if key in turns]

    def _failed(self, turns: Turns, lane: Any, error: Any) -> None:
        """An error of what a lane answers or, where it does not, of what it was asked next."""
        key = self._answered.pop(lane, None)
        if key is None:
            key, *others = self._waiting(turns, lane) or (None,)
            if key is None:
                return
            self._asked[lane] = others
        code = get(error, "code") or get(error, "type")
        turns.add(key, SimpleNamespace(type="error", code=code, message=get(error, "message")))
        turns.end(key, "error")


def _fields(event: Any) -> dict[str, Any]:
    """The fields of an event that were given."""
    if isinstance(event, dict):
        return {name: value for name, value in event.items() if given(value)}
    return {name: getattr(event, name) for name in getattr(event, "model_fields_set", ())}


SESSIONS = tuple(
    Session(
        module=f"openai.resources.{package}.responses",
        connect=f"{kind}Responses.connect",
        manager=f"{kind}ResponsesConnectionManager",
        connection=f"{kind}ResponsesConnection",
        asynchronous=bool(kind),
        optional=True,
        sends=("send", "send_raw"),
        receives=("recv", "recv_bytes"),
        lost=frozenset({"ConnectionClosed"}),
        params=(),
        dialogue=ResponsesDialogue,
        endpoint=_RESPONSE,
        server=server,
    )
    for package in ("responses", "beta.responses")
    for kind in ("", "Async")
)
