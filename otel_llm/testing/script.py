"""What a script is made of: the request that came in, and the reply that shall go out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

#: The parts of a request body that are a model's input.
_INPUT_FIELDS = ("messages", "input", "instructions", "contents", "content", "requests", "systemInstruction", "tools")
#: Strings below these keys are not text for the model.
_NOT_TEXT = frozenset(
    {"role", "type", "id", "call_id", "tool_call_id", "model", "data", "mimeType", "thoughtSignature"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it came in.

    ``operation`` is what the route of the wire format calls it: ``chat.completions``, ``responses``, ``embeddings``,
    ``generateContent``, ``streamGenerateContent``, ``embedContent`` and so on. Header names are in lower case. A form
    is its fields as a ``body``; a file in it is ``{"name": …, "type": …, "size": …}``. ``groups`` are the named parts
    of the path, such as an id, ``query`` are the parameters behind it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    operation: str = ""
    model: str = ""
    stream: bool = False
    number: int = 1
    """Counts the requests of a provider, from 1."""
    groups: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """All the text that was sent to the model, joined by newlines."""
        return "\n".join(text for name in _INPUT_FIELDS if name in self.body for text in _texts(self.body[name]))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model asks for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    """Made up from the position when empty."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, in the same sense for both providers; each wire format gets its own fields from it.

    ``input`` counts everything that was read (``cached``, ``cache_write`` and ``tool_use`` are parts of it), ``output``
    everything that was written (``reasoning`` is a part of it). ``input_modalities`` and ``output_modalities`` split
    them by ``text``, ``image``, ``audio``, ``video`` or ``document``; Gemini only, except for audio.
    """

    input: int
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    tool_use: int = 0
    reasoning: int = 0
    input_modalities: Mapping[str, int] = field(default_factory=dict)
    output_modalities: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, in terms that both providers share.

    ``usage`` left out is estimated from the lengths; ``report_usage=False`` leaves it out of the answer. ``status``
    of 400 and more is an error whose text is ``error``. A stream has ``chunks`` pieces of text and stops after
    ``fail_after`` of its events in the way that ``failure`` says: an error event, a ``response.failed`` (Responses
    API only, an error event elsewhere) or a connection that is cut. ``failure="cut"`` without ``fail_after`` cuts the
    connection in place of any answer. Delays are in seconds.
    """

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    thinking: str = ""
    """Summary of the thoughts: Gemini ``thought`` parts, OpenAI reasoning items; in chat as DeepSeek sends it."""
    refusal: str = ""
    """OpenAI's refusal; Gemini sends it as text."""
    items: Sequence[Mapping[str, Any]] = ()
    """What comes before all else, in the provider's form: items of OpenAI's Responses API, Gemini's parts, steps."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the answer's JSON, as other hosts have them; those of ``usage`` are added to its own."""
    finish: Literal["stop", "length", "blocked", "prompt_blocked"] = "stop"
    state: str = ""
    """How work stands that goes on after the answer, in the provider's word; finished when empty."""
    block_reason: str = "SAFETY"
    """Gemini's word for why something was blocked."""
    usage: Usage | None = None
    report_usage: bool = True
    model: str = ""
    """The model that answers; the one asked for when empty."""
    embeddings: Sequence[Sequence[float]] = ()
    """One vector a text; made from the words when empty."""
    status: int = 200
    error: str = ""
    error_code: str = ""
    retry_after: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    """Before anything is sent."""
    chunks: int | None = None
    chunk_delay: float = 0.0
    """Before every event of a stream but the first."""
    fail_after: int | None = None
    failure: Literal["error", "failed", "cut"] = "error"
    body: bytes | None = None
    """Sent as it is (as JSON, with ``status``) in place of an answer: for what no provider should send."""

    def pieces(self) -> list[str]:
        """The text as the chunks of a stream."""
        return split(self.text, self.chunks)

    def usage_for(self, request: Request) -> Usage:
        """The usage to report for this request."""
        if self.usage is not None:
            return self.usage
        thoughts = tokens(self.thinking)
        words = tokens(self.text) + tokens(self.refusal) + sum(tokens(str(c.arguments)) + 8 for c in self.tool_calls)
        return Usage(input=max(1, tokens(request.text)), output=words + thoughts, reasoning=thoughts)


Script = Callable[[Request], Reply] | Iterable[Reply]


def default_reply(request: Request) -> Reply:
    """What is answered when no script says otherwise: the same text for the same request, and plausible usage."""
    if "mbed" in request.operation:
        return Reply()
    question = request.text.strip().splitlines()
    return Reply(f"This is a scripted answer of {request.model} to: {question[-1][:80] if question else 'nothing'}")


def follow(script: Script | None) -> Callable[[Request], Reply]:
    """A script as a function: a list is used up in order, then the default answers."""
    if script is None:
        return default_reply
    if callable(script):
        return script
    replies = iter(script)

    def answer(request: Request) -> Reply:
        reply = next(replies, None)
        return default_reply(request) if reply is None else reply

    return answer


def tokens(text: str) -> int:
    """About how many tokens a text has: four characters each."""
    return (len(text) + 3) // 4


def split(text: str, count: int | None) -> list[str]:
    """Cut a text into ``count`` pieces, or pieces of some twenty characters; never an empty piece."""
    if not text:
        return []
    size = 20 if count is None else max(1, -(-len(text) // max(1, count)))
    return [text[start : start + size] for start in range(0, len(text), size)]


def share(usage: Usage, part: int, parts: int) -> Usage:
    """The usage after ``part`` of ``parts`` chunks, for providers that report it with every chunk."""
    if part >= parts:
        return usage
    written = (usage.output - usage.reasoning) * part // parts
    return replace(usage, output=usage.reasoning + written, output_modalities={})


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _NOT_TEXT:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
