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
        fields = part.__dict__
        text = fields.get("text")
        if text is None:
            self.parts.append(part)
            return
        thought = bool(fields.get("thought"))
        last = self.parts[-1] if self.parts else None
        if type(last) is _Text and last.thought is thought:
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
    """Chunks of generated content. Usage is that of the last chunk which carries it: the API repeats and adds it up.

    Fields are read from ``__dict__``: the SDK's models resolve an attribute in several steps, for every chunk.
    """

    __slots__ = ("_candidates", "_feedback", "_id", "_last", "_model", "_usage")

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._feedback: Any = None
        self._id: str | None = None
        self._last: dict[str, Any] = {}
        self._model: str | None = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in."""
        self._last = fields = chunk.__dict__
        if fields.get("usage_metadata") is not None:
            self._usage = fields["usage_metadata"]
        self._model = self._model or fields.get("model_version")
        self._id = self._id or fields.get("response_id")
        self._feedback = self._feedback or fields.get("prompt_feedback")
        for each in fields.get("candidates") or ():
            given = each.__dict__
            index = given.get("index") or 0
            candidate = self._candidates.get(index)
            if candidate is None:
                candidate = self._candidates[index] = _Candidate()
            if given.get("finish_reason") is not None:
                candidate.finish_reason = given["finish_reason"]
            content = given.get("content")
            if content is not None:
                for part in content.__dict__.get("parts") or ():
                    candidate.add(part)

    def response(self) -> SimpleNamespace:
        """The response so far."""
        return SimpleNamespace(
            response_id=self._id,
            model_version=self._model,
            usage_metadata=self._usage,
            prompt_feedback=self._feedback,
            automatic_function_calling_history=self._last.get("automatic_function_calling_history"),
            candidates=[
                SimpleNamespace(
                    index=index,
                    content=SimpleNamespace(role="model", parts=candidate.parts),
                    finish_reason=candidate.finish_reason,
                )
                for index, candidate in sorted(self._candidates.items())
            ],
        )
