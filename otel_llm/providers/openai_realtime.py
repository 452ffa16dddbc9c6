"""OpenAI's Realtime API (and Azure's, and others that speak it): a WebSocket on which a model is spoken to.

A turn is a response: from ``response.create``, or from ``response.created`` where the server listens and answers by
itself, until ``response.done``. Several may be in flight; the server says which of them an event is of, but not which
request of the client's it created: that is told by whether it is out of band, by the metadata, and by the order.

What the client puts into the conversation is the input of the next response that is part of it. A transcript of that
input is made by another model, beside the conversation, and charged apart: it is a call by itself, from the commitment
of the audio until the transcript is complete.
"""

from __future__ import annotations

import itertools
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from otel_llm.messages import Message, message, text_part
from otel_llm.provider import Params, Server, Session, Turns, get, given
from otel_llm.providers import openai_hosts
from otel_llm.providers.media import Media
from otel_llm.providers.openai_messages import listed, text_of
from otel_llm.providers.openai_realtime_turns import (
    AUDIO,
    RESPONSE,
    TRANSCRIPT,
    ResponseFold,
    TranscriptFold,
    item_said,
)

#: Items that are kept for the next response, and spoken ones whose transcript may come; of more, the first go.
MOST = 256

#: What of a session's configuration says how its responses are asked for.
_SETTINGS = ("instructions", "tools", "prompt", "temperature", "reasoning", "output_modalities", "modalities")
_LIMITS = ("max_output_tokens", "max_response_output_tokens")
_OUTCOMES = {"cancelled": "cancelled", "failed": "error"}
_HEARD = "conversation.item.input_audio_transcription."


class _Asked(NamedTuple):
    """A response that was asked for and has not been created yet."""

    key: int
    event_id: Any
    outside: bool
    metadata: dict[str, Any]


class RealtimeDialogue:
    """What the events of a Realtime session mean."""

    def __init__(self, params: Params, connection: Any, capture: bool) -> None:
        self._capture = capture
        self._numbers = itertools.count()
        self._settings: dict[str, Any] = {name: params[name] for name in ("model",) if given(params.get(name))}
        self._session: dict[str, Any] = {}
        self._transcriber: Any = None
        self._asked: list[_Asked] = []
        self._responses: dict[Any, int] = {}
        self._items: list[Message] = []
        self._audio = Media()
        self._committed: list[Message] = []
        self._spoken: dict[Any, Message] = {}

    # What the client sends ----------------------------------------------------------------------------------------

    def sent(self, turns: Turns, method: str, args: tuple[Any, ...], kwargs: Params) -> None:
        """An event is about to be sent, as an object or as JSON."""
        event = args[0] if args else next(iter(kwargs.values()), None)
        if isinstance(event, str | bytes):
            event = json.loads(event)
        kind = get(event, "type")
        if kind == "input_audio_buffer.append":
            if self._capture:
                self._audio.add(get(event, "audio"), AUDIO)
        elif kind == "input_audio_buffer.commit":
            self._committed.append(self._said())
            del self._committed[:-MOST]
        elif kind == "input_audio_buffer.clear":
            self._audio = Media()
        elif kind == "conversation.item.create":
            self._add(item_said(get(event, "item")))
        elif kind == "session.update":
            self._settings |= _settings(get(event, "session"))
        elif kind == "response.create":
            self._create(turns, event)

    def _create(self, turns: Turns, event: Any) -> None:
        asked = get(event, "response")
        outside = get(asked, "conversation") == "none"
        own = get(asked, "input")
        said = list(self._items) if own is None else [item_said(item) for item in listed(own)]
        if not outside:
            self._items = []
        key = self._begin(turns, said, asked)
        id = get(event, "event_id")
        self._asked.append(_Asked(key, id if given(id) else None, outside, _plain(get(asked, "metadata"))))
        del self._asked[:-MOST]

    def _begin(self, turns: Turns, said: list[Message], asked: Any = None) -> int:
        key = next(self._numbers)
        params = {**self._settings, **_settings(asked), "input": said}
        turns.begin(key, RESPONSE, params, ResponseFold(self._capture, self._session))
        return key

    def _add(self, said: Message) -> None:
        self._items.append(said)
        del self._items[:-MOST]

    def _said(self) -> Message:
        """What was spoken so far, which is part of the conversation from here on."""
        said = message("user", self._audio.parts())
        self._audio = Media()
        self._add(said)
        return said

    def _told(self, session: Any) -> None:
        """How the session stands, in the server's words: all of it."""
        self._settings |= _settings(session)
        heard = get(get(get(session, "audio"), "input"), "transcription")
        self._transcriber = heard or get(session, "input_audio_transcription")
        if model := get(session, "model"):
            self._session["model"] = model
            self._settings.setdefault("model", model)

    # What the server sends ----------------------------------------------------------------------------------------

    def received(self, turns: Turns, message: Any) -> None:
        """An event has come, as an object or as JSON."""
        event = json.loads(message) if isinstance(message, str | bytes) else message
        kind = text_of(get(event, "type"))
        id = get(event, "response_id")
        if id is not None and (key := self._responses.get(id)) is not None:  # most are this
            turns.add(key, event, chunk=kind.endswith(".delta"))
        elif kind == "response.created":
            self._created(turns, event)
        elif kind == "response.done":
            self._done(turns, event)
        elif kind.startswith(_HEARD):
            self._heard(turns, event, kind.removeprefix(_HEARD))
        elif kind == "input_audio_buffer.committed":
            self._commit(turns, get(event, "item_id"))
        elif kind in ("session.created", "session.updated", "transcription_session.updated"):
            self._told(get(event, "session"))
        elif kind == "error":
            self._refused(turns, event)

    def _created(self, turns: Turns, event: Any) -> None:
        response = get(event, "response")
        self._asked = [asked for asked in self._asked if asked.key in turns]
        asked = self._match(response)
        if asked is None:  # the server has answered by itself what was spoken
            said, self._items = self._items, []
            key = self._begin(turns, said)
        else:
            self._asked.remove(asked)
            key = asked.key
        self._responses = {id: key for id, key in self._responses.items() if key in turns}
        self._responses[get(response, "id")] = key
        turns.add(key, event)

    def _match(self, response: Any) -> _Asked | None:
        """Which of the requests a response was created for."""
        metadata = _plain(get(response, "metadata"))
        inside = get(response, "conversation_id")
        for asked in self._asked:
            if asked.metadata == metadata and not (asked.outside and inside):
                return asked
        return None

    def _done(self, turns: Turns, event: Any) -> None:
        response = get(event, "response")
        key = self._responses.pop(get(response, "id"), None)
        if key is None:  # it was created before we could see it
            key = self._begin(turns, [])
        turns.add(key, event)
        turns.end(key, _OUTCOMES.get(text_of(get(response, "status")), "completed"))

    def _refused(self, turns: Turns, event: Any) -> None:
        """An error: of a request for a response, by its id or, where it has none, by what the error is about."""
        error = get(event, "error")
        id = get(error, "event_id")
        about = text_of(get(error, "param")) + text_of(get(error, "code"))
        for asked in self._asked:
            if asked.event_id == id and (id is not None or "response" in about):
                self._asked.remove(asked)
                turns.add(asked.key, event)
                turns.end(asked.key, "error")
                return

    # What was spoken ----------------------------------------------------------------------------------------------

    def _commit(self, turns: Turns, item_id: Any) -> None:
        """What was spoken is an item from here on: the client's commitment is confirmed, or the server has made one."""
        said = self._committed.pop(0) if self._committed else self._said()
        self._spoken[item_id] = said
        if len(self._spoken) > MOST:
            del self._spoken[next(iter(self._spoken))]
        if self._transcriber is not None:
            self._transcribe(turns, item_id, [message("user", list(said["parts"]))])

    def _transcribe(self, turns: Turns, item_id: Any, said: list[Message]) -> None:
        params = {"model": get(self._transcriber, "model"), "input": said}
        turns.begin((_HEARD, item_id), TRANSCRIPT, params, TranscriptFold())

    def _heard(self, turns: Turns, event: Any, stage: str) -> None:
        """Some of a transcript, or all of it."""
        item_id = get(event, "item_id")
        key = (_HEARD, item_id)
        if key not in turns:
            if stage == "delta" or get(event, "usage") is None:
                return
            self._transcribe(turns, item_id, [])
        turns.add(key, event, chunk=stage == "delta")
        if stage == "delta":
            return
        if (transcript := get(event, "transcript")) and (said := self._spoken.pop(item_id, None)) is not None:
            said["parts"].append(text_part(text_of(transcript)))
        turns.end(key, "error" if stage == "failed" else "completed")


def _settings(said: Any) -> dict[str, Any]:
    """How responses are asked for, of a session's configuration or of a request for one response."""
    found = {name: value for name in _SETTINGS if (value := get(said, name)) is not None}
    for name in _LIMITS:
        if isinstance(limit := get(said, name), int):  # or "inf"
            found["max_output_tokens"] = limit
    return found


def _plain(metadata: Any) -> dict[str, Any]:
    return dict(metadata) if isinstance(metadata, dict) else {}


def server(resource: Any) -> Server:
    """Who a client talks to; its WebSockets may go elsewhere than its requests."""
    known = openai_hosts.server(resource)
    if (url := get(resource._client, "websocket_base_url")) is None:
        return known
    parts = urlsplit(str(url))
    return known._replace(address=parts.hostname, port=parts.port or (80 if parts.scheme in ("ws", "http") else 443))


def _sessions(package: str, *, optional: bool) -> tuple[Session, ...]:
    """The connections of a package, sync and async."""
    return tuple(
        Session(
            module=f"openai.resources.{package}",
            connect=f"{kind}Realtime.connect",
            manager=f"{kind}RealtimeConnectionManager",
            connection=f"{kind}RealtimeConnection",
            asynchronous=bool(kind),
            optional=optional,
            sends=("send", "send_raw"),
            receives=("recv", "recv_bytes"),
            lost=frozenset({"ConnectionClosed"}),
            params=("model",),
            dialogue=RealtimeDialogue,
            endpoint=RESPONSE,
            server=server,
        )
        for kind in ("", "Async")
    )


SESSIONS = (*_sessions("realtime.realtime", optional=False), *_sessions("beta.realtime.realtime", optional=True))
