"""OpenAI's messages in the conventions' schema: chat, legacy completions, embeddings, and what they share.

Nothing here raises for an odd message: a part that cannot be read says so, and the others are read.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from otel_llm.config import fault
from otel_llm.messages import (
    Message,
    Part,
    blob_part,
    message,
    text_message,
    text_part,
    tool_call_part,
    tool_response_part,
    uri_part,
)
from otel_llm.provider import Params, Sent, get

#: The conventions' finish reasons, by OpenAI's.
_FINISH = {"tool_calls": "tool_call", "function_call": "tool_call"}
_INSTRUCTING = ("system", "developer")
_TEXT = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
_FILE = frozenset({"file", "input_file"})
_SEEN = frozenset({"input_image", "computer_screenshot"})


def finish_reason(reason: str | None) -> str:
    """A finish reason in the conventions' words; empty where there is none yet."""
    return _FINISH.get(reason, reason) if reason else ""


def listed(value: Any) -> Sequence[Any]:
    """The items of a list, or of anything else that can be gone through again; an iterator is the SDK's to read."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Collection):
        return ()
    return list(value)


def sent(items: Iterable[Any], read: Callable[[Any], Message], first: list[Message]) -> Sent:
    """Instructions and messages apart, each in its order; an item that cannot be read is an empty message."""
    messages: list[Message] = []
    for item in items:
        try:
            if (
                type(item) is dict
                and len(item) == 2
                and type(content := item.get("content")) is str
                and type(role := item.get("role")) is str
                and role
            ):
                one = text_message(role, content)  # most are this
            else:
                one = read(item)
        except Exception:
            fault("reading a message")
            one = message("user", [{"type": "unreadable"}])
        (first if one["role"] in _INSTRUCTING else messages).append(one)
    return Sent(first, messages)


def text_of(value: Any) -> str:
    """A text as the caller's own string; other values as text."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def arguments(text: Any) -> Any:
    """A tool call's arguments as JSON where they are JSON."""
    if isinstance(text, str):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _parts(item: Any) -> list[Part]:
    return [_part(item)]


def _part(item: Any) -> Part:
    """One content part, of a chat message or of an item."""
    if isinstance(item, str):
        return text_part(item)
    kind = get(item, "type")
    if kind in _TEXT:
        return text_part(text_of(get(item, "text")))
    if kind == "refusal":
        return text_part(text_of(get(item, "refusal")))
    if kind in ("image_url", "video_url", "audio_url"):
        link = get(item, kind)
        return uri_part(text_of(link if isinstance(link, str) else get(link, "url")), kind.removesuffix("_url"))
    if kind in _SEEN:
        if url := get(item, "image_url"):
            return uri_part(text_of(url), "image")
        return {"type": "file", "modality": "image", "file_id": text_of(get(item, "file_id"))}
    if kind == "input_audio":
        audio = get(item, "input_audio")
        return blob_part(get(audio, "data"), f"audio/{get(audio, 'format') or 'wav'}")
    if kind in _FILE:
        return _file(get(item, "file") or item)
    return {"type": text_of(kind or "unknown")}


def _file(file: Any) -> Part:
    if data := get(file, "file_data"):
        data = text_of(data)
        return uri_part(data, "document") if data.startswith("data:") else blob_part(data, None)
    if url := get(file, "file_url"):
        return uri_part(text_of(url), "document")
    return {"type": "file", "modality": "document", "file_id": text_of(get(file, "file_id"))}


def content_parts(content: Any) -> list[Part]:
    """The parts of a message's content, which may be a text by itself."""
    if isinstance(content, str):
        return [text_part(content)]
    parts: list[Part] = []
    for item in listed(content):
        try:
            held = item if type(item) is dict else item.__dict__
            text = held["text"] if held["type"] in _TEXT else None
        except Exception:
            text = None
        if type(text) is str:
            parts.append({"type": "text", "content": text})  # most are this
        else:
            parts += safely(_parts, item)
    return parts


def safely(read: Callable[[Any], list[Part]], item: Any) -> list[Part]:
    """The parts of an item; one that says so where it cannot be read."""
    try:
        return read(item)
    except Exception:
        fault("reading a part of a message")
        return [{"type": "unreadable"}]


def responded(output: Any, id: Any) -> list[Part]:
    """What a tool gave back: its texts as the response, and what is not text beside it."""
    if isinstance(output, list | tuple):
        parts = content_parts(output)
        said = [part["content"] for part in parts if part["type"] == "text"]
        rest = [part for part in parts if part["type"] != "text"]
        return [tool_response_part(said[0] if len(said) == 1 else said, id), *rest]
    return [tool_response_part(output, id)]


_NONE: Mapping[str, Any] = {}


def _fields(item: Any) -> tuple[Callable[[str], Any], Mapping[str, Any]]:
    """How to read a message, and its fields that OpenAI's own API does not have.

    The fields of the SDK's objects are taken as they lie: to ask for one that is not there takes pydantic long.
    """
    if isinstance(item, dict):
        return item.get, item
    try:
        return item.__dict__.get, item.model_extra or _NONE
    except AttributeError:
        return functools.partial(get, item), _NONE


def _chat_message(item: Any) -> Message:
    if isinstance(item, str):
        return message("user", [text_part(item)])
    field, extra = _fields(item)
    role = text_of(field("role") or "user")
    if role in ("tool", "function"):
        return message("tool", responded(field("content"), field("tool_call_id") or field("name")))
    parts = content_parts(field("content"))
    if isinstance(reasoning := extra.get("reasoning_content") or extra.get("reasoning"), str) and reasoning:
        parts.insert(0, {"type": "reasoning", "content": reasoning})
    if refusal := field("refusal"):
        parts.append(text_part(text_of(refusal)))
    if audio := field("audio"):
        parts += _audio(audio)
    if calls := field("tool_calls"):
        parts += _calls(calls)
    if (function := field("function_call")) is not None:
        parts.append(tool_call_part(get(function, "name"), arguments(get(function, "arguments"))))
    said = message(role, parts)
    if isinstance(name := field("name"), str):
        said["name"] = name
    return said


def _audio(audio: Any) -> list[Part]:
    """Speech: what came back, or a reference to what came back earlier."""
    data, transcript = get(audio, "data"), get(audio, "transcript")
    if isinstance(data, list):  # of a stream
        data, transcript = b"".join(base64.b64decode(piece) for piece in data), "".join(transcript)
    if not data and not transcript:
        return [{"type": "file", "modality": "audio", "file_id": text_of(get(audio, "id"))}]
    return [
        *([blob_part(data, "audio/*")] if data else ()),  # the format is the request's to say
        *([text_part(text_of(transcript))] if transcript else ()),
    ]


def _calls(calls: Any) -> list[Part]:
    """The tools that a chat message asks for."""
    parts = []
    for call in listed(calls):
        if (custom := get(call, "custom")) is not None:
            parts.append(tool_call_part(get(custom, "name"), get(custom, "input"), get(call, "id")))
        else:
            function = get(call, "function")
            parts.append(tool_call_part(get(function, "name"), arguments(get(function, "arguments")), get(call, "id")))
    return parts


def chat(params: Params) -> Sent:
    """The messages of a chat request; system and developer messages are instructions."""
    return sent(listed(params.get("messages")), _chat_message, [])


#: Fields of an answer that say more than text.
_MORE = ("tool_calls", "refusal", "audio", "function_call")


def _spoken(said: Any) -> Message | None:
    """An answer that is a text and nothing else, as most are."""
    fields = getattr(said, "__dict__", None)
    if fields is None or getattr(said, "__pydantic_extra__", True) or type(text := fields.get("content")) is not str:
        return None
    if any(map(fields.get, _MORE)):
        return None
    return text_message("assistant", text)


def chat_output(response: Any) -> list[Message]:
    """The choices of a chat completion."""
    output = []
    for choice in listed(get(response, "choices")):
        try:
            said = get(choice, "message")
            item = _spoken(said) or _chat_message(said)
            item["role"] = "assistant"
            item["finish_reason"] = finish_reason(get(choice, "finish_reason"))
        except Exception:
            fault("reading a choice")
            item = message("assistant", [{"type": "unreadable"}])
        output.append(item)
    return output


def _texts(given: Any) -> list[str]:
    """The texts of a prompt or an input, which may be one by itself; tokens in place of texts are not shown."""
    return [given] if isinstance(given, str) else [item for item in listed(given) if isinstance(item, str)]


def completions(params: Params) -> Sent:
    """The prompts of a legacy completion."""
    return Sent([], [text_message("user", text) for text in _texts(params.get("prompt"))])


def completions_output(response: Any) -> list[Message]:
    """The choices of a legacy completion."""
    output = []
    for choice in listed(get(response, "choices")):
        try:
            item = message("assistant", [text_part(text_of(get(choice, "text")))])
            item["finish_reason"] = finish_reason(get(choice, "finish_reason"))
        except Exception:
            fault("reading a choice")
            item = message("assistant", [{"type": "unreadable"}])
        output.append(item)
    return output


def embeddings(params: Params) -> Sent:
    """The texts that are embedded."""
    return Sent([], [text_message("user", text) for text in _texts(params.get("input"))])


def tool_definitions(params: Params) -> list[dict[str, Any]] | None:
    """The tools on offer: type and name, with description and parameters where they were given.

    The provider's own tools have no name but their kind, or that of the server that they are behind.
    """
    if "tools" not in params and "functions" not in params:
        return None
    definitions = []
    for tool in (*listed(params.get("tools")), *listed(params.get("functions"))):
        try:
            definitions.append(_definition(tool))
        except Exception:
            fault("reading a tool")
            definitions.append({"type": "unreadable", "name": ""})
    return definitions or None


def _definition(tool: Any) -> dict[str, Any]:
    kind = text_of(get(tool, "type") or "function")
    described = get(tool, "function") or get(tool, "custom") or tool
    name = get(described, "name") or get(tool, "server_label") or kind
    definition = {"type": kind, "name": text_of(name)}
    for key in ("description", "parameters"):
        if value := get(described, key):
            definition[key] = value
    return definition
