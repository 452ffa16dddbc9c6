"""Audio and pictures that pass in pieces: never kept, only their digest and size."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from otel_llm.messages import Part, blob_part


class Media:
    """What is left of media that have passed: for each kind the digest and the size of all of it, in order."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[str | None, tuple[Any, int]] = {}

    def add(self, data: Any, mime_type: str | None) -> None:
        """Takes a piece in; as a text it is base64. Anything else is passed over."""
        if isinstance(data, str):
            data = base64.b64decode(
                data.replace("-", "+").replace("_", "/")
            )  # also where it could be part of an address
        if isinstance(data, bytes | bytearray | memoryview) and data:
            digest, size = self._kinds.get(mime_type) or (hashlib.sha256(), 0)
            digest.update(data)
            self._kinds[mime_type] = (digest, size + len(data))

    def parts(self) -> list[Part]:
        """A part for each kind."""
        found = []
        for mime_type, (digest, size) in self._kinds.items():
            part = blob_part(None, mime_type)
            del part["data"]
            found.append(part | {"sha256": digest.hexdigest(), "size": size})
        return found
