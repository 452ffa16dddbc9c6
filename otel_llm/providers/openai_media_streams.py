"""OpenAI's streams of images and transcripts, added up to the response that they make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class ImageFold:
    """Events of an image that is made or edited. Until it is whole, the last sketch of it is what there is."""

    __slots__ = ("_images", "_last", "_sketch", "_usage")

    def __init__(self) -> None:
        self._images: list[Any] = []
        self._sketch: Any = None
        self._last: Any = None
        self._usage: Any = None

    def add(self, event: Any) -> None:
        """Takes an event in."""
        self._last = event
        if event.type.endswith(".completed"):
            self._images.append(event)
            self._sketch = None
            self._usage = event.usage or self._usage
        elif event.type.endswith(".partial_image"):
            self._sketch = event

    def response(self) -> SimpleNamespace:
        """The images so far. ``made`` are those that are whole."""
        found = [*self._images, *([self._sketch] if self._sketch is not None else [])]
        return SimpleNamespace(
            data=[SimpleNamespace(b64_json=image.b64_json, url=None, revised_prompt=None) for image in found],
            made=len(self._images),
            output_format=getattr(self._last, "output_format", None),
            usage=self._usage,
        )


class TranscriptFold:
    """Events of a transcript: pieces of text or segments of speakers, then all of it with its usage."""

    __slots__ = ("_done", "_segments", "_text")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._segments: list[str] = []
        self._done: Any = None

    def add(self, event: Any) -> None:
        """Takes an event in."""
        if event.type == "transcript.text.delta":
            self._text.append(event.delta)
        elif event.type == "transcript.text.segment":
            self._segments.append(event.text)
        elif event.type == "transcript.text.done":
            self._done = event

    def response(self) -> Any:
        """The transcript so far."""
        return self._done or SimpleNamespace(text="".join(self._text) or " ".join(self._segments), usage=None)
