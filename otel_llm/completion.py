"""The conventions' completion hook: whoever stores content elsewhere, and leaves a reference to it on the span.

A hook is an object with ``on_completion(inputs=, outputs=, system_instruction=, tool_definitions=, span=,
log_record=)``, as ``opentelemetry-util-genai`` defines it and as its ``upload`` hook is. It is given messages whole,
with their binary parts, redacted but not cut. The protocol:
https://github.com/open-telemetry/opentelemetry-python-genai
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from otel_llm.config import COMPLETION_HOOK, fault, read
from otel_llm.errors import ConfigError
from otel_llm.messages import Message, Part, bytes_of, plain_part
from otel_llm.redaction import Redact, redacted, redacted_part

_GROUP = "opentelemetry_genai_completion_hook"
_TYPES = "opentelemetry.util.genai.types"

#: Operations that have no completion.
_NONE = frozenset({"embeddings", "retrieval", "execute_tool"})


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
    try:
        return known[name].load()()
    except Exception as error:
        raise ConfigError(f"{COMPLETION_HOOK.variable}={name} cannot be used: {error}") from error


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
        self._other = dataclasses.make_dataclass("OtherPart", [("content", Any, None)], bases=(types.GenericPart,))

    def wants(self, operation: str) -> bool:
        """Whether the hook is called for an operation."""
        return operation not in _NONE

    def messages(self, messages: Iterable[Message]) -> list[Any]:
        """What was sent, in the hook's classes."""
        return [self._message(self._types.InputMessage, message) for message in messages]

    def outputs(self, messages: Iterable[Message]) -> list[Any]:
        """What came back, in the hook's classes."""
        return [self._message(self._types.OutputMessage, message) for message in messages]

    def parts(self, parts: Iterable[Part]) -> list[Any]:
        """Parts in the hook's classes."""
        return [self._part(part) for part in parts]

    def definitions(self, definitions: Iterable[Part]) -> list[Any]:
        """Tool definitions in the hook's classes."""
        return [self._definition(self._plain(definition)) for definition in definitions]

    def __call__(self, span: Any, record: Any, content: Mapping[str, Sequence[Any]]) -> None:
        """Hands on a call's content; what fails in the hook is swallowed."""
        try:
            said = {"inputs": [], "outputs": [], "system_instruction": [], **content}
            self._hook.on_completion(span=span, log_record=record, **said)
        except Exception:
            fault(f"{type(self._hook).__name__}.on_completion")

    def _message(self, kind: Any, message: Message) -> Any:
        name = message.get("name")
        if name is not None and self._redact is not None:
            name = redacted(name, self._redact)
        more = {"finish_reason": message.get("finish_reason") or None} if kind is self._types.OutputMessage else {}
        return kind(role=message["role"], parts=self.parts(message["parts"]), name=name, **more)

    def _part(self, part: Part) -> Any:
        kind = self._parts.get(part["type"], self._other)
        if part["type"] == "blob":
            if part.get("data") is not None:
                return self._blob(part)
            kind = self._other  # of what passes in pieces only the digest is left
        said = self._plain(part)
        if kind is self._other:
            content = {name: value for name, value in said.items() if name != "type"}
            return kind(type=said["type"], content=content)
        return _made(kind, said)

    def _blob(self, part: Part) -> Any:
        """A binary part. Where texts are redacted, one whose bytes are a text is."""
        data = bytes_of(part)
        if self._redact is not None:
            with contextlib.suppress(UnicodeDecodeError):
                data = redacted(data.decode(), self._redact).encode("utf-8", "replace")
        return self._types.BlobPart(mime_type=part.get("mime_type"), modality=part["modality"], content=data)

    def _definition(self, said: Part) -> Any:
        if said["type"] == "function":
            return _made(self._types.FunctionToolDefinition, said)
        return self._types.GenericToolDefinition(name=str(said.get("name")), type=said["type"])

    def _plain(self, part: Part) -> Part:
        said = plain_part(part)
        return said if self._redact is None else redacted_part(said, self._redact)


def _made(kind: Any, said: Mapping[str, Any]) -> Any:
    """An object of a class of parts, with what is known of its fields."""
    return kind(**{field.name: said.get(field.name) for field in dataclasses.fields(kind) if field.name != "type"})
