"""Gemini's contents in the conventions' schema: what goes in and what comes back, in all the forms the SDK takes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from otel_llm.config import fault
from otel_llm.messages import Message, Part, message, text_message
from otel_llm.provider import Params, Sent, dig, fields, get
from otel_llm.providers.google_parts import either, media, parts

#: The conventions' finish reasons, by Gemini's; any other is given in lower case.
_FINISH = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MALFORMED_FUNCTION_CALL": "error",
    "MALFORMED_RESPONSE": "error",
    "MISSING_THOUGHT_SIGNATURE": "error",
    "TOO_MANY_TOOL_CALLS": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}

_ROLES = {"model": "assistant", "function": "tool"}


def finish_reason(candidate: Any) -> str:
    """Why a candidate ended, in the conventions' words; empty where it has not. Gemini stops in order to call."""
    held = fields(candidate)
    reason = held.get("finish_reason")
    if reason is None:
        return ""
    name = str.__str__(reason) if isinstance(reason, str) else str(getattr(reason, "value", reason))
    found = _FINISH.get(name) or name.lower()
    if found == "stop" and any(dig(part, "function_call") for part in dig(held, "content", "parts") or ()):
        return "tool_call"
    return found


def _all(items: Iterable[Any]) -> list[Part]:
    return [part for item in items for part in parts(item)]


def _content(item: Any, role: str) -> Message:
    """One content, or a part by itself."""
    inner = get(item, "parts")
    if inner is None:
        return message(role, parts(item))
    said = str(get(item, "role") or role)
    listed = inner if isinstance(inner, list | tuple) else [inner]
    found = message(_ROLES.get(said, said), _all(listed))
    if found["parts"] and all(part["type"] == "tool_call_response" for part in found["parts"]):
        found["role"] = "tool"  # to Gemini it is the user who says what a function gave
    return found


def messages(contents: Any, role: str = "user") -> list[Message]:
    """Contents as messages; parts that stand side by side make one message, as the SDK sends them."""
    if contents is None:
        return []
    if type(contents) is str:
        return [text_message(role, contents)]  # most are this
    listed = contents if isinstance(contents, list | tuple) else [contents]
    found: list[Message] = []
    loose: list[Part] | None = None
    for item in listed:
        if isinstance(item, list | tuple):
            found += messages(item, role)
            loose = None
        elif _is_content(item):
            found.append(_content(item, role))
            loose = None
        elif loose is None:
            loose = parts(item)
            found.append(message(role, loose))
        else:
            loose += parts(item)
    return found


def _is_content(item: Any) -> bool:
    try:
        return type(item) is not str and get(item, "parts") is not None
    except Exception:
        fault("a part of a message")
        return False


def sent(params: Params) -> Sent:
    """The contents and the system instruction of a request."""
    return Sent(messages(params.get("system_instruction"), "system"), messages(params.get("contents")))


def output(response: Any) -> list[Message]:
    """The candidates of a response."""
    found = []
    for candidate in dig(response, "candidates") or ():
        item = message("assistant", _all(dig(candidate, "content", "parts") or ()))
        item["finish_reason"] = finish_reason(candidate)
        found.append(item)
    return found


def prompted(params: Params) -> Sent:
    """The prompt of a request for pictures or videos, and what it is to be made from."""
    said = params.get("source") or params
    found = _all([prompt]) if isinstance(prompt := get(said, "prompt"), str) else []
    found += [part for name in _MADE_FROM for part in _pictures(get(said, name))]
    return Sent([], [message("user", found)] if found else [])


_MADE_FROM = (
    "image", "video", "last_frame", "person_image", "product_images", "scribble_image", "reference_images",
)  # fmt: skip


def _pictures(given: Any) -> list[Part]:
    """Pictures and videos, by themselves or with what they are for."""
    found: list[Part] = []
    for item in given if isinstance(given, list | tuple) else () if given is None else (given,):
        for name, alias in (("reference_image", "referenceImage"), ("product_image", "productImage"), ("image", "")):
            item = either(item, name, alias) or item
        found += [media(item)]
    return found
