"""A turn of Gemini's Live API: what is read of it, and how its messages add up."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message, Part, message, text_part, tool_call_part
from otel_llm.provider import Endpoint, Params, Sent, get
from otel_llm.providers import google_usage as u
from otel_llm.providers.google_parts import parts
from otel_llm.providers.google_shared import word
from otel_llm.providers.media import Media

_SPEECH = {"audio": "speech", "text": "text", "image": "image"}
_COUNTS = ("prompt_token_count", "response_token_count", "thoughts_token_count", "tool_use_prompt_token_count",
           "cached_content_token_count", "total_token_count")  # fmt: skip
_BY_MODALITY = (
    ("prompt_tokens_details", u.INPUT),
    ("tool_use_prompt_tokens_details", u.INPUT),
    ("response_tokens_details", u.OUTPUT),
    ("cache_tokens_details", u.CACHED),
)
_FINISH = {"malformed_function_call": "error", "blocklist": "content_filter", "response_rejected": "content_filter"}


def _request(params: Params) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    modalities = params.get("response_modalities")
    if isinstance(modalities, list | tuple) and modalities:
        values[a.OUTPUT_TYPE] = _SPEECH.get(word(modalities[0]), word(modalities[0]))
    if level := params.get("thinking_level"):
        values[a.REASONING_LEVEL] = word(level)
    if session := params.get("session_id"):
        values[a.CONVERSATION_ID] = session
    return values


def _details(response: Any) -> Mapping[a.Attribute, Any]:
    values: dict[a.Attribute, Any] = {}
    if response.finish:
        values[a.FINISH_REASONS] = [response.finish]
    if (usage := response.usage_metadata) is not None:
        if usage.response_token_count is None and usage.thoughts_token_count is None:
            values[a.OUTPUT_TOKENS] = 0  # the API leaves zeros out
        for name, attributes in _BY_MODALITY:
            u.split(getattr(usage, name), attributes, values)
    return values


def _output(response: Any) -> list[Message]:
    if not response.parts:
        return []
    found = message("assistant", response.parts)
    if response.finish:
        found["finish_reason"] = response.finish
    return [found]


TURN = Endpoint(
    module="google.genai.live",
    operation="generate_content",
    streamed=True,
    config="config",
    parameters={
        "temperature": a.TEMPERATURE,
        "top_p": a.TOP_P,
        "top_k": a.TOP_K,
        "max_output_tokens": a.MAX_TOKENS,
        "seed": a.SEED,
    },
    unrecorded=frozenset(
        {"model", "contents", "system_instruction", "tools", "response_modalities", "thinking_level", "session_id"}
    ),
    paths={
        **u.PATHS,
        a.OUTPUT_TOKENS: ("usage_metadata.response_token_count", "usage_metadata.thoughts_token_count"),
    },
    messages=lambda params: Sent(params.get("system_instruction") or [], params.get("contents") or []),
    tool_definitions=lambda params: params.get("tools"),
    output_messages=_output,
    details=_details,
    details_of_request=_request,
)


class LiveFold:
    """The messages of a turn, added up. Each report of usage is of one generation, of which a turn may have several."""

    def __init__(self, capture: bool) -> None:
        self._parts: list[Part] = []
        self._media = Media() if capture else None
        self._usages: list[Any] = []
        self._finish = ""

    def add(self, message: Any) -> None:
        """Takes a message in."""
        content = get(message, "server_content")
        for item in get(get(content, "model_turn"), "parts") or ():
            if (blob := get(item, "inline_data")) is None:
                for part in parts(item):
                    self._say(part)
            elif self._media is not None:
                self._media.add(get(blob, "data"), get(blob, "mime_type"))
        if text := get(get(content, "output_transcription"), "text"):
            self._say(text_part(text))
        for call in get(get(message, "tool_call"), "function_calls") or ():
            self._say(tool_call_part(get(call, "name"), get(call, "args"), get(call, "id")))
        if (usage := get(message, "usage_metadata")) is not None:
            self._usages.append(usage)
        if get(content, "interrupted"):
            self._finish = "interrupted"
        elif reason := get(content, "turn_complete_reason"):
            self._finish = _finish(word(reason))
        elif get(content, "generation_complete") or get(content, "turn_complete"):
            self._finish = self._finish or "stop"

    def _say(self, part: Part) -> None:
        """Adds a part; text that follows text of the same kind makes one part with it."""
        last = self._parts[-1] if self._parts else None
        if last is not None and "content" in part and last["type"] == part["type"] in ("text", "reasoning"):
            last["content"] += part["content"]
        else:
            self._parts.append(part)

    def response(self) -> SimpleNamespace:
        """The turn so far."""
        called = bool(self._parts) and self._parts[-1]["type"] == "tool_call"
        return SimpleNamespace(
            parts=[*self._parts, *(self._media.parts() if self._media else ())],
            finish="tool_call" if called and self._finish == "stop" else self._finish,
            usage_metadata=_total(self._usages) if self._usages else None,
        )


def _finish(reason: str) -> str:
    filtered = "prohibited" in reason or "safety" in reason
    return "content_filter" if filtered else _FINISH.get(reason, reason)


def _total(usages: list[Any]) -> SimpleNamespace:
    """The usage of all generations of a turn, in the fields of one."""
    total = SimpleNamespace()
    for name in _COUNTS:
        counts = [count for usage in usages if (count := get(usage, name)) is not None]
        setattr(total, name, sum(counts) if counts else None)
    for name, _ in _BY_MODALITY:
        setattr(total, name, [entry for usage in usages for entry in get(usage, name) or ()])
    return total
