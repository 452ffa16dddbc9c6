"""OpenAI's Realtime API: a session, a conversation, responses beside one another, speech that is listened for.

Audio of zeros is silence; what precedes it was speech, and is answered. Speech interrupts what is being said.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from otel_llm.testing.script import Reply, Usage, split
from otel_llm.testing.websocket import Ask, Cut, Socket, Speaker, heard, spoken

_VAD = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
_INCOMPLETE = {"length": "max_output_tokens", "blocked": "content_filter", "prompt_blocked": "content_filter"}


class RealtimeTalk:
    """One Realtime session."""

    def __init__(self, socket: Socket, ask: Ask, path: str, speaker: Speaker) -> None:
        self._socket = socket
        self._ask = ask
        self._speaker = speaker
        self._numbers = itertools.count(1)
        self._session: dict[str, Any] = {
            "type": "realtime",
            "object": "realtime.session",
            "id": "sess_00000001",
            "model": path.partition("model=")[2].partition("&")[0] or None,
            "output_modalities": ["audio"],
            "instructions": "",
            "tools": [],
            "max_output_tokens": "inf",
            "audio": {"input": {"transcription": None, "turn_detection": _VAD}, "output": {"voice": "marin"}},
        }
        if "intent=transcription" in path:
            self._session = {"type": "transcription", "object": "realtime.transcription_session", "id": "sess_00000001",
                             "audio": {"input": {"transcription": None, "turn_detection": _VAD}}}  # fmt: skip
        self._items: list[dict[str, Any]] = []
        self._speech = ""
        self._answers: dict[str, tuple[asyncio.Task[None], dict[str, Any]]] = {}
        self._item = ""

    async def opened(self) -> None:
        """The server speaks first."""
        await self._send("session.created", session=self._session)

    async def received(self, message: Mapping[str, Any]) -> None:
        """An event of the client's."""
        kind = message.get("type")
        if kind == "session.update":
            _merge(self._session, message["session"])
            await self._send("session.updated", session=self._session)
        elif kind == "conversation.item.create":
            await self._add({"id": f"item_{next(self._numbers):08d}", **message["item"]})
        elif kind == "input_audio_buffer.append":
            await self._append(heard(message["audio"]))
        elif kind == "input_audio_buffer.commit":
            await self._commit()
        elif kind == "response.create":
            await self._create(message)
        elif kind == "response.cancel":
            await self._cancel("client_cancelled", message.get("response_id"))
        elif kind not in ("input_audio_buffer.clear", "conversation.item.delete"):
            await self._error(message, "invalid_value", f"Invalid value: {kind!r}.", "type")

    async def _send(self, kind: str, **fields: Any) -> None:
        await self._socket.send({"type": kind, "event_id": f"event_{next(self._numbers):08d}", **fields})

    async def _error(self, message: Mapping[str, Any], code: str, text: str, about: str | None = None) -> None:
        error = {"type": "invalid_request_error", "code": code, "message": text, "param": about}
        await self._send("error", error={**error, "event_id": message.get("event_id")})

    async def _add(self, item: dict[str, Any]) -> None:
        self._items.append(item)
        await self._send("conversation.item.added", item=item, previous_item_id=None)

    # What is spoken -----------------------------------------------------------------------------------------------

    async def _append(self, said: str) -> None:
        detects = self._session["audio"]["input"].get("turn_detection")
        if said and not self._speech and detects:
            self._item = f"item_{next(self._numbers):08d}"
            await self._send("input_audio_buffer.speech_started", item_id=self._item, audio_start_ms=0)
            await self._cancel("turn_detected", None)
        self._speech += said
        if not said and self._speech and detects:
            await self._send("input_audio_buffer.speech_stopped", item_id=self._item, audio_end_ms=1000)
            await self._commit()
            if self._session["type"] == "realtime":
                await self._create({})

    async def _commit(self) -> None:
        said, self._speech = self._speech, ""
        id, self._item = self._item or f"item_{next(self._numbers):08d}", ""
        await self._send("input_audio_buffer.committed", item_id=id, previous_item_id=None)
        content = {"type": "input_audio", "transcript": None}
        await self._add({"id": id, "type": "message", "role": "user", "status": "completed", "content": [content]})
        self._items[-1] = {"type": "message", "role": "user", "content": [{**content, "transcript": said}]}
        if transcribes := self._session["audio"]["input"].get("transcription"):
            self._speaker.speak(self._transcribe(id, said, str(transcribes.get("model"))))

    async def _transcribe(self, id: str, said: str, model: str) -> None:
        at = {"item_id": id, "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        if not said:
            error = {"type": "transcription_error", "code": "audio_unintelligible", "message": "Unintelligible."}
            await self._send(f"{kind}.failed", **at, error=error)
            return
        for piece in split(said, 2):
            await self._send(f"{kind}.delta", **at, delta=piece)
        usage: dict[str, Any] = {"type": "duration", "seconds": 2.5}
        if model != "whisper-1":
            details = {"text_tokens": 0, "audio_tokens": 30}
            usage = {"type": "tokens", "input_tokens": 30, "output_tokens": 6, "total_tokens": 36}
            usage["input_token_details"] = details
        await self._send(f"{kind}.completed", **at, transcript=said, usage=usage)

    # What is answered ---------------------------------------------------------------------------------------------

    async def _create(self, message: Mapping[str, Any]) -> None:
        asked = message.get("response") or {}
        outside = asked.get("conversation") == "none"
        if not outside and any(response["conversation_id"] for _, response in self._answers.values()):
            await self._error(
                message, "conversation_already_has_active_response", "Conversation already has an active response."
            )
            return
        body = {name: self._session.get(name) for name in ("model", "instructions", "tools")} | asked
        items, self._items = (self._items, self._items) if outside else (self._items, [])
        request, reply = self._ask("realtime", {"input": items, **body})
        if reply.status >= 400:
            await self._error(message, reply.error_code or "server_error", reply.error or "The server had an error.")
            return
        response: dict[str, Any] = {
            "object": "realtime.response",
            "id": f"resp_{request.number:08d}",
            "status": "in_progress",
            "status_details": None,
            "output": [],
            "conversation_id": None if outside else "conv_00000001",
            "output_modalities": asked.get("output_modalities") or self._session["output_modalities"],
            "max_output_tokens": "inf",
            "metadata": asked.get("metadata"),
            "usage": None,
        }
        task = self._speaker.speak(self._respond(response, reply, reply.usage_for(request)))
        self._answers[response["id"]] = (task, response)

    async def _cancel(self, reason: str, id: str | None) -> None:
        for task, response in list(self._answers.values()):
            if (response["conversation_id"] if id is None else response["id"] == id) and not task.done():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                await self._done(response, "cancelled", {"reason": reason}, Usage(0))

    async def _done(self, response: dict[str, Any], status: str, details: Mapping[str, Any], counts: Usage) -> None:
        response |= {"status": status, "status_details": {"type": status, **details} if details else None}
        self._answers.pop(response["id"], None)
        await self._send("response.done", response={**response, "usage": usage(counts)})

    async def _respond(self, response: dict[str, Any], reply: Reply, counts: Usage) -> None:
        await asyncio.sleep(reply.delay)
        await self._send("response.created", response={**response})
        if reply.body is not None:
            for message in json.loads(reply.body):
                await self._socket.send(message)
            return
        pause = 0.0  # none before the first piece
        for number, (kind, fields) in enumerate(self._events(response, reply)):
            if number == reply.fail_after:
                if reply.failure == "cut":
                    raise Cut
                error = {"type": "server_error", "code": reply.error_code or None}
                await self._done(response, "failed", {"error": error}, Usage(0))
                return
            if kind.endswith(".delta"):
                await asyncio.sleep(pause)
                pause = reply.chunk_delay
            await self._send(f"response.{kind}", response_id=response["id"], **fields)
        reason = _INCOMPLETE.get(reply.finish)
        await self._done(
            response, "incomplete" if reason else "completed", {"reason": reason} if reason else {}, counts
        )

    def _events(self, response: dict[str, Any], reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
        if reply.text or not reply.tool_calls:
            yield from self._message(response, reply)
        for number, call in enumerate(reply.tool_calls):
            item = {"id": f"item_{next(self._numbers):08d}", "type": "function_call", "status": "completed",
                    "name": call.name, "call_id": call.id or f"call_{number}"}  # fmt: skip
            at = {"item_id": item["id"], "output_index": len(response["output"]), "call_id": item["call_id"]}
            arguments = json.dumps(dict(call.arguments))
            yield "output_item.added", {"item": {**item, "arguments": ""}, "output_index": at["output_index"]}
            for piece in split(arguments, reply.chunks):
                yield "function_call_arguments.delta", {**at, "delta": piece}
            yield "function_call_arguments.done", {**at, "arguments": arguments, "name": call.name}
            response["output"].append({**item, "arguments": arguments})
            yield "output_item.done", {"item": response["output"][-1], "output_index": at["output_index"]}

    def _message(self, response: dict[str, Any], reply: Reply) -> Iterator[tuple[str, dict[str, Any]]]:
        item = {"id": f"item_{next(self._numbers):08d}", "type": "message", "role": "assistant"}
        at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        speaks = "audio" in response["output_modalities"]
        yield "output_item.added", {"item": {**item, "status": "in_progress", "content": []}, "output_index": 0}
        yield "content_part.added", {**at, "part": {"type": "audio" if speaks else "text"}}
        for piece in reply.pieces():
            if not speaks:
                yield "output_text.delta", {**at, "delta": piece}
                continue
            yield "output_audio_transcript.delta", {**at, "delta": piece}
            yield "output_audio.delta", {**at, "delta": spoken(piece)}
        if speaks:
            yield "output_audio.done", at
            yield "output_audio_transcript.done", {**at, "transcript": reply.text}
        else:
            yield "output_text.done", {**at, "text": reply.text}
        content = {"type": "output_audio", "transcript": reply.text}
        content = content if speaks else {"type": "output_text", "text": reply.text}
        response["output"].append({**item, "status": "completed", "content": [content]})
        yield "output_item.done", {"item": response["output"][-1], "output_index": 0}


def usage(counts: Usage) -> dict[str, Any]:
    """``RealtimeResponseUsage``; what is not said to be audio is text."""
    heard, said = counts.input_modalities.get("audio", 0), counts.output_modalities.get("audio", 0)
    cached = {"text_tokens": counts.cached, "audio_tokens": 0, "image_tokens": 0}
    return {
        "total_tokens": counts.input + counts.output,
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "input_token_details": {
            "text_tokens": counts.input - heard,
            "audio_tokens": heard,
            "image_tokens": 0,
            "cached_tokens": counts.cached,
            "cached_tokens_details": cached,
        },
        "output_token_details": {"text_tokens": counts.output - said, "audio_tokens": said},
    }


def _merge(into: dict[str, Any], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if isinstance(value, Mapping) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value
