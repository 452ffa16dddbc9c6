"""OpenAI's chunks, added up to the response that they make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class _Choice:
    __slots__ = ("calls", "finish_reason", "refusal", "text")

    def __init__(self) -> None:
        self.text: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, SimpleNamespace] = {}
        self.finish_reason: str | None = None

    def add_calls(self, deltas: Any) -> None:
        """Adds pieces of tool calls; the first piece of a call has its id and name, all have some arguments."""
        for delta in deltas:
            call = self.calls.get(delta.index)
            if call is None:
                call = self.calls[delta.index] = SimpleNamespace(id=None, name="", arguments=[])
            call.id = delta.id or call.id
            if delta.function is not None:
                call.name += delta.function.name or ""
                call.arguments.append(delta.function.arguments or "")

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
        )


class ChatFold:
    """Chunks of a chat completion. Usage is that of the last chunk which carries it.

    Fields are read from ``__dict__``: the SDK's models resolve an attribute in several steps, for every chunk.
    """

    __slots__ = ("_choices", "_first", "_last", "_usage")

    def __init__(self) -> None:
        self._choices: dict[int, _Choice] = {}
        self._first: Any = None
        self._last: Any = None
        self._usage: Any = None

    def add(self, chunk: Any) -> None:
        """Takes a chunk in."""
        fields = chunk.__dict__
        self._last = fields
        if fields.get("usage") is not None:
            self._usage = fields["usage"]
        for piece in fields["choices"] or ():
            given = piece.__dict__
            choice = self._choices.get(given["index"])
            if choice is None:
                choice = self._choices[given["index"]] = _Choice()
                self._first = self._first or fields
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

    def response(self) -> SimpleNamespace:
        """The completion so far."""
        last, first = self._last, self._first or self._last
        return SimpleNamespace(
            id=last.get("id"),
            model=last.get("model"),
            service_tier=last.get("service_tier") or first.get("service_tier"),
            system_fingerprint=last.get("system_fingerprint") or first.get("system_fingerprint"),
            usage=self._usage,
            choices=[
                SimpleNamespace(index=index, message=choice.message(), finish_reason=choice.finish_reason)
                for index, choice in sorted(self._choices.items())
            ],
        )


class ResponseFold:
    """Events of a response. The last event holds the whole of it; until then the texts are what there is."""

    __slots__ = ("_response", "_text", "_whole")

    def __init__(self) -> None:
        self._response: Any = None
        self._text: list[str] = []
        self._whole = False

    def add(self, event: Any) -> None:
        """Takes an event in."""
        kind = event.type
        if kind == "response.output_text.delta":
            self._text.append(event.delta)
        elif kind in ("response.completed", "response.incomplete", "response.failed"):
            self._response, self._whole = event.response, True
        elif kind in ("response.created", "response.in_progress", "response.queued"):
            self._response = event.response

    def response(self) -> Any:
        """The response, or what there is of it."""
        if self._whole:
            return self._response
        part = SimpleNamespace(type="output_text", text="".join(self._text))
        item = SimpleNamespace(type="message", role="assistant", content=[part])
        return SimpleNamespace(
            id=getattr(self._response, "id", None),
            model=getattr(self._response, "model", None),
            service_tier=getattr(self._response, "service_tier", None),
            status=getattr(self._response, "status", None),
            usage=None,
            output=[item] if self._text else [],
        )
