"""The calls that are compared, and what a telemetry of each may be expected to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from . import transport as t


@dataclass(frozen=True)
class Call:
    """A call of an SDK; ``make`` is given the clients and the text that is sent.

    ``chunks`` is how many a stream has and ``plain`` names the call beside it that is none; ``needs`` is what telemetry
    must hold to count as recording the same.
    """

    name: str
    make: Callable[[t.Clients, str], object]
    chunks: int = 0
    plain: str = ""
    needs: tuple[str, ...] = ("input", "output", "tokens")

    @property
    def batch(self) -> int:
        """How many make one measurement."""
        return 1 if self.chunks else 8


def _drain(stream: Iterable[Any]) -> None:
    for _ in stream:
        pass


CALLS = (
    Call(
        "openai chat",
        lambda clients, text: clients.openai.chat.completions.create(
            model=t.CHAT_MODEL, messages=t.messages(text), temperature=0.2
        ),
    ),
    Call(
        "openai chat stream",
        lambda clients, text: _drain(
            clients.openai.chat.completions.create(
                model=t.CHAT_MODEL,
                messages=t.messages(text),
                stream=True,
                stream_options={"include_usage": True},
            )
        ),
        chunks=t.CHUNKS,
        plain="openai chat",
    ),
    Call(
        "openai responses",
        lambda clients, text: clients.openai.responses.create(model=t.CHAT_MODEL, input=text, instructions=t.SYSTEM),
    ),
    Call(
        "openai embeddings",
        lambda clients, text: clients.openai.embeddings.create(model=t.EMBEDDING_MODEL, input=text, dimensions=256),
        needs=("input", "tokens"),
    ),
    Call(
        "gemini generate",
        lambda clients, text: clients.google.models.generate_content(
            model=t.GEMINI_MODEL, contents=text, config={"system_instruction": t.SYSTEM, "temperature": 0.2}
        ),
    ),
    Call(
        "gemini stream",
        lambda clients, text: _drain(
            clients.google.models.generate_content_stream(
                model=t.GEMINI_MODEL, contents=text, config={"system_instruction": t.SYSTEM, "temperature": 0.2}
            )
        ),
        chunks=t.CHUNKS,
        plain="gemini generate",
    ),
    Call(
        "gemini embed",
        lambda clients, text: clients.google.models.embed_content(
            model=t.GEMINI_EMBEDDING_MODEL, contents=text, config={"output_dimensionality": 256}
        ),
        needs=("input", "tokens"),
    ),
)
BY_NAME = {call.name: call for call in CALLS}
