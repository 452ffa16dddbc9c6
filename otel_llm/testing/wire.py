"""What both wire formats share: routes, the answer as bytes, server-sent events, vectors."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from otel_llm.testing.script import Reply, Request

#: Seconds since 1970 of the first answer; every answer is a second later, so that runs can be compared.
EPOCH = 1_780_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """Bytes for the socket: either one ``body`` or the ``events`` of a stream, after which it may be ``cut``.

    ``media_type`` is that of the body or the stream; JSON or server-sent events when empty.
    """

    status: int
    body: bytes = b""
    events: Sequence[bytes] | None = None
    cut: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = ""


#: The HTTP method, the end of the path with named groups, the operation's name, and what answers.
Route = tuple[str, re.Pattern[str], str, Callable[[Request, Reply], Answer]]


def answer_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A JSON body."""
    return Answer(status, dumps(value), headers=headers or {})


def event(value: object, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + dumps(value) + b"\n\n"


def stream(events: Sequence[bytes], reply: Reply, failure: bytes, headers: Mapping[str, str]) -> Answer:
    """A stream that ends as the reply says: whole, with the event ``failure``, or cut."""
    if reply.fail_after is None:
        return Answer(200, events=events, headers=headers)
    head = list(events[: reply.fail_after])
    if reply.failure == "cut":
        return Answer(200, events=head, cut=True, headers=headers)
    return Answer(200, events=[*head, failure], headers=headers)


def dumps(value: object) -> bytes:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def vector(text: str, size: int) -> list[float]:
    """A unit vector of hashed words: texts that share words are near one another."""
    values = [0.0] * size
    for word in re.findall(r"[a-z]+", text.lower()):
        if len(word) > 3:
            values[zlib.crc32(word[:6].encode()) % size] += 1.0
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    return [round(value / norm, 6) for value in values]
