"""Interactions in the conventions' schema: what goes in, and the steps (or, of older SDKs, contents) that come back."""

from __future__ import annotations

import json
from typing import Any

from otel_llm.config import fault
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

_ROLES = {"user_input": "user", "model": "assistant", "function": "tool", "function_result": "tool"}
_MEDIA = ("image", "audio", "video", "document")

#: Why an interaction ended, in the conventions' words, by its status.
_FINISH = {
    "completed": "stop",
    "requires_action": "tool_call",
    "requires_continuation": "length",
    "incomplete": "length",
    "budget_exceeded": "length",
    "failed": "error",
    "cancelled": "error",
}


def finish_reason(interaction: Any) -> str:
    """Why an interaction ended; empty where it has not."""
    status = get(interaction, "status")
    return _FINISH.get(status, "") if isinstance(status, str) else ""


def _plain(value: Any) -> Any:
    """A value without the SDK's own objects."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json", exclude_none=True, warnings=False)


def _kind(item: Any) -> str:
    return str(get(item, "type") or "text")


def parts(item: Any) -> list[Part]:
    """What one step or content says. What cannot be read is only said to be."""
    if isinstance(item, str):
        return [text_part(item)]
    try:
        item = get(item, "raw") if get(item, "is_unknown") else item
        return _parts(item, _kind(item))
    except Exception:
        fault("a step of an interaction")
        return [{"type": "unknown"}]


def _all(items: Any) -> list[Part]:
    if isinstance(items, str):
        return [text_part(items)]
    return [part for item in (items if isinstance(items, list | tuple) else ()) for part in parts(item)]


def _parts(item: Any, kind: str) -> list[Part]:
    if kind == "text":
        return [text_part(str(get(item, "text") or ""))]
    if kind in _MEDIA:
        return [_media(item, kind)]
    if kind in ("user_input", "model_output"):
        return _all(get(item, "content"))
    if kind == "thought":
        return [
            {**part, "type": "reasoning"} if part["type"] == "text" else part for part in _all(get(item, "summary"))
        ]
    if kind == "function_call":
        return [tool_call_part(get(item, "name"), arguments(get(item, "arguments")), get(item, "id"))]
    if kind == "function_result":
        result = get(item, "result")
        inner = _all(result) if isinstance(result, list | tuple) else []
        pictures = [part for part in inner if part["type"] != "text"]
        said = [part["content"] for part in inner if part["type"] == "text"]
        answer = _plain(result) if not inner else said[0] if len(said) == 1 else said
        return [tool_response_part(answer, get(item, "call_id")), *pictures]
    return [_served(item, kind)]


def arguments(value: Any) -> Any:
    """A tool's arguments as JSON where they are JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return _plain(value)


def _media(item: Any, kind: str) -> Part:
    data, uri, mime_type = get(item, "data"), get(item, "uri"), get(item, "mime_type")
    if data is not None:
        return blob_part(data, str(mime_type) if mime_type else f"{kind}/*")
    if uri is not None:
        return uri_part(str(uri), kind, str(mime_type) if mime_type else None)
    return {"type": kind}


def _served(item: Any, kind: str) -> Part:
    """A tool that the provider ran by itself, or its result."""
    called, result = kind.removesuffix("_call"), kind.removesuffix("_result")
    part: Part
    if called != kind:
        said = {name: _plain(found) for name in ("arguments", "server_name") if (found := get(item, name)) is not None}
        part = {
            "type": "server_tool_call",
            "name": str(get(item, "name") or called),
            "server_tool_call": {"type": called, **said},
        }
        id = get(item, "id")
    elif result != kind:
        said = {name: _plain(found) for name in ("result", "is_error") if (found := get(item, name)) is not None}
        part = {"type": "server_tool_call_response", "server_tool_call_response": {"type": result, **said}}
        id = get(item, "call_id")
    else:
        return {"type": kind}
    return {**part, "id": str(id)} if id else part


def _role(item: Any, kind: str) -> str:
    said = get(item, "role")
    if isinstance(said, str):
        return _ROLES.get(said, said)
    return _ROLES.get(kind, "user" if kind == "text" or kind in _MEDIA else "assistant")


def messages(given: Any) -> list[Message]:
    """The input of an interaction: a text, contents (those side by side are one message), turns or steps."""
    found: list[Message] = []
    loose: list[Part] | None = None
    for item in given if isinstance(given, list | tuple) else () if given is None else (given,):
        kind = "text" if isinstance(item, str) else _kind(item)
        if kind in ("text", *_MEDIA) and get(item, "role") is None:
            if loose is None:
                loose = []
                found.append(message("user", loose))
            loose += parts(item)
        else:
            loose = None
            turn = get(item, "role") is not None and get(item, "type") is None
            found.append(message(_role(item, kind), _all(get(item, "content")) if turn else parts(item)))
    return found


def body(params: Params) -> Params:
    """The fields of a request, which newer SDKs also take as one object."""
    request = params.get("request")
    inner = get(request, "body") if request is not None else None
    if inner is None:
        return params
    return inner if isinstance(inner, dict) else getattr(inner, "__dict__", {})


def sent(params: Params) -> Sent:
    """The input and the system instruction of a request."""
    fields = body(params)
    instruction = fields.get("system_instruction")
    first = [message("system", [text_part(instruction)])] if isinstance(instruction, str) else []
    return Sent(first, messages(fields.get("input")))


def output(interaction: Any) -> list[Message]:
    """What came back, as one message."""
    steps = get(interaction, "steps")
    if steps is None:
        steps = get(interaction, "outputs")
    found = [part for step in steps or () if _kind(step) != "user_input" for part in parts(step)]
    reason = finish_reason(interaction)
    if not found and reason in ("", "error"):
        return []
    said = message("assistant", found)
    said["finish_reason"] = reason
    return [said]


def tool_definitions(params: Params) -> list[dict[str, Any]] | None:
    """The tools on offer: functions with what is said of them, the provider's own by their kind."""
    tools = body(params).get("tools")
    definitions: list[dict[str, Any]] = []
    for tool in tools if isinstance(tools, list | tuple) else ():
        kind = _kind(tool)
        found: dict[str, Any] = {"type": kind, "name": str(get(tool, "name") or kind)}
        for key in ("description", "parameters"):
            if value := get(tool, key):
                found[key] = _plain(value)
        definitions.append(found)
    return definitions or None
