"""The conventions' completion hook: whoever stores content elsewhere, and leaves a reference to it on the span.

A hook is an object with ``on_completion(inputs=, outputs=, system_instruction=, tool_definitions=, span=,
log_record=)``, as ``opentelemetry-util-genai`` defines it and as its ``upload`` hook is. It is given messages whole,
with their binary parts, redacted but not cut. The protocol:
https://github.com/open-telemetry/opentelemetry-python-genai
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otel_llm.config import COMPLETION_HOOK, fault, read
from otel_llm.content import Redact, content_of
from otel_llm.errors import ConfigError
from otel_llm.messages import Message, Part, plain_part

_GROUP = "opentelemetry_genai_completion_hook"
_TYPES = "opentelemetry.util.genai.types"


def load() -> Any:
    """The hook that the variable names; ``None`` where it names none. Raises ConfigError for one that is not there."""
    name = read(COMPLETION_HOOK)
    if not name:
        return None
    known = {point.name: point for point in importlib.metadata.entry_points(group=_GROUP)}
    if name not in known:
        raise ConfigError(
            f"{COMPLETION_HOOK.variable}={name} is not installed: "
            f"{'there is ' + ', '.join(sorted(known)) if known else 'pip install opentelemetry-util-genai[upload]'}."
        )
    return known[name].load()()


class Completion:
    """A hook, and the classes that it is given its messages in. Raises ConfigError where it cannot be used."""

    def __init__(self, hook: Any, redact: Redact | None) -> None:
        if not callable(getattr(hook, "on_completion", None)):
            raise ConfigError(f"{hook!r} is no completion hook: it needs a method on_completion(inputs=, outputs=, …).")
        try:
            types = importlib.import_module(_TYPES)
        except ImportError as error:
            raise ConfigError(
                "A completion hook is given objects of opentelemetry-util-genai: pip install 'otel-llm[upload]'."
            ) from error
        self._hook = hook
        self._redact = redact
        self._types = types
        self._parts: dict[str, Any] = {
            field.default: kind
            for kind in vars(types).values()
            if dataclasses.is_dataclass(kind)
            for field in dataclasses.fields(kind)
            if field.name == "type" and isinstance(field.default, str)
        }

    def messages(self, messages: Iterable[Message]) -> list[Any]:
        """What was sent, in the hook's classes."""
        return [self._made(self._types.InputMessage, message) for message in messages]

    def outputs(self, messages: Iterable[Message]) -> list[Any]:
        """What came back, in the hook's classes."""
        return [self._made(self._types.OutputMessage, {"finish_reason": "", **message}) for message in messages]

    def parts(self, parts: Iterable[Part]) -> list[Any]:
        """Parts, or tool definitions, in the hook's classes."""
        return [self._part(part) for part in parts]

    def __call__(self, span: Any, record: Any, **content: Sequence[Any]) -> None:
        """Hands on a call's content; what fails in the hook is swallowed."""
        try:
            self._hook.on_completion(span=span, log_record=record, **content)
        except Exception:
            fault(f"{type(self._hook).__name__}.on_completion")

    def _made(self, kind: Any, message: Mapping[str, Any]) -> Any:
        known = {field.name for field in dataclasses.fields(kind)}
        said = {"name": None} | dict(message) | {"parts": self.parts(message["parts"])}
        return kind(**{key: value for key, value in said.items() if key in known})

    def _part(self, part: Part) -> Any:
        kind = self._parts.get(str(part.get("type")))
        if part.get("type") == "blob":
            data = part.get("data") or b""
            raw = base64.b64decode(data) if isinstance(data, str) else data
            return self._types.BlobPart(mime_type=part.get("mime_type"), modality=part["modality"], content=raw)
        said = plain_part(part)
        if self._redact is not None:
            said = content_of(said, self._redact)
        if kind is None:
            return dataclasses.make_dataclass("Part", said)(**said)
        fields = dataclasses.fields(kind)
        return kind(**{field.name: said.get(field.name) for field in fields if field.name in said or _bare(field)})


def _bare(field: Any) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
