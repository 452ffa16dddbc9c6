"""Gemini's Live API: a WebSocket on which a model is spoken to, on the Developer API and on Vertex AI.

A turn begins when the client asks for an answer: with content that completes its turn, a text, the end of an activity,
or what a function gave back where no turn is under way. Where the server listens for speech itself, only its answer
tells that it heard any: the turn begins with that. Audio that is merely streamed asks for nothing.

It lasts until the server says that the turn, or the interaction that it belongs to, is complete: through the function
calls in it and their answers, and through an interruption, after which the server still says so. What the client asks
meanwhile is another turn once some of the answer has come; until then it is part of what was asked.
"""

from __future__ import annotations

from enum import Enum
from types import SimpleNamespace
from typing import Any

from otel_llm.messages import Message, message, text_part
from otel_llm.provider import Params, Session, Turns, get
from otel_llm.providers.google_live_turns import TURN, LiveFold
from otel_llm.providers.google_messages import messages
from otel_llm.providers.google_parts import parts
from otel_llm.providers.google_shared import word
from otel_llm.providers.google_tools import tool_definitions
from otel_llm.providers.media import Media

#: Messages that are kept for the next turn; of more, the first are forgotten.
MOST = 256

_PLAIN = str | int | float | Enum


class _Turn:
    """A turn under way: what was asked so far, whether it is being answered, whether it was interrupted."""

    def __init__(self, contents: list[Message]) -> None:
        self.contents = contents
        self.answered = False
        self.interrupted = False


class LiveDialogue:
    """What the messages of a Live session mean."""

    def __init__(self, params: Params, connection: Any, capture: bool) -> None:
        said = TURN.params(params)
        said = TURN.params({"config": said.pop("generation_config", None)}) | said
        self._said = {name: value for name, value in said.items() if _kept(value)}
        self._said["thinking_level"] = get(said.get("thinking_config"), "thinking_level")
        self._said["session_id"] = get(connection, "session_id")
        self._said["system_instruction"] = messages(said.get("system_instruction"), "system")
        self._said["tools"] = tool_definitions(said)
        self._capture = capture
        self._turn: _Turn | None = None
        self._next: _Turn | None = None
        self._pending: list[Message] = []
        self._media = Media()
        self._heard: Message | None = None
        self._usages: list[Any] = []

    # What the client sends ----------------------------------------------------------------------------------------

    def sent(self, turns: Turns, method: str, args: tuple[Any, ...], kwargs: Params) -> None:
        """A method of the session is about to send something; all their parameters have names."""
        self._settle(turns)
        if method == "send_client_content":
            self._say(messages(kwargs.get("turns")))
            if kwargs.get("turn_complete", True):
                self._ask(turns)
        elif method == "send_realtime_input":
            self._stream(turns, kwargs)
        elif method == "send_tool_response":
            self._answer(turns, kwargs.get("function_responses"))
        elif method == "send_context_update":
            if (instruction := kwargs.get("system_instruction")) is not None:
                self._said["system_instruction"] = messages(instruction, "system")
            if kwargs.get("tools") is not None:
                self._said["tools"] = tool_definitions(kwargs)
        else:
            self._send(turns, kwargs.get("input"), bool(kwargs.get("end_of_turn")))

    def _send(self, turns: Turns, given: Any, asks: bool) -> None:
        """The one method of old, which takes anything."""
        if not given or get(given, "turns") is not None or get(given, "turn_complete") is not None:
            self._say(messages(get(given, "turns")))
            asks = True if not given else bool(get(given, "turn_complete"))
        elif (chunks := get(given, "media_chunks")) is not None:
            for chunk in chunks:
                self._stream(turns, {"media": chunk})
        elif (answers := get(given, "function_responses")) is not None or _answers(given):
            self._answer(turns, given if answers is None else answers)
        elif get(given, "data") is not None:
            self._stream(turns, {"media": given})
        else:
            self._say(messages(given))
        if asks:
            self._ask(turns)

    def _stream(self, turns: Turns, given: Params) -> None:
        """What is sent while the server listens; only a text, or the end of an activity, asks for an answer."""
        for name in ("media", "audio", "video"):
            if self._capture and (blob := given.get(name)) is not None:
                self._media.add(get(blob, "data"), get(blob, "mime_type"))
        if (text := given.get("text")) is not None:
            self._say(messages(text))
        if text is not None or given.get("activity_end") is not None:
            self._ask(turns)

    def _answer(self, turns: Turns, given: Any) -> None:
        """What functions gave back: more of a turn that is under way."""
        answers = given if isinstance(given, list | tuple) else [given]
        said = message("tool", [part for answer in answers for part in parts({"function_response": answer})])
        if self._turn is not None:
            self._turn.contents.append(said)
            return
        self._say([said])
        if any(word(get(answer, "scheduling")) != "silent" for answer in answers):
            self._ask(turns)

    def _say(self, said: list[Message]) -> None:
        self._pending += said
        del self._pending[:-MOST]

    def _ask(self, turns: Turns) -> None:
        if self._turn is None:
            self._turn = self._begin(turns)
        elif self._turn.answered and self._next is None:
            self._next = self._begin(turns)
        else:
            (self._next or self._turn).contents += self._taken()

    def _begin(self, turns: Turns) -> _Turn:
        """A turn, with what was sent for it, and what was said about its usage before it was known of."""
        turn = _Turn(self._taken())
        turns.begin(turn, TURN, {**self._said, "contents": turn.contents}, LiveFold(self._capture))
        for report in self._usages:
            turns.add(turn, report)
        self._usages = []
        return turn

    def _settle(self, turns: Turns) -> None:
        """Forgets turns that have ended otherwise: what asked for them could not be sent."""
        if self._next not in turns:
            self._next = None
        if self._turn not in turns:
            self._turn, self._next = self._next, None

    def _taken(self) -> list[Message]:
        media = self._media.parts()
        taken = self._pending + ([message("user", media)] if media else [])
        self._pending, self._media = [], Media()
        return taken

    # What the server sends ----------------------------------------------------------------------------------------

    def received(self, turns: Turns, message: Any) -> None:
        """A message has come."""
        self._settle(turns)
        content = get(message, "server_content")
        answers = bool(get(get(content, "model_turn"), "parts") or get(message, "tool_call"))
        spoken = get(get(content, "output_transcription"), "text")  # in no order with what it is the text of
        if answers and self._turn is not None and self._turn.interrupted:
            self._over(turns)  # it was never said to be complete
        self._hear(get(content, "input_transcription"))
        usage = get(message, "usage_metadata")
        complete = _complete(content, self._turn)
        if self._turn is None and (answers or (complete and (usage or self._usages or self._heard))):
            self._turn = self._begin(turns)
        turn = self._turn
        if turn is None:
            if usage is not None:
                self._usages = [*self._usages[-MOST:], SimpleNamespace(usage_metadata=usage)]
            return
        turn.answered = turn.answered or answers
        turns.add(turn, message, chunk=answers or bool(spoken))
        if get(content, "interrupted"):
            turn.interrupted = True
        if get(content, "generation_complete"):
            turns.whole(turn)
        if complete or _complete(content, turn):
            self._over(turns)

    def _hear(self, transcription: Any) -> None:
        """What the server heard; of the turn under way unless that was interrupted: then by this."""
        text = get(transcription, "text")
        if not text:
            return
        turn = self._turn
        said = self._pending if turn is None or turn.interrupted else turn.contents
        heard = self._heard
        if heard is not None and any(item is heard for item in said):
            heard["parts"][0]["content"] += text
        else:
            self._heard = message("user", [text_part(text)])
            said.append(self._heard)

    def _over(self, turns: Turns) -> None:
        if (turn := self._turn) is not None:
            turns.end(turn, "cancelled" if turn.interrupted else "completed")
        self._turn, self._next, self._heard = self._next, None, None


def _complete(content: Any, turn: _Turn | None) -> bool:
    """Whether the turn is over: where the server says how the interaction stands, when that is idle."""
    status = word(get(content, "interaction_status") or "")
    if not status or status.endswith("unspecified") or (turn is not None and turn.interrupted):
        return bool(get(content, "turn_complete"))
    return status == "idle"


def _answers(given: Any) -> bool:
    """Whether this is what a function gave back, or several of that."""
    first = given[0] if isinstance(given, list | tuple) else given
    return get(first, "response") is not None and get(first, "name") is not None


def _kept(value: Any) -> bool:
    """Whether a setting may be kept as long as the session: what is not plain may lead back to it, as a tool may."""
    return isinstance(value, _PLAIN) or (isinstance(value, list) and all(isinstance(item, _PLAIN) for item in value))


SESSIONS = (
    Session(
        module="google.genai.live",
        connect="AsyncLive.connect",
        connection="AsyncSession",
        asynchronous=True,
        sends=("send_client_content", "send_realtime_input", "send_tool_response", "send_context_update", "send"),
        receives=("_receive",),
        lost=frozenset({"ConnectionClosed", "APIError"}),
        params=("model", "config"),
        dialogue=LiveDialogue,
        endpoint=TURN,
    ),
)
