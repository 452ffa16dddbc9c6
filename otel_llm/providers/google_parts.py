"""Gemini's parts in the conventions' schema, typed or as dicts, by their names in Python or on the wire."""

from __future__ import annotations

from typing import Any

from otel_llm.config import fault
from otel_llm.messages import Part, blob_part, text_part, tool_call_part, tool_response_part, uri_part
from otel_llm.provider import get


def parts(item: Any) -> list[Part]:
    """What one part says; a function's answer brings the pictures in it. What cannot be read is only said to be."""
    if type(item) is str:
        return [text_part(item)]
    try:
        return _parts(item)
    except Exception:
        fault("a part of a message")
        return [{"type": "unknown"}]


def either(item: Any, name: str, alias: str) -> Any:
    """A field by its name, or in a dict by its name on the wire."""
    value = get(item, name)
    return get(item, alias) if value is None and isinstance(item, dict) else value


def _parts(item: Any) -> list[Part]:
    text = get(item, "text")
    if isinstance(text, str):
        return [{"type": "reasoning" if get(item, "thought") else "text", "content": text}]
    if (call := either(item, "function_call", "functionCall")) is not None:
        return [tool_call_part(get(call, "name"), _arguments(call), get(call, "id"))]
    if (answer := either(item, "function_response", "functionResponse")) is not None:
        return [
            tool_response_part(get(answer, "response"), get(answer, "id")),
            *(part for inner in get(answer, "parts") or () for part in parts(inner)),
        ]
    if (media := _media(item)) is not None:
        return [media]
    return [_served(item)]


def _arguments(call: Any) -> Any:
    """A function call's arguments; those that are streamed come in pieces, each with the path that it is a part of."""
    arguments = get(call, "args")
    if arguments is not None:
        return arguments
    found: dict[str, Any] = {}
    for piece in either(call, "partial_args", "partialArgs") or ():
        path = str(either(piece, "json_path", "jsonPath") or "").removeprefix("$.")
        values = (
            either(piece, "string_value", "stringValue"),
            either(piece, "number_value", "numberValue"),
            either(piece, "bool_value", "boolValue"),
        )
        value = next((value for value in values if value is not None), None)
        before = found.get(path)
        found[path] = before + value if isinstance(before, str) and isinstance(value, str) else value
    return found or None


def _media(item: Any) -> Part | None:
    """A binary part, or one that lives elsewhere."""
    if (blob := either(item, "inline_data", "inlineData")) is not None:
        return blob_part(get(blob, "data"), either(blob, "mime_type", "mimeType"))
    if (file := either(item, "file_data", "fileData")) is not None:
        return stored(either(file, "file_uri", "fileUri"), either(file, "mime_type", "mimeType"))
    if get(item, "uri") is not None:  # an uploaded file
        return stored(get(item, "uri"), either(item, "mime_type", "mimeType"))
    if hasattr(item, "tobytes") and hasattr(item, "size"):  # a picture of PIL's, which the SDK encodes
        format = str(getattr(item, "format", None) or "*").lower()
        return {"type": "blob", "modality": "image", "mime_type": f"image/{format}"}
    if get(item, "data") is not None:  # what an upload or a Live session takes, a blob by itself
        return blob_part(get(item, "data"), either(item, "mime_type", "mimeType"))
    return None


def media(item: Any) -> Part:
    """A picture or a video of a request for one: its bytes, or its address."""
    data = either(item, "image_bytes", "imageBytes") or either(item, "video_bytes", "videoBytes")
    mime_type = either(item, "mime_type", "mimeType")
    if data:
        return blob_part(data, mime_type)
    address = either(item, "gcs_uri", "gcsUri") or get(item, "uri")
    return stored(address, mime_type) if address else parts(item)[0]


def stored(uri: Any, mime_type: Any) -> Part:
    """A part that is at an address."""
    kind = str(mime_type or "").partition("/")[0]
    modality = kind if kind in ("image", "audio", "video") else "document"
    return uri_part(str(uri or ""), modality, str(mime_type) if mime_type else None)


def _served(item: Any) -> Part:
    """What the provider ran by itself, and what came of it."""
    for name, alias, kind, fields in _SERVED:
        if (found := either(item, name, alias)) is not None:
            tool = get(found, "tool_type") or get(found, "toolType") or "code_execution"
            tool = str(getattr(tool, "value", tool)).lower()
            said = {key: getattr(value, "value", value) for key in fields if (value := get(found, key)) is not None}
            part: Part = {"type": kind, kind: {"type": tool, **said}}
            if kind == "server_tool_call":
                part["name"] = tool
            if id := get(found, "id"):
                part["id"] = id
            return part
    if (heard := either(item, "audio_transcription", "audioTranscription")) is not None:
        return {"type": "transcription", "content": str(get(heard, "text") or "")}
    if either(item, "thought_signature", "thoughtSignature") is not None:
        return {"type": "thought_signature"}
    return {"type": "unknown"}


_SERVED = (
    ("executable_code", "executableCode", "server_tool_call", ("code", "language")),
    ("code_execution_result", "codeExecutionResult", "server_tool_call_response", ("outcome", "output")),
    ("tool_call", "toolCall", "server_tool_call", ("args",)),
    ("tool_response", "toolResponse", "server_tool_call_response", ("response",)),
)
