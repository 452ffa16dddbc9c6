"""The events of an interaction, added up to the interaction that they make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from otel_llm.provider import get

#: The tokens of an interaction, each a count or a list of counts by modality.
_USAGE = (
    "total_input_tokens", "total_output_tokens", "total_thought_tokens", "total_tool_use_tokens",
    "total_cached_tokens", "total_tokens", "input_tokens_by_modality", "output_tokens_by_modality",
    "cached_tokens_by_modality", "tool_use_tokens_by_modality", "grounding_tool_count",
)  # fmt: skip

_MEDIA = ("image", "audio", "video", "document")


class _Step:
    """A step, or a content of older SDKs, whose pieces come one by one."""

    __slots__ = ("_arguments", "_content", "fields")

    def __init__(self, begun: Any) -> None:
        dump = getattr(begun, "model_dump", None)
        self.fields: dict[str, Any] = (
            dict(begun) if isinstance(begun, dict)
            else dump(exclude_none=True, warnings=False) if dump is not None else {}
        )  # fmt: skip
        self._content: list[dict[str, Any]] = []
        self._arguments: list[str] = []

    def add(self, delta: Any) -> None:
        """Takes a piece in."""
        kind = get(delta, "type")
        if kind == "text":
            self._text("text", get(delta, "text"))
        elif kind == "thought_summary":
            self._text("thought", get(get(delta, "content"), "text"))
        elif kind in _MEDIA:
            self._media(delta, kind)
        elif kind in ("arguments_delta", "arguments"):
            self._arguments.append(str(get(delta, "arguments") or get(delta, "partial_arguments") or ""))
        else:  # the whole of a tool's call or result
            for name in ("id", "call_id", "name", "server_name", "arguments", "result", "is_error"):
                if (value := get(delta, name)) is not None:
                    self.fields[name] = value
            self.fields.setdefault("type", kind)

    def _text(self, kind: str, text: Any) -> None:
        self.fields.setdefault("type", "thought" if kind == "thought" else "model_output")
        if not self._content or "pieces" not in self._content[-1]:
            self._content.append({"type": "text", "pieces": []})
        self._content[-1]["pieces"].append(text or "")

    def _media(self, delta: Any, kind: str) -> None:
        self.fields.setdefault("type", "model_output")
        last = self._content[-1] if self._content else None
        data, mime_type = get(delta, "data"), get(delta, "mime_type")
        if last is None or last["type"] != kind or mime_type not in (None, last.get("mime_type")) or data is None:
            last = {"type": kind, "mime_type": mime_type, "uri": get(delta, "uri"), "data": None}
            self._content.append(last)
        if data is not None:
            last["data"] = (last["data"] or "") + data

    def made(self) -> dict[str, Any]:
        """The step so far."""
        fields = dict(self.fields)
        content = [
            {"type": "text", "text": "".join(item["pieces"])} if "pieces" in item else item for item in self._content
        ]
        if self._arguments:
            fields["arguments"] = "".join(self._arguments)
        if not content:
            return fields
        if fields.get("type") == "thought":
            fields["summary"] = [*(fields.get("summary") or ()), *content]
        elif fields.get("type") in ("text", *_MEDIA):  # an older SDK's content is what its pieces make
            if "text" in content[0]:
                content[0]["text"] = str(fields.get("text") or "") + content[0]["text"]
            fields.update({name: value for name, value in content[0].items() if value is not None})
        else:
            fields["content"] = [*(fields.get("content") or ()), *content]
        return fields


class InteractionFold:
    """Events of an interaction. One that is continued in further requests adds up what they used together."""

    __slots__ = ("_earlier", "_error", "_interaction", "_status", "_steps", "_usage", "_whole")

    def __init__(self) -> None:
        self._earlier: list[Any] = []
        self._error: Any = None
        self._interaction: Any = None
        self._status: Any = None
        self._steps: dict[tuple[int, int], _Step] = {}
        self._usage: Any = None
        self._whole: Any = None

    def add(self, event: Any) -> None:
        """Takes an event in."""
        kind = get(event, "event_type")
        if kind == "UNKNOWN":  # to the SDK
            event = get(event, "raw")
            kind = get(event, "event_type")
        if kind in ("step.delta", "content.delta"):
            self._step(event).add(get(event, "delta"))
        elif kind in ("step.start", "content.start"):
            self._steps[self._at(event)] = _Step(get(event, "step") or get(event, "content"))
        elif (interaction := get(event, "interaction")) is not None:
            self._about(interaction)
        elif kind == "interaction.status_update":
            self._status = get(event, "status")
            self._usage = get(event, "usage") or self._usage
        elif kind == "error":
            self._error = get(event, "error")

    def _at(self, event: Any) -> tuple[int, int]:
        return len(self._earlier), get(event, "index") or 0

    def _step(self, event: Any) -> _Step:
        return self._steps.setdefault(self._at(event), _Step({}))

    def _about(self, interaction: Any) -> None:
        """The interaction begins, goes on or ends."""
        self._interaction, self._status = interaction, get(interaction, "status")
        if (usage := get(interaction, "usage")) is not None:
            self._usage = usage
        self._whole = get(interaction, "steps") or get(interaction, "outputs")
        if self._status == "requires_continuation":
            self._earlier.append(self._usage)
            self._usage = None

    def response(self) -> SimpleNamespace:
        """The interaction so far."""
        told = self._interaction
        steps = [step.made() for _, step in sorted(self._steps.items())]
        return SimpleNamespace(
            id=get(told, "id"),
            model=get(told, "model"),
            status=self._status,
            service_tier=get(told, "service_tier"),
            usage=_together([*self._earlier, self._usage]),
            steps=steps or self._whole or [],
            error=self._error,
        )


def _together(usages: list[Any]) -> Any:
    """What several requests used."""
    usages = [usage for usage in usages if usage is not None]
    if len(usages) < 2:
        return usages[0] if usages else None
    total = SimpleNamespace()
    for name in _USAGE:
        found = [value for usage in usages if (value := get(usage, name)) is not None]
        if found and isinstance(found[0], list):
            setattr(total, name, [entry for entries in found for entry in entries])
        else:
            setattr(total, name, sum(found) if found else None)
    return total
