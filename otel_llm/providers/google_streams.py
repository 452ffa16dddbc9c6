"""Gemini's chunks, added up to the response that they make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class _Candidate:
    __slots__ = ("finish_reason", "parts")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.finish_reason: Any = None

    def add(self, part: Any) -> None:
        """Adds a part; text that follows text of the same kind makes one part with it."""
        text = part.text
        if text is None:
            self.parts.append(part)
            return
        thought = bool(part.thought)
        last = self.parts[-1] if self.parts else None
        if isinstance(last, _Text) and last.thought is thought:
            last.pieces.append(text)
        else:
            self.parts.append(_Text(text, thought))


class _Text:
    """A run of text, or of the model's thoughts."""

    __slots__ = ("pieces", "thought")

    def __init__(self, text: str, thought: bool) -> None:
        self.pieces = [text]
        self.thought = thought

    @property
    def text(self) -> str:
        """The whole run."""
        return "".join(self.pieces)


class ContentFold:
    """Chunks of generated content. Usage is that of the last chunk which carries it: the API repeats and adds it up."""

    __slots__ = ("_candidates", "_feedback", "_id", "_model", "_usage")

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._feedback: Any = None
        self._id: str | None = None
        self._model: str | None = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in."""
        if chunk.usage_metadata is not None:
            self._usage = chunk.usage_metadata
        if chunk.model_version is not None:
            self._model = chunk.model_version
        if chunk.response_id is not None:
            self._id = chunk.response_id
        if chunk.prompt_feedback is not None:
            self._feedback = chunk.prompt_feedback
        for given in chunk.candidates or ():
            index = given.index or 0
            candidate = self._candidates.get(index)
            if candidate is None:
                candidate = self._candidates[index] = _Candidate()
            if given.finish_reason is not None:
                candidate.finish_reason = given.finish_reason
            content = given.content
            if content is not None and content.parts:
                for part in content.parts:
                    candidate.add(part)

    def response(self) -> SimpleNamespace:
        """The response so far."""
        return SimpleNamespace(
            response_id=self._id,
            model_version=self._model,
            usage_metadata=self._usage,
            prompt_feedback=self._feedback,
            candidates=[
                SimpleNamespace(
                    index=index,
                    content=SimpleNamespace(role="model", parts=candidate.parts),
                    finish_reason=candidate.finish_reason,
                )
                for index, candidate in sorted(self._candidates.items())
            ],
        )
