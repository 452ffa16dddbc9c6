"""Google's Interactions API: one JSON object or its events, in steps, or in contents as older SDKs ask for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from otel_llm.testing.gemini_wire import error_body
from otel_llm.testing.script import Reply, Request, Usage, split
from otel_llm.testing.wire import Answer, Route, answer_json, event, stream

_WHEN = "2026-06-01T12:00:00Z"
_EMPTY = ("queued", "in_progress", "cancelled", "failed")


def headers(request: Request) -> dict[str, str]:
    """Headers of every answer."""
    return {"x-request-id": f"interaction-request-{request.number}"}


def interactions(request: Request, reply: Reply) -> Answer:
    """``POST interactions``, ``GET interactions/…`` and ``POST interactions/…/cancel``, plain or streamed."""
    state = reply.state or _usual_state(request, reply)
    steps = [] if state in _EMPTY else list(_steps(request, reply))
    whole = _interaction(request, reply, state, steps)
    if not request.stream:
        return answer_json(whole, headers=headers(request))
    events = [event(each, each["event_type"]) for each in _events(request, reply, whole, steps)]
    fault = {"event_type": "error", "error": {"code": "internal", "message": reply.error or "It failed."}}
    return stream(events, reply, event(fault, "error"), headers(request))


def _usual_state(request: Request, reply: Reply) -> str:
    if request.operation == "interactions.cancel":
        return "cancelled"
    if request.body.get("background") and not request.stream:
        return "in_progress"
    if reply.finish == "length":
        return "incomplete"
    return "requires_action" if reply.tool_calls else "completed"


def _older(request: Request) -> bool:
    """Whether an SDK asks that knows contents only, and no steps."""
    return request.headers.get("x-goog-api-client", "").startswith("google-genai-sdk/1.")


def _interaction(request: Request, reply: Reply, state: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    agent = request.body.get("agent")
    whole: dict[str, Any] = {
        "id": request.groups.get("id") or f"interaction-{request.number:08d}",
        "object": "interaction",
        "created": _WHEN,
        "updated": _WHEN,
        "status": state,
        **({"agent": agent} if agent else {"model": reply.model or request.model or "gemini-2.5-flash"}),
    }
    if state not in ("queued", "in_progress"):
        whole["outputs" if _older(request) else "steps"] = steps
        if reply.report_usage:
            whole["usage"] = usage(reply.usage_for(request))
    return whole | dict(reply.extra)


def usage(counts: Usage) -> dict[str, Any]:
    """The usage of an interaction."""
    return {
        "total_input_tokens": counts.input - counts.tool_use,
        "input_tokens_by_modality": _modalities(counts.input_modalities or {"text": counts.input - counts.tool_use}),
        "total_cached_tokens": counts.cached,
        "total_output_tokens": counts.output - counts.reasoning,
        "output_tokens_by_modality": _modalities(counts.output_modalities),
        "total_tool_use_tokens": counts.tool_use,
        "total_thought_tokens": counts.reasoning,
        "total_tokens": counts.input + counts.output,
    }


def _modalities(counts: Any) -> list[dict[str, Any]]:
    return [{"modality": name, "tokens": count} for name, count in counts.items()]


def _steps(request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    older = _older(request)
    if reply.thinking:
        yield {"type": "thought", "signature": "c2ln", "summary": [{"type": "text", "text": reply.thinking}]}
    yield from (dict(item) for item in reply.items)
    if reply.text:
        text = {"type": "text", "text": reply.text}
        yield text if older else {"type": "model_output", "content": [text]}
    for index, call in enumerate(reply.tool_calls):
        yield {
            "type": "function_call",
            "id": call.id or f"call_{index}",
            "name": call.name,
            "arguments": dict(call.arguments),
        }


def _events(
    request: Request, reply: Reply, whole: dict[str, Any], steps: list[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    what = "content" if _older(request) else "step"
    kept = {"outputs", "steps", "usage"}
    begun = {name: value for name, value in whole.items() if name not in kept} | {"status": "in_progress"}
    yield {"event_type": "interaction.start" if _older(request) else "interaction.created", "interaction": begun}
    for index, step in enumerate(steps):
        yield {"event_type": f"{what}.start", "index": index, what: _empty(step)}
        for delta in _deltas(step, reply, _older(request)):
            yield {"event_type": f"{what}.delta", "index": index, "delta": delta}
        yield {"event_type": f"{what}.stop", "index": index}
    done = {name: value for name, value in whole.items() if name not in ("outputs", "steps")}
    yield {"event_type": "interaction.complete" if _older(request) else "interaction.completed", "interaction": done}


def _empty(step: dict[str, Any]) -> dict[str, Any]:
    """A step before its pieces have come."""
    if step["type"] == "text":
        return {"type": "text", "text": ""}
    if step["type"] == "function_call":
        return step | {"arguments": {}}
    return {name: value for name, value in step.items() if name not in ("content", "summary")}


def _deltas(step: dict[str, Any], reply: Reply, older: bool) -> Iterator[dict[str, Any]]:
    if step["type"] == "thought":
        for content in step["summary"]:
            yield {"type": "thought_summary", "content": content}
    elif step["type"] == "function_call" and older:
        yield step
    elif step["type"] == "function_call":
        for piece in split(json.dumps(step["arguments"]), reply.chunks):
            yield {"type": "arguments_delta", "arguments": piece}
    elif step["type"] in ("model_output", "text"):
        for piece in reply.pieces():
            yield {"type": "text", "text": piece}


def decisions(request: Request, reply: Reply) -> Answer:
    """``POST decisions``: every question is answered by its first choice."""
    answers = {
        name: {"type": "choice", "choice": next(iter(question["criteria"])), "confidence": 0.9, "probabilities": {}}
        for name, question in request.body.get("questions", {}).items()
    }
    return answer_json({"answers": answers, "usage": usage(reply.usage_for(request))}, headers=headers(request))


def agents(request: Request, reply: Reply) -> Answer:
    """``POST agents``."""
    return answer_json({"id": "agent-1", **request.body}, headers=headers(request))


def voices(request: Request, reply: Reply) -> Answer:
    """``POST voices``."""
    return answer_json({"type": "prompted", "id": "voice-1", "usage": usage(reply.usage_for(request))})


def run(request: Request, reply: Reply) -> Answer:
    """``POST triggers/…/executions``: an interaction of an agent begins."""
    body = {"id": "execution-1", "trigger_id": request.groups["id"], "interaction_id": "interaction-run",
            "status": reply.state or "in_progress"}  # fmt: skip
    return answer_json(body, headers=headers(request))


def error(request: Request, reply: Reply) -> Answer:
    """An error in place of an answer."""
    return answer_json(error_body(reply.status, reply.error), reply.status, headers(request))


_ONE = r"/interactions/(?P<id>[^/:]+)"

ROUTES: Sequence[Route] = (
    ("POST", re.compile(r"/interactions$"), "interactions", interactions),
    ("GET", re.compile(f"{_ONE}$"), "interactions.get", interactions),
    ("POST", re.compile(f"{_ONE}/cancel$"), "interactions.cancel", interactions),
    ("POST", re.compile(r"/decisions$"), "decisions", decisions),
    ("POST", re.compile(r"/agents$"), "agents", agents),
    ("POST", re.compile(r"/voices$"), "voices", voices),
    ("POST", re.compile(r"/triggers/(?P<id>[^/:]+)/executions$"), "triggers.run", run),
)
