"""What applications hand us of calls that no patch sees, in the shapes that it comes in.

Messages are texts, dictionaries or objects in OpenAI's, Anthropic's, Gemini's or the conventions' own shape. Answers
are read where they are in the shape of one of the three, of its SDK or of its JSON; anything else is taken as what was
said.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.manual import anthropic
from otel_llm.messages import Message, Part, blob_part, message, text_part, to_json
from otel_llm.pricing import Usage
from otel_llm.provider import Endpoint, Params, Sent, get
from otel_llm.providers import google_messages, openai_messages
from otel_llm.providers.google_genai import GOOGLE_GENAI
from otel_llm.providers.openai import OPENAI
from otel_llm.providers.openai_messages import listed, text_of


def _reader(endpoints: Iterable[Endpoint], module: str, method: str) -> Endpoint:
    return next(each for each in endpoints if each.module.endswith(module) and each.method == method)


CHAT = _reader(OPENAI.endpoints, "chat.completions.completions", "Completions.create")
COMPLETION = _reader(OPENAI.endpoints, "resources.completions", "Completions.create")
RESPONSE = _reader(OPENAI.endpoints, "responses.responses", "Responses.create")
EMBEDDINGS = _reader(OPENAI.endpoints, "embeddings", "Embeddings.create")
CONTENT = _reader(GOOGLE_GENAI.endpoints, "models", "Models.generate_content")
EMBEDDED = _reader(GOOGLE_GENAI.endpoints, "models", "Models.embed_content")

#: The dictionary by name.
NAMED = {attribute.name: attribute for attribute in a.DICTIONARY}

#: What a cost consists of, and what is known of it.
COST = (
    a.COST_TOTAL, a.COST_INPUT, a.COST_OUTPUT, a.COST_CACHED, a.COST_CACHE_WRITE, a.COST_STATUS, a.COST_SOURCE,
)  # fmt: skip

#: The counts of a :class:`~otel_llm.pricing.Usage`.
_COUNTS = {
    "input": a.INPUT_TOKENS,
    "output": a.OUTPUT_TOKENS,
    "cache_read": a.CACHE_READ_TOKENS,
    "cache_write": a.CACHE_WRITE_TOKENS,
    "reasoning": a.REASONING_TOKENS,
    "audio_input": a.AUDIO_INPUT_TOKENS,
    "image_input": a.IMAGE_INPUT_TOKENS,
    "video_input": a.VIDEO_INPUT_TOKENS,
    "audio_cache_read": a.AUDIO_CACHE_READ_TOKENS,
    "image_cache_read": a.IMAGE_CACHE_READ_TOKENS,
    "audio_output": a.AUDIO_OUTPUT_TOKENS,
    "image_output": a.IMAGE_OUTPUT_TOKENS,
}
#: What may be read of an answer; a mock has any field, of a type of its own.
_READ = (str, int, float, list, tuple)

_HUMP = re.compile(r"(?<=[a-z0-9])[A-Z]")

#: Fields of Gemini's JSON whose keys are the application's own.
_FREE = frozenset({"args", "response", "labels"})


# What was asked ------------------------------------------------------------------------------------------------------


def sent(params: Params) -> Sent:
    """What was sent: ``system`` and ``input``."""
    system = params.get("system")
    first = [] if system is None else [message("system", _parts(system))]
    given = params.get("input")
    return openai_messages.sent(() if given is None else _items(given), _turn, first)


def _items(given: Any) -> Iterable[Any]:
    return given if isinstance(given, list | tuple) else [given]


def _parts(content: Any) -> list[Part]:
    return [part for item in _items(content) for part in _turn(item)["parts"]]


def _turn(item: Any, role: str = "user") -> Message:
    """One message, in any shape; what has none is a text, or its JSON."""
    if isinstance(item, str):
        return message(role, [text_part(item)])
    said = text_of(get(item, "role") or role)
    inner, content = get(item, "parts"), get(item, "content")
    if isinstance(inner, list | tuple):
        if any(get(part, "type") for part in inner):
            return _named(message(said, [_part(part) for part in inner]), item)
        (found,) = google_messages.messages([{"role": said, "parts": _snaked(inner)}])
        return found
    if anthropic.written(content):
        return anthropic.turn(item)
    if get(item, "role") is not None:
        instructions, others = openai_messages.chat({"messages": [item]})
        return (instructions or others)[0]
    if get(item, "type") is not None:
        return message(role, openai_messages.content_parts([item]))
    return message(role, [text_part(to_json(item))])


def _named(said: Message, item: Any) -> Message:
    if name := get(item, "name"):
        said["name"] = text_of(name)
    if reason := get(item, "finish_reason"):
        said["finish_reason"] = text_of(reason)
    return said


def _part(part: Any) -> Part:
    """A part in the conventions' own shape."""
    kind = get(part, "type")
    if not isinstance(part, dict) or not isinstance(kind, str):
        return {"type": "unreadable"}
    if kind == "text":
        return text_part(text_of(part.get("content")))
    if kind == "blob":
        return blob_part(part.get("content"), text_of(part.get("mime_type")))
    return part


def tools(params: Params) -> list[dict[str, Any]] | None:
    """The tools on offer: in OpenAI's or Anthropic's shape, or Python functions."""
    return openai_messages.tool_definitions({"tools": [_tool(tool) for tool in listed(params.get("tools"))]})


def _tool(tool: Any) -> Any:
    if callable(tool) and hasattr(tool, "__name__"):
        return {"name": tool.__name__, "description": tool.__doc__}
    if (schema := get(tool, "input_schema")) is not None:
        return {"name": get(tool, "name"), "description": get(tool, "description"), "parameters": schema}
    return tool


# What came back ------------------------------------------------------------------------------------------------------


class Answer:
    """What came back of a call, ``output``, and what the application says of it besides.

    What it says that it used is not this call's where another call is ``counted`` that gave it.
    """

    counted = False

    def __init__(self, output: Any = None, said: Mapping[a.Attribute, Any] | None = None) -> None:
        self.output = output
        self.said = said or {}

    @cached_property
    def read(self) -> tuple[Endpoint | None, Any]:
        """How the output is read, ``None`` where it is in none of the shapes; and what is read so."""
        output = self.output
        if isinstance(output, dict) and ("candidates" in output or "usageMetadata" in output):
            output = _snaked(output)
        return _shape(output), output


def _shape(response: Any) -> Endpoint | None:
    if response is None or isinstance(response, str | bytes | list | tuple | int | float):
        return None
    if get(response, "candidates") is not None or get(response, "usage_metadata") is not None:
        return CONTENT
    if (choices := get(response, "choices")) is not None:
        return CHAT if any(get(choice, "message") is not None for choice in listed(choices)) else COMPLETION
    if get(response, "object") == "response":
        return RESPONSE
    if get(response, "type") == "message" and get(response, "role") == "assistant":
        return anthropic.MESSAGE
    if get(response, "embeddings") is not None:
        return EMBEDDED
    return EMBEDDINGS if any(get(item, "embedding") is not None for item in listed(get(response, "data"))[:1]) else None


def details(answer: Answer) -> Mapping[a.Attribute, Any]:
    """What an answer says of itself, and what the application says of it, which wins."""
    values: dict[a.Attribute, Any] = {}
    try:
        shape, output = answer.read
        if shape is not None:
            values = {NAMED[name]: value for name, value in shape.read(output).items() if isinstance(value, _READ)}
        elif size := _dimensions(output):
            values = {a.DIMENSION_COUNT: size}
    except Exception:
        fault("reading what came back")
    if answer.counted or a.INPUT_TOKENS in answer.said or a.OUTPUT_TOKENS in answer.said:
        values = {attribute: value for attribute, value in values.items() if attribute.name not in a.USAGE}
    if answer.counted:
        values = {attribute: value for attribute, value in values.items() if attribute not in COST}
    return {**values, **answer.said}


def _dimensions(output: Any) -> int:
    """The length of a vector, or of the first of several."""
    first = output[0] if isinstance(output, list | tuple) and output else None
    if isinstance(first, float):
        return len(output)
    return len(first) if isinstance(first, list | tuple) and first and isinstance(first[0], float) else 0


def messages(answer: Answer) -> list[Message]:
    """What an answer said."""
    shape, output = answer.read
    if shape is not None:
        return shape.output_messages(output)
    if output is None or _dimensions(output):
        return []
    return [_turn(item, "assistant") for item in _items(output)]


def counts(usage: Any) -> dict[a.Attribute, Any]:
    """The counts of a usage: our own, a mapping with its names, or a provider's."""
    if isinstance(usage, Usage):
        given = {name: count for name, count in usage._asdict().items() if count or name in ("input", "output")}
        return {_COUNTS[name]: count for name, count in given.items()}
    if isinstance(usage, Mapping) and _COUNTS.keys() >= usage.keys():
        return {_COUNTS[name]: int(count) for name, count in usage.items() if count is not None}
    if isinstance(usage, dict):
        usage = _snaked(usage)
    if get(usage, "prompt_token_count") is not None:
        shape, response = CONTENT, {"usage_metadata": usage}
    elif get(usage, "prompt_tokens") is not None:
        shape, response = CHAT, {"usage": usage}
    elif get(usage, "cache_read_input_tokens") is not None or get(usage, "cache_creation_input_tokens") is not None:
        shape, response = anthropic.MESSAGE, {"usage": usage}
    else:
        shape, response = RESPONSE, {"usage": usage}
    read = shape.read(response)
    return {NAMED[name]: count for name, count in read.items() if name in a.USAGE and isinstance(count, int)}


def _snaked(value: Any) -> Any:
    """Gemini's JSON with the names that its fields have in Python."""
    if isinstance(value, dict):
        return {
            _HUMP.sub(r"_\g<0>", str(key)).lower(): inner if key in _FREE else _snaked(inner)
            for key, inner in value.items()
        }
    return [_snaked(item) for item in value] if isinstance(value, list | tuple) else value
