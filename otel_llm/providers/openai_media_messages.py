"""What goes in and what comes back where it is not text: images, speech, sound, video, what is to be moderated.

Files are never read: one that was given as bytes is a blob, of any other only the name is known.
"""

from __future__ import annotations

import io
import mimetypes
import os
from collections.abc import Callable
from typing import Any

from otel_llm.messages import Message, Part, blob_part, message, text_part, uri_part
from otel_llm.provider import Params, Sent, get
from otel_llm.providers.openai_messages import content_parts, listed, safely, text_of


def _uploaded(file: Any, modality: str) -> Part:
    """A file in the forms that the SDK takes: bytes, an open file, a path, or a name with one of these and a type."""
    name, kind = None, None
    if isinstance(file, tuple):
        name, file, *rest = file
        kind = rest[0] if rest else None
    if isinstance(file, os.PathLike):
        name = name or os.fspath(file)
    elif not isinstance(file, bytes | bytearray):
        name = name or getattr(file, "name", None)
    name = os.path.basename(name) if isinstance(name, str) else None
    kind = kind or (mimetypes.guess_type(name)[0] if name else None) or f"{modality}/*"
    if isinstance(file, io.BytesIO):
        file = file.getvalue()
    if isinstance(file, bytes | bytearray):
        return blob_part(bytes(file), kind)
    return {"type": "upload", "modality": modality, "mime_type": kind, "name": name or ""}


def _reference(given: Any, modality: str) -> Part:
    """A file, or where it is: its id with the provider, or its address."""
    if isinstance(given, dict):
        if url := given.get("image_url"):
            return uri_part(text_of(url), modality)
        return {"type": "file", "modality": modality, "file_id": text_of(given.get("file_id") or given.get("id"))}
    if isinstance(given, str):
        return {"type": "file", "modality": modality, "file_id": given}
    return safely(lambda file: [_uploaded(file, modality)], given)[0]


def asked(text: str = "prompt", **files: str) -> Callable[[Params], Sent]:
    """Reads a request of a text and of files, by the parameters that they are in and what they are."""

    def read(params: Params) -> Sent:
        said = params.get(text)
        parts = [text_part(said)] if isinstance(said, str) else []
        for name, modality in files.items():
            given = params.get(name)
            files_given = given if isinstance(given, list) else [given]
            parts.extend(_reference(file, modality) for file in files_given if file is not None)
        return Sent([], [message("user", parts)] if parts else [])

    return read


def speech(params: Params) -> Sent:
    """The text that is spoken, and how."""
    instructions = params.get("instructions")
    first = [message("system", [text_part(instructions)])] if isinstance(instructions, str) else []
    return Sent(first, [message("user", content_parts(params.get("input")))])


def moderated(params: Params) -> Sent:
    """What is to be moderated: a text, texts, or parts with pictures."""
    return Sent([], [message("user", content_parts(params.get("input")))])


def images(response: Any) -> list[Message]:
    """The images that were made, as one message."""
    kind = f"image/{get(response, 'output_format') or 'png'}"

    def read(image: Any) -> list[Part]:
        revised, data, url = (get(image, name) for name in ("revised_prompt", "b64_json", "url"))
        return [
            *([text_part(text_of(revised))] if revised else ()),
            *([blob_part(data, kind)] if data else [uri_part(text_of(url), "image")] if url else ()),
        ]

    parts = [part for image in listed(get(response, "data")) for part in safely(read, image)]
    return [message("assistant", parts)] if parts else []


def transcript(response: Any) -> list[Message]:
    """What was heard; subtitles come as a text by themselves."""
    text = response if isinstance(response, str) else get(response, "text")
    return [message("assistant", [text_part(text)])] if isinstance(text, str) else []


def spoken(response: Any) -> list[Message]:
    """The sound that was made, where the SDK has received it."""
    http = get(response, "response")
    if http is None or not http.is_closed:
        return []
    kind = http.headers.get("content-type", "").partition(";")[0]
    if kind == "text/event-stream":
        return []
    return [message("assistant", [blob_part(http.content, kind if kind.startswith("audio/") else "audio/*")])]
