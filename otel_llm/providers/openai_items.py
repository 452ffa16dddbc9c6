"""The items of OpenAI's responses and conversations in the conventions' schema.

What the application runs is a ``tool_call`` and its ``tool_call_response``; what the provider runs itself is a
``server_tool_call`` and its ``server_tool_call_response``. Items that hold nothing to read keep their kind and id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from otel_llm.config import fault
from otel_llm.messages import Message, Part, blob_part, message, text_message, text_part, tool_call_part, uri_part
from otel_llm.provider import Params, Sent, fields, get
from otel_llm.providers.openai_messages import arguments, content_parts, listed, responded, safely, sent, text_of

#: Items with which a response waits for the application.
_WAITING = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "mcp_approval_request",
    }
)


def finish_reason(response: Any, kinds: Sequence[str] | None = None) -> str:
    """Why a response ended, in the conventions' words; empty where it has not. ``kinds`` are those of its output."""
    held = fields(response)
    status = held.get("status")
    if status in (None, "queued", "in_progress"):
        return ""
    if status == "incomplete":
        reason = get(get(response, "incomplete_details"), "reason")
        return "length" if reason == "max_output_tokens" else text_of(reason or "incomplete")
    if status in ("failed", "cancelled"):
        return "error"
    items = listed(held.get("output"))
    kinds = kinds_of(items) if kinds is None else kinds
    if _WAITING.isdisjoint(kinds):
        return "stop"
    called = [get(item, "call_id") for item in items]
    answered = {id for id, kind in zip(called, kinds, strict=True) if kind.endswith("_output")}
    waits = any(kind in _WAITING and id not in answered for id, kind in zip(called, kinds, strict=True))
    return "tool_call" if waits else "stop"


def kinds_of(items: Sequence[Any]) -> list[str]:
    """The kinds of items, whatever they are."""
    kinds = []
    for item in items:
        try:
            kind = (item if type(item) is dict else item.__dict__)["type"]
        except Exception:
            kind = None
        kinds.append(kind if type(kind) is str else _kind_of(item))
    return kinds


def _kind_of(item: Any) -> str:
    """The kind of an item, whatever it is."""
    try:
        return text_of(get(item, "type"))
    except Exception:
        fault("reading an item")
        return ""


def _plain(value: Any) -> Any:
    """A value without the SDK's own objects."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    dump = getattr(value, "model_dump", None)
    return value if dump is None else dump(mode="json", exclude_none=True, warnings=False)


def _fields(item: Any, *names: str) -> dict[str, Any]:
    found = {name: _plain(get(item, name)) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _id(item: Any) -> dict[str, str]:
    """The id of a call of the provider's own tool."""
    found = get(item, "call_id") or get(item, "id")
    return {"id": text_of(found)} if found else {}


def _server_call(item: Any, name: str, kind: str, *fields: str) -> Part:
    called = {"type": kind, **_fields(item, *fields)}
    return {"type": "server_tool_call", "name": name, **_id(item), "server_tool_call": called}


def _server_response(item: Any, kind: str, **fields: Any) -> Part:
    return {
        "type": "server_tool_call_response",
        **_id(item),
        "server_tool_call_response": {"type": kind, **{key: value for key, value in fields.items() if value}},
    }


def _function_call(item: Any) -> list[Part]:
    return [tool_call_part(get(item, "name"), arguments(get(item, "arguments")), get(item, "call_id"))]


def _custom_call(item: Any) -> list[Part]:
    return [tool_call_part(get(item, "name"), get(item, "input"), get(item, "call_id"))]


def _client_call(name: str, *fields: str) -> Callable[[Any], list[Part]]:
    """A call of a tool that OpenAI describes and the application runs."""
    return lambda item: [tool_call_part(name, _fields(item, *fields), get(item, "call_id") or get(item, "id"))]


def _output(item: Any) -> list[Part]:
    return responded(get(item, "output"), get(item, "call_id") or get(item, "id"))


def _structured_output(item: Any) -> list[Part]:
    """What a shell gave back: a list of its own kind and not of parts."""
    found = _plain(get(item, "output"))
    part = {"type": "tool_call_response", "response": found if found is not None else text_of(get(item, "status"))}
    return [{**part, **_id(item)}]


def _computer_output(item: Any) -> list[Part]:
    return responded([get(item, "output")], get(item, "call_id"))


def _reasoning(item: Any) -> list[Part]:
    held = fields(item)
    texts = [get(entry, "text") for entry in (*listed(held.get("summary")), *listed(held.get("content")))]
    return [{"type": "reasoning", "content": text_of(text)} for text in texts if text]


def _web_search(item: Any) -> list[Part]:
    action = _fields(get(item, "action"), "type", "query", "queries", "url", "pattern", "sources")
    part = {"type": "server_tool_call", "name": "web_search", **_id(item)}
    return [{**part, "server_tool_call": {"type": "web_search", "action": action}}]


def _file_search(item: Any) -> list[Part]:
    parts = [_server_call(item, "file_search", "file_search", "queries")]
    if (results := get(item, "results")) is not None:
        parts.append(_server_response(item, "file_search", results=_plain(results)))
    return parts


def _code(item: Any) -> list[Part]:
    parts = [_server_call(item, "code_interpreter", "code_interpreter", "code", "container_id")]
    outputs = listed(get(item, "outputs"))
    if outputs:
        logs = [text_of(get(output, "logs")) for output in outputs if get(output, "logs")]
        parts.append(_server_response(item, "code_interpreter", logs=logs))
        parts += [uri_part(text_of(get(output, "url")), "image") for output in outputs if get(output, "url")]
    return parts


def _image(item: Any) -> list[Part]:
    parts = [_server_call(item, "image_generation", "image_generation", "action", "revised_prompt")]
    if (picture := get(item, "result")) is not None:
        parts.append(_server_response(item, "image_generation", status=get(item, "status")))
        parts.append(blob_part(picture, f"image/{get(item, 'output_format') or 'png'}"))
    return parts


def _mcp(item: Any) -> list[Part]:
    called = {"type": "mcp", **_fields(item, "server_label"), "arguments": arguments(get(item, "arguments"))}
    part = {"type": "server_tool_call", "name": text_of(get(item, "name")), **_id(item), "server_tool_call": called}
    output, error = get(item, "output"), get(item, "error")
    if output is None and error is None:
        return [part]
    return [part, _server_response(item, "mcp", output=output, error=_plain(error))]


def _tools_listed(item: Any) -> list[Part]:
    names = [text_of(get(tool, "name")) for tool in listed(get(item, "tools"))]
    return [{"type": text_of(get(item, "type")), **_id(item), **_fields(item, "server_label"), "tools": names}]


def _tool_search(item: Any) -> list[Part]:
    if get(item, "execution") == "client":
        return [tool_call_part("tool_search", arguments(get(item, "arguments")), get(item, "call_id"))]
    return [_server_call(item, "tool_search", "tool_search", "arguments")]


def _program(item: Any) -> list[Part]:
    return [_server_call(item, "program", "program", "code")]


def _program_output(item: Any) -> list[Part]:
    return [_server_response(item, "program", result=get(item, "result"))]


def _approval(item: Any) -> list[Part]:
    names = ("server_label", "name", "arguments", "approval_request_id", "approve", "reason")
    return [{"type": text_of(get(item, "type")), **_id(item), **_fields(item, *names)}]


def _mark(item: Any) -> list[Part]:
    return [{"type": text_of(get(item, "type")), **_id(item)}]


#: Who says an item, and what it becomes, by its kind.
_KINDS: Mapping[str, tuple[str, Callable[[Any], list[Part]]]] = {
    "function_call": ("assistant", _function_call),
    "function_call_output": ("tool", _output),
    "custom_tool_call": ("assistant", _custom_call),
    "custom_tool_call_output": ("tool", _output),
    "reasoning": ("assistant", _reasoning),
    "web_search_call": ("assistant", _web_search),
    "file_search_call": ("assistant", _file_search),
    "code_interpreter_call": ("assistant", _code),
    "image_generation_call": ("assistant", _image),
    "mcp_call": ("assistant", _mcp),
    "mcp_list_tools": ("assistant", _tools_listed),
    "mcp_approval_request": ("assistant", _approval),
    "mcp_approval_response": ("user", _approval),
    "computer_call": ("assistant", _client_call("computer", "action", "actions")),
    "computer_call_output": ("tool", _computer_output),
    "local_shell_call": ("assistant", _client_call("local_shell", "action")),
    "local_shell_call_output": ("tool", _output),
    "shell_call": ("assistant", _client_call("shell", "action", "environment")),
    "shell_call_output": ("tool", _structured_output),
    "apply_patch_call": ("assistant", _client_call("apply_patch", "operation")),
    "apply_patch_call_output": ("tool", _structured_output),
    "tool_search_call": ("assistant", _tool_search),
    "tool_search_output": ("tool", _tools_listed),
    "additional_tools": ("user", _tools_listed),
    "program": ("assistant", _program),
    "program_output": ("assistant", _program_output),
    "compaction": ("assistant", _mark),
    "item_reference": ("assistant", _mark),
}


def item_message(item: Any) -> Message:
    """One item of a response's input or output, or of a conversation."""
    if isinstance(item, str):
        return message("user", [text_part(item)])
    held = fields(item)
    kind = text_of(held.get("type"))
    if kind in ("", "message"):
        return message(text_of(held.get("role") or "user"), content_parts(held.get("content")))
    role, read = _KINDS.get(kind, ("assistant", _mark))
    return message(role, read(item))


def _parts(item: Any) -> list[Part]:
    return item_message(item)["parts"]


def request(params: Params) -> Sent:
    """The input of a response; ``instructions`` and system and developer messages are instructions."""
    instructions = params.get("instructions")
    first = [text_message("system", instructions)] if isinstance(instructions, str) else []
    given = params.get("input")
    if isinstance(given, str):
        return Sent(first, [text_message("user", given)])
    return sent(listed(given), item_message, first)


def stored(params: Params) -> Sent:
    """The items that are put into a conversation."""
    return sent(listed(params.get("items")), item_message, [])


def output(response: Any) -> list[Message]:
    """The output of a response as one message."""
    parts = [part for item in listed(get(response, "output")) for part in safely(_parts, item)]
    if not parts:
        return []
    said = message("assistant", parts)
    if reason := finish_reason(response):
        said["finish_reason"] = reason
    return [said]
