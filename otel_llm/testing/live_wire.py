"""Gemini's Live API: setup, then turns, with interruptions, functions, transcripts and speech.

Audio of zeros is silence; what precedes it was speech, and is answered. Speech, or another request, interrupts.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from otel_llm.testing import gemini_wire
from otel_llm.testing.script import Reply, Request
from otel_llm.testing.websocket import Ask, Cut, Socket, Speaker, heard, spoken

_REASONS = {"blocked": "GENERATED_CONTENT_SAFETY", "prompt_blocked": "PROHIBITED_INPUT_CONTENT"}


def _get(message: Any, name: str) -> Any:
    """A field, whose name comes in either case."""
    head, *rest = name.split("_")
    return message.get(name, message.get(head + "".join(word.title() for word in rest)))


class LiveTalk:
    """One Live session."""

    def __init__(self, socket: Socket, ask: Ask, path: str, speaker: Speaker) -> None:
        self._socket = socket
        self._ask = ask
        self._speaker = speaker
        self._vertex = "aiplatform" in path
        self._setup: Mapping[str, Any] = {}
        self._contents: list[Any] = []
        self._speech = ""
        self._answer: asyncio.Task[None] | None = None
        self._results: asyncio.Queue[Any] = asyncio.Queue()

    async def opened(self) -> None:
        """The client speaks first."""

    async def received(self, message: Mapping[str, Any]) -> None:
        """A message of the client's."""
        if setup := _get(message, "setup"):
            self._setup = setup
            await self._socket.send({"setupComplete": {"sessionId": "live-00000001"}})
        elif (content := _get(message, "client_content")) is not None:
            await self._interrupt()
            self._contents += _get(content, "turns") or []
            if _get(content, "turn_complete"):
                self._begin()
        elif (given := _get(message, "realtime_input")) is not None:
            await self._stream(given)
        elif (results := _get(message, "tool_response")) is not None:
            said = [{"functionResponse": result} for result in _get(results, "function_responses")]
            self._contents.append({"role": "user", "parts": said})
            if self._answering():
                self._results.put_nowait(None)
            else:
                self._begin()

    async def _stream(self, given: Mapping[str, Any]) -> None:
        if _get(given, "activity_start") is not None:
            await self._interrupt()
        if text := _get(given, "text"):
            await self._interrupt()
            self._contents.append({"role": "user", "parts": [{"text": text}]})
            self._begin()
        for blob in (*(_get(given, "media_chunks") or ()), *filter(None, [_get(given, "audio")])):
            said = heard(blob["data"])
            if said and not self._speech:
                await self._interrupt()
            self._speech += said
            listens = not (_get(self._setup, "realtime_input_config") or {}).get("automaticActivityDetection")
            if not said and self._speech and listens:
                self._begin()
        if _get(given, "activity_end") is not None:
            self._begin()

    def _answering(self) -> bool:
        return self._answer is not None and not self._answer.done()

    def _begin(self) -> None:
        said, self._speech = self._speech, ""
        if said:
            self._contents.append({"role": "user", "parts": [{"text": said}]})
        self._answer = self._speaker.speak(self._spoken(said))

    async def _interrupt(self) -> None:
        if self._answer is not None and self._answering():
            self._answer.cancel()
            await asyncio.gather(self._answer, return_exceptions=True)
            await self._content({"interrupted": True})
            await self._content({"turnComplete": True}, {"usageMetadata": self._usage(Reply("…"), None)})

    async def _content(self, content: Mapping[str, Any], beside: Mapping[str, Any] | None = None) -> None:
        await self._socket.send({"serverContent": content, **(beside or {})})

    async def _spoken(self, said: str) -> None:
        if said and _get(self._setup, "input_audio_transcription") is not None:
            await self._content({"inputTranscription": {"text": said[:5]}})
            await self._content({"inputTranscription": {"text": said[5:], "finished": True}})
        while True:
            request, reply = self._ask("live", self._body())
            await asyncio.sleep(reply.delay)
            if reply.status >= 400:
                await self._socket.close(1011, reply.error or gemini_wire.error_body(reply.status)["error"]["message"])
                return
            if reply.body is not None:
                for message in json.loads(reply.body):
                    await self._socket.send(message)
                return
            for number, message in enumerate(self._messages(request, reply)):
                if number == reply.fail_after:
                    if reply.failure == "cut":
                        raise Cut
                    await self._socket.close(1011, reply.error or "Internal error encountered.")
                    return
                if number:
                    await asyncio.sleep(reply.chunk_delay)
                await self._socket.send(message)
            if not reply.tool_calls:
                return
            await self._results.get()

    def _body(self) -> dict[str, Any]:
        setup = self._setup
        taken, self._contents = self._contents, []
        named = {"systemInstruction": _get(setup, "system_instruction"), "tools": setup.get("tools")}
        return {"model": setup.get("model", "").rpartition("/")[2], "contents": taken} | {
            name: value for name, value in named.items() if value
        }

    def _messages(self, request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
        """The answer, but for what is said when the client gives back what its functions did."""
        config = _get(self._setup, "generation_config") or {}
        speaks = "AUDIO" in (_get(config, "response_modalities") or ["AUDIO"])
        if reply.thinking:
            yield _turn({"text": reply.thinking, "thought": True})
        for piece in reply.pieces():
            if not speaks:
                yield _turn({"text": piece})
                continue
            yield _turn({"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": spoken(piece)}})
            if _get(self._setup, "output_audio_transcription") is not None:
                yield {"serverContent": {"outputTranscription": {"text": piece}}}
        usage = {"usageMetadata": self._usage(reply, request)} if reply.report_usage else {}
        if reply.tool_calls:
            calls = [
                {"name": call.name, "args": dict(call.arguments), "id": call.id or f"function-call-{number}"}
                for number, call in enumerate(reply.tool_calls, 1)
            ]
            yield {"toolCall": {"functionCalls": calls}, **usage}
            return
        yield {"serverContent": {"generationComplete": True}}
        reason = {"turnCompleteReason": _REASONS[reply.finish]} if reply.finish in _REASONS else {}
        yield {"serverContent": {"turnComplete": True, **reason}, **usage}

    def _usage(self, reply: Reply, request: Request | None) -> dict[str, Any]:
        """The usage, in which the Developer API counts what Vertex calls candidates as the response."""
        counts = gemini_wire.usage(reply.usage_for(request or Request("", "", {}, {})))
        if self._vertex:
            return counts
        return {name.replace("candidates", "response"): value for name, value in counts.items()}


def _turn(part: Mapping[str, Any]) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"role": "model", "parts": [part]}}}
