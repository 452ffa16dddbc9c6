"""A form as it is sent with files in it (``multipart/form-data``), read as far as a script wants to see it."""

from __future__ import annotations

import re
from typing import Any

_PARAMETER = re.compile(r';\s*(name|filename|boundary)="?([^";]*)"?')


def read_form(media_type: str, raw: bytes) -> dict[str, Any]:
    """The fields of a form; a file as its name, type and size. Fields of several values, named ``x[]``, are lists."""
    boundary = dict(_PARAMETER.findall(media_type)).get("boundary", "")
    fields: dict[str, Any] = {}
    for part in raw.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = part.removesuffix(b"\r\n").partition(b"\r\n\r\n")
        lines = [line.partition(":") for line in head.decode().strip().split("\r\n")]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        named = dict(_PARAMETER.findall(headers.get("content-disposition", "")))
        value: Any = content.decode("utf-8", "replace")
        if "filename" in named:
            value = {"name": named["filename"], "type": headers.get("content-type", ""), "size": len(content)}
        elif value in ("true", "false"):
            value = value == "true"
        name = named.get("name", "")
        if name.endswith("[]"):
            fields.setdefault(name[:-2], []).append(value)
        else:
            fields[name] = value
    return fields
