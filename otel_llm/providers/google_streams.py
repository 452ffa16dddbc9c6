"""Gemini's chunks, added up to the response that they make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from otel_llm.providers.google_usage import Total


class _Candidate:
    __slots__ = ("finish_reason", "grounding", "parts")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.finish_reason: Any = None
        self.grounding: Any = None

    def add(self, part: Any) -> bool:
        """Adds a part, and says whether it asks for a function; text that follows its kind makes one part with it."""
        fields = part.__dict__
        text = fields.get("text")
        if text is None:
            call = fields.get("function_call")
            if call is None or not self._more(call):
                self.parts.append(part)
            return call is not None
        thought = bool(fields.get("thought"))
        last = self.parts[-1] if self.parts else None
        if type(last) is _Text and last.thought is thought:
            last.pieces.append(text)
        else:
            self.parts.append(_Text(text, thought))
        return False

    def _more(self, call: Any) -> bool:
        """Takes a piece of a call whose arguments are streamed; only its first piece has a name."""
        pieces = getattr(call, "partial_args", None)
        last = self.parts[-1] if self.parts else None
        if type(last) is _Call:
            if not call.name:
                last.function_call.partial_args += pieces or ()
                return True
        elif not pieces and not getattr(call, "will_continue", None):
            return False
        self.parts.append(_Call(call, pieces))
        return True


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


class _Call:
    """A function call whose arguments are streamed."""

    __slots__ = ("function_call", "text")

    def __init__(self, call: Any, pieces: Any) -> None:
        self.text = None
        self.function_call = SimpleNamespace(
            name=call.name, id=call.id, args=call.args, partial_args=list(pieces or ())
        )


class ContentFold:
    """Chunks of generated content. Usage is that of the last chunk which carries it: the API repeats and adds it up.

    An SDK that runs functions goes on with other responses in the same stream: one with another id, after the last one
    has finished, is another round, whose usage adds to that of the others. (One that takes up a response which had not
    finished carries the usage of both.) What the SDK keeps to itself is ``heard``.

    Fields are read from ``__dict__``: the SDK's models resolve an attribute in several steps, for every chunk.
    """

    __slots__ = (
        "_candidates", "_feedback", "_finished", "_history", "_http", "_id", "_model", "_more", "_rounds", "_usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self._candidates: dict[int, _Candidate] = {}
        self._feedback: Any = None
        self._finished = False
        self._history: Any = None
        self._http: Any = None
        self._id: str | None = None
        self._model: str | None = None
        self._more: Any = None
        self._rounds: dict[str, Any] = {}
        self._usage: Any = None

    def add(self, chunk: Any) -> bool:
        """Takes a chunk in, and says whether it asks for a function. Most are a piece of text, and usage so far."""
        fields = chunk.__dict__
        found = fields.get("candidates")
        if self._more is not None and found and len(found) == 1 and fields.get("response_id") == self._id:
            given = found[0].__dict__
            if (
                given["finish_reason"] is None
                and not given["index"]
                and given["grounding_metadata"] is None
                and (content := given["content"]) is not None
                and (parts := content.__dict__["parts"])
                and len(parts) == 1
            ):
                said = parts[0].__dict__
                if (text := said["text"]) is not None and not said["thought"]:
                    self._more(text)
                    if (usage := fields["usage_metadata"]) is not None:
                        self._usage = usage
                    return False
        return self._add(fields)

    def _add(self, fields: dict[str, Any]) -> bool:
        id = fields.get("response_id")
        if id is not None and id != self._id:
            self._another(id)
            self._http = fields.get("sdk_http_response")
        if fields.get("usage_metadata") is not None:
            self._usage = fields["usage_metadata"]
        self._history = fields.get("automatic_function_calling_history")
        self._model = self._model or fields.get("model_version")
        self._feedback = self._feedback or fields.get("prompt_feedback")
        asks = False
        for each in fields.get("candidates") or ():
            given = each.__dict__
            index = given.get("index") or 0
            candidate = self._candidates.get(index)
            if candidate is None:
                candidate = self._candidates[index] = _Candidate()
            if given.get("finish_reason") is not None:
                candidate.finish_reason = given["finish_reason"]
                self._finished = True
            if given.get("grounding_metadata") is not None:
                candidate.grounding = given["grounding_metadata"]
            content = given.get("content")
            if content is not None:
                for part in content.__dict__.get("parts") or ():
                    asks = candidate.add(part) or asks
            if not index:
                last = candidate.parts[-1] if candidate.parts else None
                self._more = last.pieces.append if type(last) is _Text and not last.thought else None
        return asks

    def _another(self, id: str) -> None:
        """Another response begins."""
        if self._finished and self._id is not None:
            self._rounds[self._id] = self._usage
            self._usage = self._more = None
            self._candidates.clear()
            self._finished = False
        self._id = id

    def heard(self, chunk: Any) -> None:
        """Takes in what a chunk says of usage, whether it comes or not: it asks for a function, which is run."""
        if (id := chunk.response_id) is not None:
            self._rounds[id] = chunk.usage_metadata

    def response(self) -> SimpleNamespace:
        """The response so far: the last one, with the usage of all."""
        earlier = [usage for id, usage in self._rounds.items() if id != self._id]
        return SimpleNamespace(
            response_id=self._id,
            model_version=self._model,
            usage_metadata=Total([*earlier, self._usage]) if earlier else self._usage,
            prompt_feedback=self._feedback,
            sdk_http_response=self._http,
            automatic_function_calling_history=None if earlier else self._history,
            candidates=[
                SimpleNamespace(
                    index=index,
                    content=SimpleNamespace(role="model", parts=candidate.parts),
                    finish_reason=candidate.finish_reason,
                    grounding_metadata=candidate.grounding,
                )
                for index, candidate in sorted(self._candidates.items())
            ],
        )
