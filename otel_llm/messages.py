"""Messages in the schema of the GenAI semantic conventions, and their JSON.

A message is ``{"role": …, "parts": [{"type": "text", "content": …}, …]}``. Binary parts are never carried: a digest,
a size and a type stand for them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NotRequired, TypedDict

from otel_llm.plain import plain

Part = dict[str, Any]


class Message(TypedDict):
    """One message; ``finish_reason`` only on what came back."""

    role: str
    parts: list[Part]
    name: NotRequired[str]
    finish_reason: NotRequired[str]


def text_part(content: str) -> Part:
    """A part that is plain text."""
    return {"type": "text", "content": content}


def tool_call_part(name: str | None, arguments: Any, id: str | None = None) -> Part:
    """The model's wish to have a tool run."""
    part: Part = {"type": "tool_call", "name": name or "", "arguments": arguments}
    if id:
        part["id"] = id
    return part


def tool_response_part(response: Any, id: str | None = None) -> Part:
    """What a tool gave back."""
    part: Part = {"type": "tool_call_response", "response": response}
    if id:
        part["id"] = id
    return part


def blob_part(data: bytes | str | None, mime_type: str | None) -> Part:
    """A binary part; ``data`` as text is base64. Its digest and size stand for it in JSON, worked out only there."""
    modality = (mime_type or "").partition("/")[0]
    return {
        "type": "blob",
        "modality": modality if modality in ("image", "audio", "video") else "document",
        "mime_type": mime_type or "application/octet-stream",
        "data": data or b"",
    }


def _digested(part: Part) -> Part:
    if part.get("data") is None:  # only its digest was kept, or it is a picture that the SDK encodes
        return part
    raw = bytes_of(part)
    return {key: part[key] for key in ("type", "modality", "mime_type")} | {
        "sha256": hashlib.sha256(raw).hexdigest(),
        "size": len(raw),
    }


def bytes_of(part: Part) -> bytes:
    """The bytes of a binary part, where it carries them."""
    data = part.get("data") or b""
    return _decoded(data) if isinstance(data, str) else bytes(data)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return text.encode("utf-8", "replace")


def uri_part(uri: str, modality: str, mime_type: str | None = None) -> Part:
    """A part that lives elsewhere; a ``data:`` address is taken as a blob."""
    if uri.startswith("data:"):
        head, _, body = uri[5:].partition(",")
        return blob_part(body, head.partition(";")[0] or None)
    part: Part = {"type": "uri", "modality": modality, "uri": uri}
    if mime_type:
        part["mime_type"] = mime_type
    return part


def mended(text: str) -> str:
    """A text without lone surrogates: one of them would cost the exporter its whole batch."""
    plain = text if type(text) is str else str.__str__(text)  # a subclass may do anything when it is asked
    return plain if plain.isascii() else plain.encode("utf-8", "replace").decode()


def message(role: str, parts: list[Part]) -> Message:
    """A message."""
    return {"role": role, "parts": parts}


def text_message(role: str, text: str) -> Message:
    """A message that is a text and nothing else, as most are."""
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def texts(messages: Iterable[Message]) -> list[str]:
    """Every text of the messages, in order, as the caller's own strings; what tools gave back is among them."""
    found: list[str] = []
    for item in messages:
        for part in item["parts"]:
            if part["type"] == "text":
                if isinstance(part["content"], str):
                    found.append(part["content"])
            elif part["type"] == "tool_call_response":
                found += _strings(part["response"])
    return found


def _strings(value: Any) -> Iterator[str]:
    """The texts in what a tool gave back."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _fallback(value: Any) -> Any:
    """What stands in JSON for an object that is not JSON."""
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        dumped = dump(mode="json", exclude_none=True, warnings=False)
        if not hasattr(dumped, "model_dump"):  # a mock has any method, whatever it gives
            return dumped
    if isinstance(value, bytes | bytearray):
        return _digested(blob_part(bytes(value), None))
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return getattr(value, "__name__", None) or str(value)


_string: Callable[[str], str] = json.encoder.encode_basestring
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_fallback).encode


def to_json(value: Any) -> str:
    """Compact JSON of messages, parts or definitions; objects that are not JSON are dumped or named. Never raises."""
    try:
        return _encode(value)
    except Exception:  # a circle, nested too deep, not a number, keys that are not texts, an object that fails
        return _encode(plain(value, _fallback))


def parts_json(parts: Sequence[Part]) -> str:
    """Compact JSON of parts."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return f'[{{"type":"text","content":{_string(str(parts[0]["content"]))}}}]'
    return f"[{','.join([_part(part) for part in parts])}]"


def _part(part: Part) -> str:
    kind = part["type"]
    if kind == "text":  # most are this; each text is copied once more only
        return f'{{"type":"text","content":{_string(str(part["content"]))}}}'
    return to_json(_digested(part) if kind == "blob" else part)


def plain_part(part: Part) -> Part:
    """A part as plain JSON values."""
    found: Part = json.loads(_part(part))
    return found


def messages_json(messages: Iterable[Message]) -> str:
    """Compact JSON of messages."""
    written = []
    for item in messages:
        role, parts, more = _string(item["role"]), item["parts"], ""
        if len(item) > 2:
            for key in ("name", "finish_reason"):
                if key in item:
                    more += f',"{key}":{_string(str(item[key]))}'
        if len(parts) == 1 and parts[0]["type"] == "text":
            content = _string(str(parts[0]["content"]))
            written.append(f'{{"role":{role},"parts":[{{"type":"text","content":{content}}}]{more}}}')
        else:
            written.append(f'{{"role":{role},"parts":{parts_json(parts)}{more}}}')
    return f"[{','.join(written)}]"
