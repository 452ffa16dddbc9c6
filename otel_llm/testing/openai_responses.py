"""OpenAI's Responses API: one JSON object, or the full sequence of typed events; work in the background."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from otel_llm.testing.openai_wire import error_body, headers
from otel_llm.testing.script import Reply, Request, Usage, split
from otel_llm.testing.wire import EPOCH, Answer, answer_json, event, stream

_INCOMPLETE = {"length": "max_output_tokens", "blocked": "content_filter"}


#: States of work in the background before it is finished, and after it was given up.
_WAITING = ("queued", "in_progress")
_EMPTY = (*_WAITING, "failed", "cancelled")


def responses(request: Request, reply: Reply) -> Answer:
    """``POST /responses``, ``GET /responses/{id}`` and its ``/cancel``, plain or streamed."""
    state = reply.state or _usual_state(request)
    final = _response(request, reply, [] if state in _EMPTY else list(_items(request, reply)), state)
    if not request.stream:
        return answer_json(final, headers=headers(request))
    after = int(request.query.get("starting_after", "-1"))
    numbered = [
        event({"type": name, "sequence_number": number, **fields}, name)
        for number, (name, fields) in enumerate(_events(final, reply))
        if number > after
    ]
    return stream(numbered, reply, _failure(request, reply, final), headers(request))


def compact(request: Request, reply: Reply) -> Answer:
    """``POST /responses/compact``."""
    output = {"id": f"cmp_{request.number:08d}", "type": "compaction", "encrypted_content": "gAAAAA=="}
    body = {
        "id": f"resp_{request.number:08d}",
        "object": "response.compaction",
        "created_at": EPOCH + request.number,
        "output": [output],
        "usage": usage(reply.usage_for(request)),
    }
    return answer_json(body, headers=headers(request))


def count(request: Request, reply: Reply) -> Answer:
    """``POST /responses/input_tokens``."""
    body = {"object": "response.input_tokens", "input_tokens": reply.usage_for(request).input}
    return answer_json(body, headers=headers(request))


def _usual_state(request: Request) -> str:
    if request.operation == "responses.cancel":
        return "cancelled"
    return "queued" if request.body.get("background") and not request.stream else ""


def usage(counts: Usage) -> dict[str, Any]:
    """``ResponseUsage``."""
    return {
        "input_tokens": counts.input,
        "input_tokens_details": {"cached_tokens": counts.cached, "cache_write_tokens": counts.cache_write},
        "output_tokens": counts.output,
        "output_tokens_details": {"reasoning_tokens": counts.reasoning},
        "total_tokens": counts.input + counts.output,
    }


def _response(request: Request, reply: Reply, output: list[dict[str, Any]], state: str) -> dict[str, Any]:
    body = request.body
    reason = _INCOMPLETE.get(reply.finish)
    return {
        "id": request.groups.get("id") or f"resp_{request.number:08d}",
        "object": "response",
        "created_at": EPOCH + request.number,
        "status": state or ("incomplete" if reason else "completed"),
        "background": bool(body.get("background")),
        "error": {"code": reply.error_code or "server_error", "message": reply.error} if state == "failed" else None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": reply.model or request.model or "gpt-5-mini",
        "output": output,
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": (body.get("reasoning") or {}).get("effort"), "summary": None},
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": usage(reply.usage_for(request)) if reply.report_usage and state not in _EMPTY else None,
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def _items(request: Request, reply: Reply) -> Iterator[dict[str, Any]]:
    yield from (dict(item) for item in reply.items)
    if reply.thinking or reply.usage_for(request).reasoning:
        summary = [{"type": "summary_text", "text": reply.thinking}] if reply.thinking else []
        yield {"id": f"rs_{request.number:08d}", "type": "reasoning", "summary": summary}
    if reply.refusal or reply.text or not reply.tool_calls:
        content: dict[str, Any] = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.refusal:
            content = {"type": "refusal", "refusal": reply.refusal}
        status = "incomplete" if reply.finish in _INCOMPLETE else "completed"
        yield {
            "id": f"msg_{request.number:08d}",
            "type": "message",
            "status": status,
            "content": [content],
            "role": "assistant",
        }
    for index, call in enumerate(reply.tool_calls):
        yield {
            "id": f"fc_{request.number:08d}_{index}",
            "type": "function_call",
            "status": "completed",
            "arguments": json.dumps(dict(call.arguments)),
            "call_id": call.id or f"call_{index}",
            "name": call.name,
        }


_Event = tuple[str, dict[str, Any]]


def _events(final: dict[str, Any], reply: Reply) -> Iterator[_Event]:
    begun = {**final, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    for index, item in enumerate(final["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        yield "response.output_item.added", {"output_index": index, "item": _empty(item)}
        if item["type"] == "message":
            yield from _content_events(at, item["content"][0], reply)
        elif item["type"] == "function_call":
            for piece in split(item["arguments"], reply.chunks):
                yield "response.function_call_arguments.delta", {**at, "delta": piece}
            done = {"name": item["name"], "arguments": item["arguments"]}
            yield "response.function_call_arguments.done", {**at, **done}
        elif item["type"] == "reasoning":
            yield from _summary_events(at, item["summary"], reply)
        yield "response.output_item.done", {"output_index": index, "item": item}
    yield f"response.{final['status']}", {"response": final}


def _content_events(at: dict[str, Any], content: dict[str, Any], reply: Reply) -> Iterator[_Event]:
    at = {**at, "content_index": 0}
    refused = content["type"] == "refusal"
    empty = {**content, "refusal" if refused else "text": ""}
    yield "response.content_part.added", {**at, "part": empty}
    if refused:
        for piece in split(content["refusal"], reply.chunks):
            yield "response.refusal.delta", {**at, "delta": piece}
        yield "response.refusal.done", {**at, "refusal": content["refusal"]}
    else:
        for piece in reply.pieces():
            yield "response.output_text.delta", {**at, "delta": piece, "logprobs": []}
        yield "response.output_text.done", {**at, "text": content["text"], "logprobs": []}
    yield "response.content_part.done", {**at, "part": content}


def _summary_events(at: dict[str, Any], summary: list[dict[str, Any]], reply: Reply) -> Iterator[_Event]:
    for index, part in enumerate(summary):
        here = {**at, "summary_index": index}
        yield "response.reasoning_summary_part.added", {**here, "part": {"type": "summary_text", "text": ""}}
        for piece in split(part["text"], reply.chunks):
            yield "response.reasoning_summary_text.delta", {**here, "delta": piece}
        yield "response.reasoning_summary_text.done", {**here, "text": part["text"]}
        yield "response.reasoning_summary_part.done", {**here, "part": part}


def _empty(item: dict[str, Any]) -> dict[str, Any]:
    """An item as it stands when it is announced."""
    emptied: dict[str, dict[str, Any]] = {
        "message": {"content": []},
        "function_call": {"arguments": ""},
        "reasoning": {"summary": []},
    }
    started: dict[str, Any] = {"status": "in_progress"} if "status" in item else {}
    return {**item, **started, **emptied.get(item["type"], {})}


def _failure(request: Request, reply: Reply, final: dict[str, Any]) -> bytes:
    number = reply.fail_after or 0
    details = error_body(500, reply.error, reply.error_code or "server_error")
    if reply.failure != "failed":
        return event({"type": "error", "sequence_number": number, "error": details}, "error")
    failed = {
        **final,
        "status": "failed",
        "output": [],
        "usage": None,
        "error": {"code": details["code"], "message": details["message"]},
    }
    return event({"type": "response.failed", "sequence_number": number, "response": failed}, "response.failed")
