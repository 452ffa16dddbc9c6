"""Gemini's contents in the conventions' schema: what goes in and what comes back, in all the forms the SDK takes."""

from __future__ import annotations

import inspect
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

#: The conventions' finish reasons, by Gemini's; any other is given in lower case.
_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}

_ROLES = {"model": "assistant", "function": "tool"}


def finish_reason(reason: Any) -> str:
    """A finish reason in the conventions' words; empty where there is none yet."""
    if reason is None:
        return ""
    name = str(getattr(reason, "value", reason))
    return _FINISH.get(name, name.lower())


def _part(item: Any) -> Part:
    """One part, typed or as a dict."""
    if isinstance(item, str):
        return text_part(item)
    text = get(item, "text")
    if text is not None:
        return {"type": "reasoning", "content": text} if get(item, "thought") else text_part(text)
    if (call := _either(item, "function_call", "functionCall")) is not None:
        return tool_call_part(get(call, "name"), get(call, "args"), get(call, "id"))
    if (answer := _either(item, "function_response", "functionResponse")) is not None:
        return tool_response_part(get(answer, "response"), get(answer, "id"))
    if (blob := _either(item, "inline_data", "inlineData")) is not None:
        return blob_part(get(blob, "data"), _either(blob, "mime_type", "mimeType"))
    if (file := _either(item, "file_data", "fileData")) is not None:
        mime_type = _either(file, "mime_type", "mimeType")
        return uri_part(str(_either(file, "file_uri", "fileUri") or ""), _modality(mime_type), mime_type)
    if get(item, "uri") is not None:  # an uploaded file
        return uri_part(str(get(item, "uri")), _modality(get(item, "mime_type")), get(item, "mime_type"))
    if hasattr(item, "tobytes") and hasattr(item, "size"):  # a picture of PIL's
        return {"type": "blob", "modality": "image", "mime_type": "image/*"}
    for kind in ("executable_code", "code_execution_result"):
        if get(item, kind) is not None:
            return {"type": kind, "content": get(item, kind)}
    return {"type": "unknown"}


def _either(item: Any, name: str, alias: str) -> Any:
    """A field by its name, or in a dict by its name on the wire."""
    value = get(item, name)
    return get(item, alias) if value is None and isinstance(item, dict) else value


def _modality(mime_type: Any) -> str:
    kind = str(mime_type or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"


def _content(item: Any, role: str) -> Message:
    parts = get(item, "parts")
    if parts is None:
        return message(role, [_part(item)])
    said = str(get(item, "role") or role)
    listed = parts if isinstance(parts, list | tuple) else [parts]
    return message(_ROLES.get(said, said), [_part(part) for part in listed])


def messages(contents: Any, role: str = "user") -> list[Message]:
    """Contents as messages; parts that stand side by side make one message, as the SDK sends them."""
    if contents is None:
        return []
    if type(contents) is str:
        return [{"role": role, "parts": [{"type": "text", "content": contents}]}]  # most are this
    listed = contents if isinstance(contents, list | tuple) else [contents]
    found: list[Message] = []
    loose: list[Part] | None = None
    for item in listed:
        if isinstance(item, list | tuple):
            found += messages(item, role)
            loose = None
        elif get(item, "parts") is not None:
            found.append(_content(item, role))
            loose = None
        elif loose is None:
            loose = [_part(item)]
            found.append(message(role, loose))
        else:
            loose.append(_part(item))
    return found


def sent(params: Params) -> Sent:
    """The contents and the system instruction of a request."""
    return Sent(messages(params.get("system_instruction"), "system"), messages(params.get("contents")))


def output(response: Any) -> list[Message]:
    """The candidates of a response."""
    found = []
    for candidate in get(response, "candidates") or ():
        content = get(candidate, "content")
        item = _content(content, "assistant") if get(content, "parts") else message("assistant", [])
        item["role"] = "assistant"
        item["finish_reason"] = finish_reason(get(candidate, "finish_reason"))
        found.append(item)
    return found


def tool_definitions(params: Params) -> list[dict[str, Any]] | None:
    """The tools on offer: functions by name, Python functions by theirs, built-in ones by their kind."""
    tools = params.get("tools")
    definitions: list[dict[str, Any]] = []
    for tool in tools if isinstance(tools, list | tuple) else ():
        if inspect.isroutine(tool):
            found: dict[str, Any] = {"type": "function", "name": tool.__name__}
            if tool.__doc__:
                found["description"] = inspect.cleandoc(tool.__doc__)
            definitions.append(found)
            continue
        for function in _either(tool, "function_declarations", "functionDeclarations") or ():
            found = {"type": "function", "name": str(get(function, "name") or "")}
            for key, name in (("description", "description"), ("parameters", "parameters"),
                              ("parameters_json_schema", "parameters")):  # fmt: skip
                if value := get(function, key):
                    found[name] = value
            definitions.append(found)
        given = tool if isinstance(tool, dict) else dict.fromkeys(getattr(tool, "model_fields_set", ()), True)
        definitions += [
            {"type": name, "name": name}
            for name in given
            if name not in ("function_declarations", "functionDeclarations")
        ]
    return definitions or None
