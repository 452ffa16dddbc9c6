"""Google's endpoints for pictures and videos. A video is work that goes on: an operation that is asked about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message, message, text_part
from otel_llm.provider import Endpoint, Params, get
from otel_llm.providers.google_messages import prompted
from otel_llm.providers.google_parts import media
from otel_llm.providers.google_shared import FREE, error_code, pair, tier_asked

_PROMPTED = frozenset(
    {"prompt", "image", "video", "source", "reference_images", "last_frame", "mask", "number_of_images",
     "number_of_videos", "safety_filter_level", "person_generation"}
)  # fmt: skip


def _count(name: str) -> Callable[[Params], Mapping[a.Attribute, Any]]:
    def count(params: Params) -> Mapping[a.Attribute, Any]:
        asked = params.get(name)
        choices = {a.CHOICE_COUNT: asked} if isinstance(asked, int) and asked != 1 else {}
        return {**tier_asked(params), **choices}

    return count


def _images(response: Any) -> Mapping[a.Attribute, Any]:
    """How many pictures there are; those that were held back say why, in place of a picture."""
    generated = get(response, "generated_images") or ()
    held = [reason for one in generated if (reason := get(one, "rai_filtered_reason"))]
    made = [one for one in generated if get(one, "image") is not None and not get(one, "rai_filtered_reason")]
    values: dict[a.Attribute, Any] = {a.IMAGES: len(made)}
    if generated:
        values[a.FINISH_REASONS] = ["content_filter"] * len(held) + ["stop"] * len(made)
    if held:
        values[a.BLOCK_REASON] = str(held[0])
    return values


def _pictures(response: Any) -> list[Message]:
    found = []
    for one in get(response, "generated_images") or ():
        reason, picture = get(one, "rai_filtered_reason"), get(one, "image")
        parts = [text_part(str(reason))] if reason else [media(picture)] if picture is not None else []
        found.append(message("assistant", parts))
        found[-1]["finish_reason"] = "content_filter" if reason else "stop"
    return found


def _masks(response: Any) -> list[Message]:
    masks = [mask for one in get(response, "generated_masks") or () if (mask := get(one, "mask")) is not None]
    return [message("assistant", [media(mask) for mask in masks])] if masks else []


def _counted(response: Any) -> Mapping[a.Attribute, Any]:
    return {a.IMAGES: len(get(response, "generated_masks") or ())}


def _image(method: str, operation: str, **described: Any) -> Endpoint:
    return pair(
        "models",
        f"Models.{method}",
        operation=operation,
        streamed=False,
        config="config",
        parameters={"seed": a.SEED},
        unrecorded=_PROMPTED,
        constants={a.OUTPUT_TYPE: "image"},
        messages=prompted,
        **{
            "output_messages": _pictures,
            "details": _images,
            "details_of_request": _count("number_of_images"),
            **described,
        },
    )


def _name(operation: Any) -> str | None:
    """The id of an operation: the end of its name, under which it is asked about in several ways."""
    name = get(operation, "name")
    return name.rpartition("/")[2] if isinstance(name, str) and name else None


def _running(operation: Any) -> str | None:
    return None if get(operation, "done") else _name(operation)


def _asked_about(params: Params) -> str | None:
    return _name(params.get("operation"))


def _operation(operation: Any) -> Mapping[a.Attribute, Any]:
    """How an operation stands, and what it made."""
    values: dict[a.Attribute, Any] = {a.RESPONSE_STATUS: "in_progress"}
    if (error := get(operation, "error")) is not None:
        values = {a.RESPONSE_STATUS: "failed", a.ERROR_TYPE: error_code(error)}
    elif get(operation, "done"):
        values = {a.RESPONSE_STATUS: "completed"}
        made = get(operation, "response") or get(operation, "result")
        videos = get(made, "generated_videos")
        held = get(made, "rai_media_filtered_count")
        if videos is not None or held:
            values[a.VIDEOS] = len(videos or ())
        if held:
            values[a.FINISH_REASONS] = ["content_filter"]
            reasons = get(made, "rai_media_filtered_reasons")
            values[a.BLOCK_REASON] = str(reasons[0]) if reasons else "filtered"
    return values


def _videos(operation: Any) -> list[Message]:
    made = get(operation, "response") or get(operation, "result")
    videos = [video for one in get(made, "generated_videos") or () if (video := get(one, "video")) is not None]
    return [message("assistant", [media(video) for video in videos])] if videos else []


_OPERATION: dict[str, Any] = {
    "streamed": False,
    "config": "config",
    "paths": {a.RESPONSE_ID: "name"},
    "output_messages": _videos,
    "details": _operation,
    "unfinished": _running,
}

ENDPOINTS = (
    _image("generate_images", "generate_image"),
    _image("edit_image", "edit_image"),
    _image("upscale_image", "upscale_image"),
    _image("recontext_image", "recontext_image"),
    _image("segment_image", "segment_image", output_messages=_masks, details=_counted),
    pair(
        "models",
        "Models.generate_videos",
        operation="generate_video",
        parameters={"seed": a.SEED},
        unrecorded=_PROMPTED,
        constants={a.OUTPUT_TYPE: "video"},
        messages=prompted,
        details_of_request=_count("number_of_videos"),
        **_OPERATION,
    ),
    pair(
        "operations",
        "Operations.get",
        operation="fetch_response",
        positional=("operation",),
        unrecorded=frozenset({"operation"}),
        constants=FREE,
        follows=_asked_about,
        **_OPERATION,
    ),
)
