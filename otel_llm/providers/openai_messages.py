"""OpenAI's messages in the conventions' schema: what goes in and what comes back, in all the forms the SDK takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from otel_llm.messages import (
    Message,
    Part,
    blob_part,
    message,
    text_part,
    tool_call_part,
    tool_response_part,
    uri_part,
)
from otel_llm.provider import Params, Sent, get

#: The conventions' finish reasons, by OpenAI's.
_FINISH = {"tool_calls": "tool_call", "function_call": "tool_call"}


def finish_reason(reason: str | None) -> str:
    """A finish reason in the conventions' words; empty where there is none yet."""
    return _FINISH.get(reason, reason) if reason else ""


def response_finish_reason(response: Any) -> str:
    """Why a response of the Responses API ended, in the conventions' words; empty where it has not."""
    status = get(response, "status")
    if status in (None, "queued", "in_progress"):
        return ""
    if status == "incomplete":
        reason = get(get(response, "incomplete_details"), "reason")
        return "length" if reason == "max_output_tokens" else str(reason or "incomplete")
    if status in ("failed", "cancelled"):
        return "error"
    calls = any(get(item, "type") == "function_call" for item in get(response, "output") or ())
    return "tool_call" if calls else "stop"


def _arguments(text: Any) -> Any:
    """A tool call's arguments as JSON where they are JSON."""
    if isinstance(text, str):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _part(item: Any) -> Part:
    """One content part, of a chat message or of a response."""
    kind = get(item, "type")
    if kind in ("text", "input_text", "output_text"):
        return text_part(get(item, "text") or "")
    if kind == "refusal":
        return text_part(get(item, "refusal") or "")
    if kind == "image_url":
        return uri_part(str(get(get(item, "image_url"), "url") or ""), "image")
    if kind == "input_image":
        return uri_part(str(get(item, "image_url") or get(item, "file_id") or ""), "image")
    if kind == "input_audio":
        audio = get(item, "input_audio")
        return blob_part(get(audio, "data"), f"audio/{get(audio, 'format') or 'wav'}")
    if kind in ("file", "input_file"):
        file = get(item, "file") or item
        if get(file, "file_data"):
            return blob_part(get(file, "file_data"), None)
        reference = get(file, "file_id") or get(file, "file_url") or ""
        return {"type": "file", "modality": "document", "file_id": str(reference)}
    return {"type": str(kind or "unknown")}


def _parts(content: Any) -> list[Part]:
    if isinstance(content, str):
        return [text_part(content)]
    return [text_part(item) if isinstance(item, str) else _part(item) for item in _list(content)]


def _chat_message(item: Any) -> Message:
    if type(item) is dict and len(item) == 2 and type(content := item.get("content")) is str and "role" in item:
        return {"role": str(item["role"]), "parts": [{"type": "text", "content": content}]}  # most are this
    role = str(get(item, "role") or "user")
    if role == "tool":
        return message(role, [tool_response_part(get(item, "content"), get(item, "tool_call_id"))])
    parts = _parts(get(item, "content"))
    refusal = get(item, "refusal")
    if refusal:
        parts.append(text_part(refusal))
    for call in _list(get(item, "tool_calls")):
        function = get(call, "function") or get(call, "custom")
        arguments = _arguments(get(function, "arguments") or get(function, "input"))
        parts.append(tool_call_part(get(function, "name"), arguments, get(call, "id")))
    return message(role, parts)


_INSTRUCTING = ("system", "developer")


def _list(value: Any) -> Sequence[Any]:
    """A list; any other iterable is the SDK's to run through, once, and is left unread."""
    return value if isinstance(value, list | tuple) else ()


def _sent(items: Sequence[Any], read: Callable[[Any], Message], first: list[Message]) -> Sent:
    """Instructions and messages apart, each in its order."""
    sent = Sent(first, [])
    for item in items:
        said = read(item)
        (sent.instructions if said["role"] in _INSTRUCTING else sent.messages).append(said)
    return sent


def chat(params: Params) -> Sent:
    """The messages of a chat request; system and developer messages are instructions."""
    return _sent(_list(params.get("messages")), _chat_message, [])


def chat_output(response: Any) -> list[Message]:
    """The choices of a chat completion."""
    output = []
    for choice in getattr(response, "choices", None) or ():
        item = _chat_message(choice.message)
        item["role"] = "assistant"
        item["finish_reason"] = finish_reason(choice.finish_reason)
        output.append(item)
    return output


def _item(item: Any) -> Message:
    """One item of a response's input or output."""
    if isinstance(item, str):
        return message("user", [text_part(item)])
    kind = get(item, "type")
    if kind in ("function_call", "custom_tool_call"):
        arguments = _arguments(get(item, "arguments") or get(item, "input"))
        return message("assistant", [tool_call_part(get(item, "name"), arguments, get(item, "call_id"))])
    if kind in ("function_call_output", "custom_tool_call_output"):
        return message("tool", [tool_response_part(get(item, "output"), get(item, "call_id"))])
    if kind == "reasoning":
        summary = [get(entry, "text") for entry in _list(get(item, "summary"))]
        return message("assistant", [{"type": "reasoning", "content": text} for text in summary if text])
    if kind in (None, "message"):
        return message(str(get(item, "role") or "user"), _parts(get(item, "content")))
    return message("assistant", [{"type": str(kind)}])


def responses(params: Params) -> Sent:
    """The input of a response; ``instructions`` and system and developer messages are instructions."""
    instructions = params.get("instructions")
    first = [message("system", [text_part(instructions)])] if isinstance(instructions, str) else []
    said = params.get("input")
    if isinstance(said, str):
        return Sent(first, [message("user", [text_part(said)])])
    return _sent(_list(params.get("input")), _item, first)


def responses_output(response: Any) -> list[Message]:
    """The output of a response as one message."""
    parts = [part for item in get(response, "output") or () for part in _item(item)["parts"]]
    if not parts:
        return []
    output = message("assistant", parts)
    output["finish_reason"] = response_finish_reason(response)
    return [output]


def embeddings(params: Params) -> Sent:
    """The texts that are embedded; tokens in place of texts are not shown."""
    given = params.get("input")
    texts = [given] if isinstance(given, str) else given if isinstance(given, list | tuple) else []
    return Sent([], [message("user", [text_part(item)]) for item in texts if isinstance(item, str)])


def tool_definitions(params: Params) -> list[dict[str, Any]] | None:
    """The tools on offer: type and name, with description and parameters where they were given."""
    definitions = []
    for tool in _list(params.get("tools")):
        function = get(tool, "function") or tool
        definition = {"type": str(get(tool, "type") or "function"), "name": str(get(function, "name") or "")}
        for key in ("description", "parameters"):
            if value := get(function, key):
                definition[key] = value
        definitions.append(definition)
    return definitions or None
