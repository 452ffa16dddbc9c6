"""OpenAI's wire formats for what is kept and what is done in bulk: batches, conversations, searches, runs, agents.

``reply.state`` is how it stands; ``reply.extra`` adds fields to any of it.
"""

from __future__ import annotations

from typing import Any

from otel_llm.testing.openai_responses import usage as response_usage
from otel_llm.testing.openai_wire import error_body, headers
from otel_llm.testing.script import Reply, Request
from otel_llm.testing.wire import EPOCH, Answer, answer_json, event, stream


def _id(request: Request, prefix: str) -> str:
    return request.groups.get("id") or f"{prefix}_{request.number:08d}"


def _answer(request: Request, reply: Reply, body: dict[str, Any]) -> Answer:
    return answer_json(body | dict(reply.extra), headers=headers(request))


def batch(request: Request, reply: Reply) -> Answer:
    """``POST /batches``, ``GET /batches/{id}`` and its ``/cancel``."""
    usual = {"batches": "validating", "batches.retrieve": "completed", "batches.cancel": "cancelling"}
    state = reply.state or usual[request.operation]
    done = state == "completed"
    body: dict[str, Any] = {
        "id": _id(request, "batch"),
        "object": "batch",
        "endpoint": request.body.get("endpoint") or "/v1/responses",
        "input_file_id": request.body.get("input_file_id") or "file-1",
        "completion_window": "24h",
        "created_at": EPOCH + request.number,
        "status": state,
        "request_counts": {"total": 3, "completed": 2, "failed": 1}
        if done
        else {"total": 0, "completed": 0, "failed": 0},
        "model": reply.model or "gpt-5-mini",
        "usage": response_usage(reply.usage_for(request)) if done and reply.report_usage else None,
        "errors": None,
    }
    return _answer(request, reply, body)


def conversation(request: Request, reply: Reply) -> Answer:
    """``POST /conversations``."""
    body = {"id": _id(request, "conv"), "object": "conversation", "created_at": EPOCH + request.number, "metadata": {}}
    return _answer(request, reply, body)


def items(request: Request, reply: Reply) -> Answer:
    """``POST /conversations/{id}/items``."""
    given = [{"id": f"msg_{index}", "status": "completed", **item} for index, item in enumerate(request.body["items"])]
    body = {"object": "list", "data": given, "first_id": "msg_0", "last_id": "msg_0", "has_more": False}
    return _answer(request, reply, body)


def decision(request: Request, reply: Reply) -> Answer:
    """``POST /decisions``: the answer to every question is yes."""
    answers = [
        {"type": "predicate", "name": question.get("name"), "probability": 0.9}
        for question in request.body.get("questions", [])
    ]
    counts = response_usage(reply.usage_for(request))
    return _answer(request, reply, {"answers": answers, "model": request.model, "usage": counts})


def search(request: Request, reply: Reply) -> Answer:
    """``POST /vector_stores/{id}/search``."""
    found = {
        "file_id": "file-1",
        "filename": "flames.txt",
        "score": 0.87,
        "attributes": {},
        "content": [{"type": "text", "text": reply.text}],
    }
    body: dict[str, Any] = {
        "object": "vector_store.search_results.page",
        "search_query": [request.body.get("query")],
        "data": [found],
        "has_more": False,
        "next_page": None,
    }
    return _answer(request, reply, body)


def indexed(request: Request, reply: Reply) -> Answer:
    """``POST /vector_stores/{id}/files`` and ``/file_batches``."""
    body = {
        "id": _id(request, "vsf"),
        "vector_store_id": request.groups["store"],
        "status": reply.state or "in_progress",
    }
    return _answer(request, reply, body | {"created_at": EPOCH + request.number})


def job(request: Request, reply: Reply) -> Answer:
    """``POST /fine_tuning/jobs`` and what is done with one."""
    state = reply.state or ("cancelled" if request.operation.endswith("cancel") else "validating_files")
    body: dict[str, Any] = {
        "id": _id(request, "ftjob"),
        "object": "fine_tuning.job",
        "created_at": EPOCH + request.number,
        "model": request.model or "gpt-4.1-mini",
        "organization_id": "org-1",
        "result_files": [],
        "seed": 1,
        "status": state,
        "training_file": request.body.get("training_file") or "file-1",
        "hyperparameters": {},
    }
    return _answer(request, reply, body)


def grade(request: Request, reply: Reply) -> Answer:
    """``POST /fine_tuning/alpha/graders/run``."""
    body = {"reward": 1.0, "sub_rewards": {}, "metadata": {}, "model_grader_token_usage_per_model": {}}
    return _answer(request, reply, body)


def evaluation(request: Request, reply: Reply) -> Answer:
    """``POST /evals/{id}/runs``, ``GET …/{run}`` and its ``/cancel``."""
    usual = {"evals": "queued", "evals.retrieve": "completed", "evals.cancel": "canceled"}
    state = reply.state or usual[request.operation]
    counts = reply.usage_for(request)
    used = {
        "model_name": "gpt-5-mini",
        "invocation_count": 3,
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "cached_tokens": counts.cached,
        "total_tokens": counts.input + counts.output,
    }
    body: dict[str, Any] = {
        "id": _id(request, "evalrun"),
        "object": "eval.run",
        "eval_id": request.groups["eval"],
        "created_at": EPOCH + request.number,
        "model": "gpt-5-mini",
        "name": "run",
        "status": state,
        "per_model_usage": [used] if state == "completed" else [],
        "per_testing_criteria_results": [],
        "result_counts": {"total": 3, "errored": 0, "failed": 1, "passed": 2},
        "report_url": "https://example.org",
        "data_source": {"type": "jsonl", "source": {"type": "file_id", "id": "file-1"}},
        "error": None,
        "metadata": {},
    }
    return _answer(request, reply, body)


def agent(request: Request, reply: Reply) -> Answer:
    """``POST /assistants`` and ``POST /agents``."""
    prefix, kind = ("asst", "assistant") if request.operation == "assistants" else ("agent", "agent")
    body: dict[str, Any] = {
        "id": _id(request, prefix),
        "object": kind,
        "created_at": EPOCH + request.number,
        "updated_at": EPOCH + request.number,
        "model": request.model,
        "name": request.body.get("name"),
        "instructions": request.body.get("instructions"),
        "tools": [],
        "metadata": {},
    }
    return _answer(request, reply, body)


def run(request: Request, reply: Reply) -> Answer:
    """``POST /threads/{id}/runs`` and what drives a run on or asks for it, plain or streamed."""
    usual = {"runs.retrieve": "completed", "runs.cancel": "cancelling"}
    state = reply.state or ("completed" if request.stream else usual.get(request.operation, "queued"))
    counts = reply.usage_for(request)
    used = {
        "prompt_tokens": counts.input,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.output,
    }
    body: dict[str, Any] = {
        "id": _id(request, "run"),
        "object": "thread.run",
        "created_at": EPOCH + request.number,
        "assistant_id": request.body.get("assistant_id") or "asst_1",
        "thread_id": request.groups.get("thread") or "thread_1",
        "model": request.model or "gpt-5-mini",
        "status": state,
        "instructions": "",
        "tools": [],
        "usage": used if state == "completed" else None,
        "last_error": {"code": "server_error", "message": reply.error} if state == "failed" else None,
    }
    if not request.stream:
        return _answer(request, reply, body)
    events = [_event("thread.run.created", body | {"status": "queued", "usage": None})]
    for piece in reply.pieces():
        delta = {"content": [{"index": 0, "type": "text", "text": {"value": piece}}]}
        events.append(_event("thread.message.delta", {"id": "msg_1", "object": "thread.message.delta", "delta": delta}))
    events += [_event(f"thread.run.{state}", body), b"event: done\ndata: [DONE]\n\n"]
    return stream(events, reply, event({"error": error_body(500, reply.error)}, "error"), headers(request))


def _event(name: str, data: dict[str, Any]) -> bytes:
    return event(data, name)


def session(request: Request, reply: Reply) -> Answer:
    """``POST /agents/sessions``, ``GET /agents/sessions/{id}``, and the events of one."""
    id = _id(request, "as")
    body: dict[str, Any] = {
        "id": id,
        "object": "agent.session",
        "created_at": EPOCH + request.number,
        "last_active_at": EPOCH + request.number,
        "agent": {"id": request.body.get("agent_id") or "agent_1", "model": "gpt-5-mini", "tools": []},
        "environment": {"type": "none"},
        "status": reply.state or "idle",
        "required_actions": [],
        "vault_ids": [],
        "metadata": {},
        "error": None,
    }
    if not request.stream and request.operation != "agents.events":
        return _answer(request, reply, body)
    turn = {
        "id": "turn_1",
        "object": "agent.session.turn",
        "agent_id": "agent_1",
        "session_id": id,
        "created_at": EPOCH,
    }
    used = response_usage(reply.usage_for(request))
    said = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": reply.text}],
    }
    told: list[tuple[str, dict[str, Any]]] = [
        ("turn.created", {"turn_id": "turn_1", "turn": turn | {"status": "in_progress"}}),
        *(
            ("turn.output_text.delta", {"turn_id": "turn_1", "item_id": "msg_1", "output_index": 0, "delta": piece})
            for piece in reply.pieces()
        ),
        ("turn.item.done", {"turn_id": "turn_1", "output_index": 0, "item": said}),
        ("turn.completed", {"turn_id": "turn_1", "turn": turn | {"status": "completed", "usage": used}}),
        ("idle", {"session": body}),
    ]
    events = [
        event({"type": f"agent.session.{name}", "event_id": f"evt_{number}", "session_id": id, **fields})
        for number, (name, fields) in enumerate(told)
    ]
    return stream(events, reply, event({"error": error_body(500, reply.error)}, "error"), headers(request))


def accepted(request: Request, reply: Reply) -> Answer:
    """``POST /agents/sessions/{id}/events``: nothing is said."""
    return Answer(202, b"", headers=headers(request))


def invocation(request: Request, reply: Reply) -> Answer:
    """``POST /agents/automations/{id}/invocations``."""
    body: dict[str, Any] = {
        "id": f"inv_{request.number:08d}",
        "object": "agent.automation.invocation",
        "automation_id": request.groups["id"],
        "created_at": EPOCH + request.number,
        "source": {"type": "manual"},
        "status": reply.state or "queued",
        "session_id": "as_1",
    }
    return _answer(request, reply, body)


def anything(request: Request, reply: Reply) -> Answer:
    """What has an id and little else."""
    return _answer(request, reply, {"id": _id(request, "obj"), "created_at": EPOCH + request.number})
