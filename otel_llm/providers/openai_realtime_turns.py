"""A response of OpenAI's Realtime API, or a transcript of what was said to it: what is read, how its events add up."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message, Part, message, text_part
from otel_llm.provider import Endpoint, Params, Sent, get
from otel_llm.providers.media import Media
from otel_llm.providers.openai_items import item_message
from otel_llm.providers.openai_messages import listed, text_of, tool_definitions

#: The mime type that stands for the audio of a session: pcm16 unless the session says else.
AUDIO = "audio/pcm"


def _form(said: Any) -> dict[a.Attribute, Any]:
    """The form that is asked for, which the older API calls by another name."""
    modalities = listed(get(said, "output_modalities") or get(said, "modalities"))
    return {a.OUTPUT_TYPE: "speech" if "audio" in modalities else "text"} if modalities else {}


def _request(params: Params) -> Mapping[a.Attribute, Any]:
    values = _form(params)
    prompt = params.get("prompt")  # one that is kept at OpenAI
    for attribute, name in ((a.PROMPT_NAME, "id"), (a.PROMPT_VERSION, "version")):
        if isinstance(said := get(prompt, name), str):
            values[attribute] = said
    if effort := get(params.get("reasoning"), "effort"):
        values[a.REASONING_LEVEL] = text_of(effort)
    return values


def _details(response: Any) -> Mapping[a.Attribute, Any]:
    values = _form(response)
    if reason := finish_reason(response):
        values[a.FINISH_REASONS] = [reason]
    error = response.error or get(response.status_details, "error")
    if response.status == "failed" or error is not None:
        values[a.ERROR_TYPE] = text_of(get(error, "code") or get(error, "type") or "failed")
    return values


def finish_reason(response: Any) -> str:
    """Why a response ended, in the conventions' words or, of one that was interrupted, in the provider's."""
    status, reason = response.status, get(response.status_details, "reason")
    if status in (None, "in_progress"):
        return ""
    if status == "completed":
        return "tool_call" if any(get(item, "type") == "function_call" for item in listed(response.output)) else "stop"
    if status == "failed":
        return "error"
    return "length" if reason == "max_output_tokens" else text_of(reason or status)


def _output(response: Any) -> list[Message]:
    parts = [part for item in listed(response.output) for part in item_said(item)["parts"]]
    if not (parts := parts + response.media):
        return []
    found = message("assistant", parts)
    if reason := finish_reason(response):
        found["finish_reason"] = reason
    return [found]


def _sent(params: Params) -> Sent:
    said = params.get("instructions")
    return Sent(
        [message("system", [text_part(said)])] if isinstance(said, str) and said else [], params.get("input") or []
    )


RESPONSE = Endpoint(
    module="openai",
    operation="chat",
    streamed=True,
    constants={a.API_TYPE: "realtime"},
    parameters={"temperature": a.TEMPERATURE, "max_output_tokens": a.MAX_TOKENS},
    unrecorded=frozenset(
        {"model", "input", "instructions", "tools", "prompt", "output_modalities", "modalities", "reasoning"}
    ),
    paths={
        a.RESPONSE_MODEL: "model",
        a.RESPONSE_ID: "id",
        a.RESPONSE_STATUS: "status",
        a.CONVERSATION_ID: "conversation_id",
        a.INPUT_TOKENS: "usage.input_tokens",
        a.OUTPUT_TOKENS: "usage.output_tokens",
        a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
        a.CACHE_READ_TOKENS: "usage.input_token_details.cached_tokens",
        a.TEXT_INPUT_TOKENS: "usage.input_token_details.text_tokens",
        a.AUDIO_INPUT_TOKENS: "usage.input_token_details.audio_tokens",
        a.IMAGE_INPUT_TOKENS: "usage.input_token_details.image_tokens",
        a.TEXT_CACHE_READ_TOKENS: "usage.input_token_details.cached_tokens_details.text_tokens",
        a.AUDIO_CACHE_READ_TOKENS: "usage.input_token_details.cached_tokens_details.audio_tokens",
        a.IMAGE_CACHE_READ_TOKENS: "usage.input_token_details.cached_tokens_details.image_tokens",
        a.TEXT_OUTPUT_TOKENS: "usage.output_token_details.text_tokens",
        a.AUDIO_OUTPUT_TOKENS: "usage.output_token_details.audio_tokens",
    },
    messages=_sent,
    tool_definitions=tool_definitions,
    output_messages=_output,
    details=_details,
    details_of_request=_request,
)


def _heard(response: Any) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    if (seconds := get(response.usage, "seconds")) is not None:
        values[a.AUDIO_SECONDS] = float(seconds)
    if response.error is not None:
        values[a.ERROR_TYPE] = text_of(get(response.error, "code") or get(response.error, "type") or "failed")
    return values


#: What a transcript of the input is, which another model makes beside the conversation, and which is charged apart.
TRANSCRIPT = Endpoint(
    module="openai",
    operation="transcribe_audio",
    streamed=True,
    constants={a.API_TYPE: "realtime"},
    unrecorded=frozenset({"model", "input"}),
    paths={
        a.INPUT_TOKENS: "usage.input_tokens",
        a.OUTPUT_TOKENS: "usage.output_tokens",
        a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
        a.TEXT_INPUT_TOKENS: "usage.input_token_details.text_tokens",
        a.AUDIO_INPUT_TOKENS: "usage.input_token_details.audio_tokens",
    },
    messages=_sent,
    output_messages=lambda response: [message("assistant", [text_part(response.text)])] if response.text else [],
    details=_heard,
)


def item_said(item: Any) -> Message:
    """An item of a conversation: of what is spoken, the transcript and the digest."""
    said = item_message(item)
    if get(item, "type") in (None, "message"):
        said["parts"] = [part for content in listed(get(item, "content")) for part in _content(content)]
    return said


def _content(content: Any) -> list[Part]:
    if get(content, "type") not in ("input_audio", "audio", "output_audio"):
        return item_message({"content": [content]})["parts"]
    media = Media()
    media.add(get(content, "audio"), AUDIO)
    transcript = get(content, "transcript")
    return media.parts() + ([text_part(text_of(transcript))] if transcript else [])


class ResponseFold:
    """Events of a response. The last one holds all of it but audio; until then its texts and calls are added up.

    ``session`` is what the server says of the session, and may come to say more.
    """

    def __init__(self, capture: bool, session: Mapping[str, Any]) -> None:
        self._session = session
        self._media = Media() if capture else None
        self._response: Any = None
        self._error: Any = None
        self._items: dict[Any, Any] = {}
        self._pieces: dict[Any, list[str]] = {}

    def add(self, event: Any) -> None:
        """Takes an event in."""
        kind = str(get(event, "type"))
        if kind.endswith("audio.delta"):
            if self._media is not None:
                self._media.add(get(event, "delta"), AUDIO)
        elif kind.endswith(".delta"):  # of a text, of a transcript or of a function's arguments
            self._pieces.setdefault(get(event, "item_id"), []).append(text_of(get(event, "delta")))
        elif kind in ("response.output_item.added", "response.output_item.done"):
            item = get(event, "item")
            self._items[get(item, "id")] = item
            if kind.endswith("done"):
                self._pieces.pop(get(item, "id"), None)
        elif kind in ("response.created", "response.done"):
            self._response = get(event, "response")
        elif kind == "error":
            self._error = get(event, "error")

    def response(self) -> SimpleNamespace:
        """The response so far."""
        said = self._response
        names = ("id", "status", "status_details", "conversation_id", "output_modalities", "modalities", "usage")
        return SimpleNamespace(
            **{name: get(said, name) for name in names},
            model=self._session.get("model"),
            error=self._error,
            output=get(said, "output") or [self._item(id) for id in dict.fromkeys([*self._items, *self._pieces])],
            media=self._media.parts() if self._media is not None else [],
        )

    def _item(self, id: Any) -> Any:
        """An item, with what has come of it since it was announced."""
        item, pieces = self._items.get(id), "".join(self._pieces.get(id, ()))
        if not pieces:
            return item
        if get(item, "type") == "function_call":
            names = ("type", "name", "call_id")
            return {**{name: get(item, name) for name in names}, "arguments": pieces}
        return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": pieces}]}


class TranscriptFold:
    """Events of a transcript."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._usage: Any = None
        self._error: Any = None

    def add(self, event: Any) -> None:
        """Takes an event in."""
        if (piece := get(event, "delta")) is not None:
            self._pieces.append(text_of(piece))
        elif (whole := get(event, "transcript")) is not None:
            self._pieces = [text_of(whole)]
        self._usage = get(event, "usage") or self._usage
        self._error = get(event, "error") or self._error

    def response(self) -> SimpleNamespace:
        """The transcript so far."""
        return SimpleNamespace(text="".join(self._pieces), usage=self._usage, error=self._error)
