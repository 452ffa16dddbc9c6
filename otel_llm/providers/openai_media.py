"""OpenAI's endpoints for what is not text: images, speech, transcripts, videos, moderation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.provider import Endpoint, Params, get
from otel_llm.providers import openai_media_messages as m
from otel_llm.providers.openai_media_streams import ImageFold, TranscriptFold
from otel_llm.providers.openai_messages import listed
from otel_llm.providers.openai_shared import IDENTITY, binary, failure, moderated, pair, reported

_REQUEST_ID = {a.PROVIDER_REQUEST_ID: "_request_id"}
_FREE = {a.COST_STATUS: "free"}
_TOKENS = {
    a.INPUT_TOKENS: "usage.input_tokens",
    a.OUTPUT_TOKENS: "usage.output_tokens",
    a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
}


def _images(response: Any) -> Mapping[a.Attribute, Any]:
    """How many images there are, and that the tokens that came back are theirs where nothing else is said."""
    values = reported(response)
    made = get(response, "made")
    values[a.IMAGES] = len(listed(get(response, "data"))) if made is None else made
    usage = get(response, "usage")
    if usage is not None and get(usage, "output_tokens_details") is None and get(usage, "output_tokens"):
        values[a.IMAGE_OUTPUT_TOKENS] = get(usage, "output_tokens")
    if get(response, "svg_usage") is not None:  # another model's, at another price
        values[a.COST_STATUS] = "partial"
    return values


def _image_request(params: Params) -> Mapping[a.Attribute, Any]:
    count = params.get("n")
    return {a.OUTPUT_TYPE: "image"} | ({a.CHOICE_COUNT: count} if isinstance(count, int) and count != 1 else {})


def _image(method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "images",
        f"Images.{method}",
        operation=operation,
        unrecorded=frozenset({"prompt", "image", "mask", "n"}),
        paths={
            **_REQUEST_ID,
            **_TOKENS,
            a.TEXT_INPUT_TOKENS: "usage.input_tokens_details.text_tokens",
            a.IMAGE_INPUT_TOKENS: "usage.input_tokens_details.image_tokens",
            a.TEXT_OUTPUT_TOKENS: "usage.output_tokens_details.text_tokens",
            a.IMAGE_OUTPUT_TOKENS: "usage.output_tokens_details.image_tokens",
        },
        output_messages=m.images,
        details=_images,
        details_of_request=_image_request,
        **described,
    )


def _speech_request(params: Params) -> Mapping[a.Attribute, Any]:
    text = params.get("input")
    return {a.OUTPUT_TYPE: "speech"} | ({a.CHARACTERS: len(text)} if isinstance(text, str) else {})


def _speech(response: Any) -> Mapping[a.Attribute, Any]:
    """The request's id, and the usage that is in the last of the events where speech comes as such."""
    values = binary(response)
    http = get(response, "response")
    if http is not None and http.is_closed and http.headers.get("content-type", "").startswith("text/event-stream"):
        values.update(_last_usage(http.content))
    return values


def _last_usage(events: bytes) -> Mapping[a.Attribute, Any]:
    last = events.rpartition(b"data: {")[2]
    try:
        usage = json.JSONDecoder().raw_decode("{" + last.decode())[0].get("usage") or {}
    except ValueError:
        return {}
    counts = {
        a.INPUT_TOKENS: usage.get("input_tokens"),
        a.OUTPUT_TOKENS: usage.get("output_tokens"),
        a.AUDIO_OUTPUT_TOKENS: usage.get("output_tokens"),
        a.REPORTED_TOTAL_TOKENS: usage.get("total_tokens"),
    }
    return {attribute: count for attribute, count in counts.items() if isinstance(count, int)}


def _heard(response: Any) -> Mapping[a.Attribute, Any]:
    """The seconds of what was heard, where it is they that are charged."""
    seconds = get(get(response, "usage"), "seconds")
    if seconds is None and get(response, "usage") is None:
        seconds = get(response, "duration")
    return reported(response) | ({} if seconds is None else {a.AUDIO_SECONDS: float(seconds)})


def _sound(module: str, method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        f"audio.{module}",
        method,
        operation=operation,
        parameters={"temperature": a.TEMPERATURE},
        unrecorded=frozenset({"file", "prompt", "known_speaker_references"}),
        paths={
            **_REQUEST_ID,
            **_TOKENS,
            a.TEXT_INPUT_TOKENS: "usage.input_token_details.text_tokens",
            a.AUDIO_INPUT_TOKENS: "usage.input_token_details.audio_tokens",
        },
        messages=m.asked(file="audio"),
        output_messages=m.transcript,
        details=_heard,
        **described,
    )


def _video_details(response: Any) -> Mapping[a.Attribute, Any]:
    values = failure(response)
    if get(response, "status") == "completed":
        values[a.VIDEOS] = 1
        if str(seconds := get(response, "seconds")).isdecimal():
            values[a.VIDEO_SECONDS] = int(seconds)
    return values


def _video_unfinished(response: Any) -> str | None:
    return str(get(response, "id")) if get(response, "status") in ("queued", "in_progress") else None


def _video(method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "videos",
        f"Videos.{method}",
        operation=operation,
        optional=True,
        streamed=False,
        unrecorded=frozenset({"prompt", "input_reference", "video"}),
        paths={**IDENTITY, a.RESPONSE_STATUS: "status"},
        details=_video_details,
        unfinished=_video_unfinished,
        **described,
    )


def _moderation(response: Any) -> Mapping[a.Attribute, Any]:
    return moderated(listed(get(response, "results")))


ENDPOINTS = (
    _image("generate", "generate_image", messages=m.asked(), fold=ImageFold),
    _image("edit", "edit_image", messages=m.asked(image="image", mask="image"), fold=ImageFold),
    _image("create_variation", "vary_image", messages=m.asked(image="image"), streamed=False),
    pair(
        "audio.speech",
        "Speech.create",
        operation="generate_speech",
        streamed=False,
        unrecorded=frozenset({"input", "instructions"}),
        messages=m.speech,
        output_messages=m.spoken,
        details=_speech,
        details_of_request=_speech_request,
    ),
    _sound("transcriptions", "Transcriptions.create", "transcribe_audio", fold=TranscriptFold),
    _sound("translations", "Translations.create", "translate_audio", streamed=False),
    _video("create", "generate_video", messages=m.asked(input_reference="image")),
    _video("remix", "remix_video", messages=m.asked(), positional=("video_id",)),
    _video("edit", "edit_video", messages=m.asked(video="video")),
    _video("extend", "extend_video", messages=m.asked(video="video")),
    _video(
        "retrieve",
        "fetch_response",
        positional=("video_id",),
        parameters={"video_id": a.RESPONSE_ID},
        follows=lambda params: str(params.get("video_id")),
        constants=_FREE,
    ),
    pair(
        "videos",
        "Videos.create_character",
        operation="create_character",
        optional=True,
        streamed=False,
        unrecorded=frozenset({"video"}),
        paths={a.RESPONSE_ID: "id", **_REQUEST_ID},
        messages=m.asked(video="video"),
    ),
    pair(
        "videos",
        "Videos.download_content",
        operation="fetch_response",
        optional=True,
        streamed=False,
        positional=("video_id",),
        constants=_FREE,
        parameters={"video_id": a.RESPONSE_ID},
        details=binary,
    ),
    pair(
        "moderations",
        "Moderations.create",
        operation="moderate",
        streamed=False,
        constants=_FREE,
        unrecorded=frozenset({"input"}),
        paths=IDENTITY,
        messages=m.moderated,
        details=_moderation,
    ),
)
