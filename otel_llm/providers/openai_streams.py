"""OpenAI's chunks of text, added up to the response that they make."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from otel_llm.provider import get

_NONE: Mapping[str, Any] = {}


class _Choice:
    __slots__ = ("audio", "calls", "finish_reason", "function", "reasoning", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.reasoning: list[str] = []
        self.audio: SimpleNamespace | None = None
        self.function: SimpleNamespace | None = None
        self.calls: dict[int, SimpleNamespace] = {}
        self.finish_reason: str | None = None

    def add_calls(self, deltas: Any) -> None:
        """Adds pieces of tool calls; the first piece of a call has its id and name, all have some arguments."""
        for delta in deltas:
            index = len(self.calls) if delta.index is None else delta.index  # some servers send whole calls, unnumbered
            call = self.calls.get(index)
            if call is None:
                call = self.calls[index] = SimpleNamespace(id=None, name="", arguments=[])
            call.id = delta.id or call.id
            if delta.function is not None:
                call.name += delta.function.name or ""
                call.arguments.append(delta.function.arguments or "")

    def add_extra(self, extra: Mapping[str, Any]) -> None:
        """Adds what OpenAI's models say beside text, and other models in fields that OpenAI does not have."""
        if isinstance(reasoning := extra.get("reasoning_content") or extra.get("reasoning"), str):
            self.reasoning.append(reasoning)
        if isinstance(audio := extra.get("audio"), dict):  # a field of its own in newer SDKs
            self.add_audio(audio)

    def add_audio(self, audio: Any) -> None:
        """Adds a piece of speech."""
        found = self.audio = self.audio or SimpleNamespace(id=None, data=[], transcript=[])
        found.id = get(audio, "id") or found.id
        found.data.append(get(audio, "data") or "")  # base64, each piece by itself
        found.transcript.append(get(audio, "transcript") or "")

    def add_function(self, function: Any) -> None:
        """Adds a piece of a call in the form that tools had before they were called tools."""
        found = self.function = self.function or SimpleNamespace(name="", arguments=[])
        found.name += function.name or ""
        found.arguments.append(function.arguments or "")

    def message(self) -> SimpleNamespace:
        """The message that the pieces make."""
        calls = [
            SimpleNamespace(id=call.id, function=SimpleNamespace(name=call.name, arguments="".join(call.arguments)))
            for _, call in sorted(self.calls.items())
        ]
        return SimpleNamespace(
            role="assistant",
            content="".join(self.text) or None,
            refusal="".join(self.refusal) or None,
            tool_calls=calls,
            function_call=self.function
            and SimpleNamespace(name=self.function.name, arguments="".join(self.function.arguments)),
            audio=self.audio,
            model_extra={"reasoning": "".join(self.reasoning)},
        )


class ChatFold:
    """Chunks of a chat completion. Usage is that of the last chunk which carries it.

    Fields are read from ``__dict__``: the SDK's models resolve an attribute in several steps, for every chunk. Most
    chunks are a piece of text and nothing else: of these only the text is kept, so that their memory is free for the
    next one.
    """

    __slots__ = ("_choices", "_first", "_last", "_moderation", "_more", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._first: Any = None
        self._last: Any = None
        self._more: Any = None
        self._moderation: Any = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in."""
        fields = chunk.__dict__
        pieces = fields["choices"]
        if self._more is not None and pieces and len(pieces) == 1 and fields.get("usage") is None:
            given = pieces[0].__dict__
            if given["finish_reason"] is None and not given["index"] and (delta := given["delta"]) is not None:
                said = delta.__dict__
                if (
                    (text := said["content"])
                    and said.get("tool_calls") is None
                    and said.get("refusal") is None
                    and not delta.__pydantic_extra__
                ):
                    self._more(text)
                    return
        self._add(chunk, fields, pieces)

    def _add(self, chunk: Any, fields: dict[str, Any], pieces: Any) -> None:
        self._last = chunk
        if fields.get("usage") is not None:
            self._usage = fields["usage"]
        if (moderation := fields.get("moderation") or (chunk.model_extra or _NONE).get("moderation")) is not None:
            self._moderation = moderation
        for piece in pieces or ():
            given = piece.__dict__
            choice = self._choices.get(given["index"])
            if choice is None:
                choice = self._choices[given["index"]] = _Choice()
                self._first = self._first or chunk
                if not given["index"]:
                    self._more = choice.text.append
            if given["finish_reason"] is not None:
                choice.finish_reason = given["finish_reason"]
            if given["delta"] is None:  # some servers leave it out at the end
                continue
            delta = given["delta"].__dict__
            if delta["content"]:
                choice.text.append(delta["content"])
            if delta.get("refusal"):
                choice.refusal.append(delta["refusal"])
            if delta.get("tool_calls"):
                choice.add_calls(delta["tool_calls"])
            if delta.get("audio") is not None:
                choice.add_audio(delta["audio"])
            if delta.get("function_call") is not None:
                choice.add_function(delta["function_call"])
            if extra := given["delta"].model_extra:
                choice.add_extra(extra)

    def response(self) -> SimpleNamespace:
        """The completion so far."""
        last, first = self._last.__dict__, (self._first or self._last).__dict__
        return SimpleNamespace(
            id=last.get("id"),
            model=last.get("model"),
            service_tier=last.get("service_tier") or first.get("service_tier"),
            system_fingerprint=last.get("system_fingerprint") or first.get("system_fingerprint"),
            usage=self._usage,
            model_extra=self._last.model_extra,
            moderation=self._moderation,
            choices=[
                SimpleNamespace(index=index, message=choice.message(), finish_reason=choice.finish_reason)
                for index, choice in sorted(self._choices.items())
            ],
        )


class CompletionFold:
    """Chunks of a legacy completion: each is a completion of its own, with a piece of the text of each choice."""

    __slots__ = ("_finish_reasons", "_last", "_text", "_usage")

    def __init__(self) -> None:
        self._text: dict[int, list[str]] = {}
        self._finish_reasons: dict[int, str] = {}
        self._last: Any = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in."""
        self._last = chunk
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices or ():
            self._text.setdefault(choice.index, []).append(choice.text or "")
            if choice.finish_reason is not None:
                self._finish_reasons[choice.index] = choice.finish_reason

    def response(self) -> SimpleNamespace:
        """The completion so far."""
        return SimpleNamespace(
            id=self._last.id,
            model=self._last.model,
            system_fingerprint=self._last.system_fingerprint,
            usage=self._usage,
            choices=[
                SimpleNamespace(index=index, text="".join(text), finish_reason=self._finish_reasons.get(index))
                for index, text in sorted(self._text.items())
            ],
        )


#: The field of an item that a delta adds to.
_DELTAS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.mcp_call_arguments.delta": "arguments",
    "response.reasoning_summary_text.delta": "summary",
    "response.reasoning_text.delta": "reasoning",
    "response.code_interpreter_call_code.delta": "code",
}
_WHOLE = frozenset({"response.completed", "response.incomplete", "response.failed"})
_BEGUN = frozenset({"response.created", "response.in_progress", "response.queued"})


class ResponseFold:
    """Events of a response. The last one holds the whole of it; until then, its items are put together."""

    __slots__ = ("_done", "_error", "_items", "_pieces", "_response", "_whole")

    def __init__(self) -> None:
        self._response: Any = None
        self._whole = False
        self._error: Any = None
        self._items: dict[int, Any] = {}
        self._done: set[int] = set()
        self._pieces: dict[tuple[int, str], list[str]] = {}

    def add(self, event: Any) -> None:
        """Takes an event in."""
        fields = event.__dict__
        kind = fields["type"]
        if (field := _DELTAS.get(kind)) is not None:
            key = (fields["output_index"], field)
            pieces = self._pieces.get(key)
            if pieces is None:
                pieces = self._pieces[key] = []
            pieces.append(fields["delta"])
        elif kind == "response.output_item.added":
            self._items[fields["output_index"]] = fields["item"]
        elif kind == "response.output_item.done":
            self._items[fields["output_index"]] = fields["item"]
            self._done.add(fields["output_index"])
        elif kind in _WHOLE:
            self._response, self._whole = fields["response"], True
        elif kind in _BEGUN:
            self._response = fields["response"]
        elif kind == "error":
            self._error = event

    def response(self) -> Any:
        """The response, or what there is of it."""
        if self._whole:
            return self._response
        begun = self._response
        return SimpleNamespace(
            id=getattr(begun, "id", None),
            model=getattr(begun, "model", None),
            service_tier=getattr(begun, "service_tier", None),
            conversation=getattr(begun, "conversation", None),
            status="failed" if self._error is not None else getattr(begun, "status", None),
            error=self._error,
            usage=None,
            output=[self._item(index) for index in sorted({*self._items, *(at for at, _ in self._pieces)})],
        )

    def _item(self, index: int) -> Any:
        """An item: as it was when it was done, or what came of it after it was announced."""
        item = self._items.get(index)
        pieces = {field: "".join(found) for (at, field), found in self._pieces.items() if at == index}
        if index in self._done or not pieces:
            return item
        kind = getattr(item, "type", None) or "message"
        content = [
            SimpleNamespace(type="output_text" if field == "text" else "refusal", **{field: pieces[field]})
            for field in ("text", "refusal")
            if field in pieces
        ]
        return SimpleNamespace(
            type=kind,
            id=getattr(item, "id", None),
            call_id=getattr(item, "call_id", None),
            name=getattr(item, "name", None),
            server_label=getattr(item, "server_label", None),
            role="assistant",
            content=content or [SimpleNamespace(text=pieces[f]) for f in ("reasoning",) if f in pieces],
            summary=[SimpleNamespace(text=pieces["summary"])] if "summary" in pieces else [],
            arguments=pieces.get("arguments"),
            input=pieces.get("input"),
            code=pieces.get("code"),
        )
