"""OpenAI's wire formats for what is not text: images, speech, transcripts, videos, moderation."""

from __future__ import annotations

import base64
from typing import Any

from otel_llm.testing.openai_wire import error_body, headers
from otel_llm.testing.script import Reply, Request, Usage
from otel_llm.testing.wire import EPOCH, Answer, answer_json, event, stream

#: A picture, a sound and a film: the first bytes of each, and a text to tell them apart.
PICTURE = b"\x89PNG\r\n\x1a\n picture"
SOUND = b"RIFF\x10\x00\x00\x00WAVE sound"
FILM = b"\x00\x00\x00\x18ftypmp42 film"

_CATEGORIES = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm",
    "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic",
)  # fmt: skip


def images(request: Request, reply: Reply) -> Answer:
    """``POST /images/generations``, ``/edits`` and ``/variations``, plain or streamed."""
    body = request.body
    format = str(body.get("output_format") or "png")
    data = base64.b64encode(PICTURE).decode()
    used = {"usage": _image_usage(reply.usage_for(request))} if reply.report_usage else {}
    if not request.stream:
        one = {"url": f"https://example.org/{request.number}.png"} if body.get("response_format") == "url" else {}
        made: dict[str, Any] = {
            "created": EPOCH + request.number,
            "background": "opaque",
            "data": [one or {"b64_json": data} for _ in range(int(body.get("n") or 1))],
            "output_format": format,
            "quality": "low",
            "size": "1024x1024",
            **used,
        }
        return answer_json(made, headers=headers(request))
    kind = "image_edit" if request.operation == "images.edit" else "image_generation"
    common = {
        "b64_json": data,
        "created_at": EPOCH + request.number,
        "background": "opaque",
        "output_format": format,
        "quality": "low",
        "size": "1024x1024",
    }
    events = [
        _named({"type": f"{kind}.partial_image", "partial_image_index": index, **common})
        for index in range(int(body.get("partial_images") or 0))
    ]
    events.append(_named({"type": f"{kind}.completed", **common, **used}))
    return stream(events, reply, event({"error": error_body(500, reply.error)}, "error"), headers(request))


def _named(value: dict[str, Any]) -> bytes:
    return event(value, value["type"])


def _image_usage(counts: Usage) -> dict[str, Any]:
    seen = counts.input_modalities.get("image", 0)
    found: dict[str, Any] = {
        "input_tokens": counts.input,
        "input_tokens_details": {"image_tokens": seen, "text_tokens": counts.input - seen},
        "output_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
    }
    if counts.output_modalities:
        found["output_tokens_details"] = {
            "image_tokens": counts.output_modalities.get("image", 0),
            "text_tokens": counts.output_modalities.get("text", 0),
        }
    return found


def speech(request: Request, reply: Reply) -> Answer:
    """``POST /audio/speech``: sound, in pieces, or as events."""
    pieces = [SOUND[start : start + 8] for start in range(0, len(SOUND), 8)]
    if request.body.get("stream_format") != "sse":
        answer = stream(pieces, reply, b"", headers(request))
        return Answer(200, events=answer.events, cut=answer.cut, headers=headers(request), media_type="audio/wav")
    counts = reply.usage_for(request)
    used = {
        "input_tokens": counts.input,
        "output_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
    }
    events = [_named({"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode()}) for piece in pieces]
    events.append(_named({"type": "speech.audio.done", "usage": used}))
    return stream(events, reply, event({"error": error_body(500, reply.error)}, "error"), headers(request))


def transcript(request: Request, reply: Reply) -> Answer:
    """``POST /audio/transcriptions`` and ``/translations``, plain or streamed."""
    body = request.body
    format = body.get("response_format") or "json"
    if format in ("text", "srt", "vtt"):
        return Answer(200, reply.text.encode() + b"\n", headers=headers(request), media_type="text/plain")
    counts = reply.usage_for(request)
    heard = counts.input_modalities.get("audio", counts.input)
    used: dict[str, Any] = {
        "type": "tokens",
        "input_tokens": counts.input,
        "input_token_details": {"audio_tokens": heard, "text_tokens": counts.input - heard},
        "output_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
    }
    if request.model.startswith("whisper"):
        used = {"type": "duration", "seconds": 9}
    usage = {"usage": used} if reply.report_usage else {}
    if request.stream:
        events = [_named({"type": "transcript.text.delta", "delta": piece}) for piece in reply.pieces()]
        events.append(_named({"type": "transcript.text.done", "text": reply.text, **usage}))
        return stream(events, reply, event({"error": error_body(500, reply.error)}, "error"), headers(request))
    whole: dict[str, Any] = {"text": reply.text, **usage}
    if format == "verbose_json":
        whole |= {"task": "transcribe", "language": "english", "duration": 8.47, "segments": [], "words": []}
    return answer_json(whole, headers=headers(request))


def video(request: Request, reply: Reply) -> Answer:
    """``POST /videos`` and what is made of one; ``GET /videos/{id}``."""
    state = reply.state or ("completed" if request.method == "GET" else "queued")
    body = {
        "id": request.groups.get("id") or f"video_{request.number:08d}",
        "object": "video",
        "created_at": EPOCH + request.number,
        "completed_at": EPOCH + request.number if state == "completed" else None,
        "error": {"code": reply.error_code or "moderation_blocked", "message": reply.error}
        if state == "failed"
        else None,
        "model": reply.model or request.model or "sora-2",
        "progress": 100 if state == "completed" else 0,
        "prompt": request.body.get("prompt"),
        "seconds": str(request.body.get("seconds") or 4),
        "size": "720x1280",
        "status": state,
    }
    return answer_json(body, headers=headers(request))


def film(request: Request, reply: Reply) -> Answer:
    """``GET /videos/{id}/content``."""
    return Answer(200, FILM, headers=headers(request), media_type="video/mp4")


def moderation(request: Request, reply: Reply) -> Answer:
    """``POST /moderations``: what is ``blocked`` is violence."""
    given = request.body.get("input")
    many = given if isinstance(given, list) and given and isinstance(given[0], str) else [given]
    flagged = reply.finish == "blocked"
    result = {
        "flagged": flagged,
        "categories": {name: flagged and name == "violence" for name in _CATEGORIES},
        "category_scores": {name: 0.9 if flagged and name == "violence" else 0.01 for name in _CATEGORIES},
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    body = {
        "id": f"modr-{request.number}",
        "model": reply.model or request.model or "omni-moderation-latest",
        "results": [result] * len(many),
    }
    return answer_json(body, headers=headers(request))
