"""OpenAI's endpoints for agents that it keeps: agents and their sessions, assistants and their runs.

A run's usage is known when it is finished, to whoever asks then; a session's with each of its turns.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from otel_llm import attributes as a
from otel_llm.messages import Message, message, text_part
from otel_llm.provider import Endpoint, Params, Sent, get
from otel_llm.providers import openai_items as items
from otel_llm.providers.openai_messages import chat, content_parts, listed, sent, tool_definitions
from otel_llm.providers.openai_shared import IDENTITY, USAGE, failure, pair

_SAMPLING = {
    "temperature": a.TEMPERATURE,
    "top_p": a.TOP_P,
    "reasoning_effort": a.REASONING_LEVEL,
    "max_completion_tokens": a.MAX_TOKENS,
    "name": a.AGENT_NAME,
    "assistant_id": a.AGENT_ID,
    "thread_id": a.CONVERSATION_ID,
    "run_id": a.RESPONSE_ID,
}
_WRITTEN = frozenset(
    {
        "instructions",
        "additional_instructions",
        "additional_messages",
        "tools",
        "thread",
        "input",
        "agent",
        "events",
        "reasoning",
    }
)


class RunFold:
    """Events of an assistant's run: the run as it was last, and the texts that came."""

    __slots__ = ("_run", "_text")

    def __init__(self) -> None:
        self._run: Any = None
        self._text: list[str] = []

    def add(self, event: Any) -> None:
        """Takes an event in."""
        kind, data = event.event, event.data
        if kind == "thread.message.delta":
            for block in data.delta.content or ():
                self._text.append(get(get(block, "text"), "value") or "")
        elif kind.startswith("thread.run.") and not kind.startswith("thread.run.step."):
            self._run = data

    def response(self) -> SimpleNamespace:
        """The run so far."""
        names = ("id", "model", "status", "usage", "thread_id", "assistant_id", "last_error")
        return SimpleNamespace(text="".join(self._text), **{name: get(self._run, name) for name in names})


class SessionFold:
    """Events of an agent's session: its turns that ended, whose usage adds up, and what the agent said."""

    __slots__ = ("_agent", "_failed", "_items", "_session", "_text", "_usage")

    def __init__(self) -> None:
        self._session: Any = None
        self._agent: Any = None
        self._failed: Any = None
        self._items: list[Any] = []
        self._text: list[str] = []
        self._usage: dict[str, Any] = {}

    def add(self, event: Any) -> None:
        """Takes an event in."""
        kind = event.type
        if kind == "agent.session.turn.output_text.delta":
            self._text.append(event.delta)
        elif kind == "agent.session.turn.item.done":
            self._items.append(event.item)
            self._text.clear()
        elif kind in ("agent.session.turn.completed", "agent.session.turn.failed", "agent.session.turn.cancelled"):
            turn = event.turn
            self._agent = get(turn, "agent_id") or self._agent
            self._failed = turn if get(turn, "status") == "failed" else self._failed
            if get(turn, "usage") is not None:
                self._usage[event.turn_id] = turn.usage
        elif (session := get(event, "session")) is not None:
            self._session = session

    def response(self) -> SimpleNamespace:
        """The session so far."""
        rest = SimpleNamespace(type="message", content=[SimpleNamespace(type="output_text", text="".join(self._text))])
        return SimpleNamespace(
            id=get(self._session, "id"),
            agent=get(self._session, "agent") or SimpleNamespace(id=self._agent),
            status="failed" if self._failed is not None else get(self._session, "status"),
            error=get(self._failed, "error"),
            usage=self._added(),
            output=[*self._items, *([rest] if self._text else [])],
        )

    def _added(self) -> SimpleNamespace | None:
        used = list(self._usage.values())
        if not used:
            return None

        def add(*path: str) -> int:
            total = 0
            for usage in used:
                for step in path:
                    usage = get(usage, step)
                total += usage or 0
            return total

        return SimpleNamespace(
            input_tokens=add("input_tokens"),
            output_tokens=add("output_tokens"),
            total_tokens=add("total_tokens"),
            input_tokens_details=SimpleNamespace(cached_tokens=add("input_tokens_details", "cached_tokens")),
            output_tokens_details=SimpleNamespace(reasoning_tokens=add("output_tokens_details", "reasoning_tokens")),
        )


def _instructions(params: Params) -> list[Message]:
    said = [params.get(name) for name in ("instructions", "additional_instructions")]
    return [message("system", [text_part(text)]) for text in said if isinstance(text, str)]


def _run_request(params: Params) -> Sent:
    """What a run is given beside its thread."""
    messages = params.get("additional_messages") or get(params.get("thread"), "messages")
    return Sent(_instructions(params), chat({"messages": messages}).messages)


def _tool_outputs(params: Params) -> Sent:
    def read(given: Any) -> Message:
        part = {"type": "tool_call_response", "response": get(given, "output"), "id": get(given, "tool_call_id")}
        return message("tool", [part])

    return sent(listed(params.get("tool_outputs")), read, [])


def _run_output(run: Any) -> list[Message]:
    text = get(run, "text")
    return [message("assistant", [text_part(text)])] if isinstance(text, str) and text else []


def _run_unfinished(run: Any) -> str | None:
    waiting = ("queued", "in_progress", "requires_action", "cancelling")
    return str(get(run, "id")) if get(run, "status") in waiting else None


def _session_request(params: Params) -> Sent:
    given = params.get("input")
    agent = params.get("agent")
    instructions = params.get("instructions") or get(agent, "instructions")
    found = items.request({"input": given, "instructions": instructions})
    for event in listed(params.get("events")):
        found.messages.extend(items.request({"input": get(event, "input")}).messages)
    return found


def _session_output(session: Any) -> list[Message]:
    said = [item for item in listed(get(session, "output")) if get(item, "type") in ("message", "assistant_message")]
    parts = [part for item in said for part in content_parts(get(item, "content"))]
    return [message("assistant", parts)] if parts else []


def _agent_request(params: Params) -> Mapping[a.Attribute, Any]:
    effort = get(params.get("reasoning"), "effort")
    return {a.REASONING_LEVEL: effort} if isinstance(effort, str) else {}


def _run(module: str, method: str, *positional: str, **described: Any) -> Endpoint:
    """What starts a run, drives it on, or asks how it stands."""
    described.setdefault("operation", "invoke_agent")
    described.setdefault("messages", _run_request)
    return pair(
        f"beta.threads.{module}",
        method,
        subject="",
        positional=positional,
        optional=True,
        parameters=_SAMPLING,
        unrecorded=_WRITTEN | {"tool_outputs", "include"},
        paths={
            **IDENTITY,
            a.RESPONSE_STATUS: "status",
            a.CONVERSATION_ID: "thread_id",
            a.AGENT_ID: "assistant_id",
            a.INPUT_TOKENS: "usage.prompt_tokens",
            a.OUTPUT_TOKENS: "usage.completion_tokens",
            a.REPORTED_TOTAL_TOKENS: "usage.total_tokens",
        },
        tool_definitions=tool_definitions,
        output_messages=_run_output,
        details=failure,
        unfinished=_run_unfinished,
        **described,
    )


def _session(module: str, method: str, *positional: str, **described: Any) -> Endpoint:
    return pair(
        f"beta.agents.{module}",
        method,
        subject="",
        optional=True,
        positional=positional,
        unrecorded=_WRITTEN | {"environment", "output_type", "tool_handlers", "vault_ids", "idempotency_key"},
        **described,
    )


def _of_a_run(params: Params) -> str | None:
    return str(params.get("run_id"))


def _made(module: str, method: str) -> Endpoint:
    return pair(
        module,
        method,
        operation="create_agent",
        subject="name",
        optional=True,
        streamed=False,
        constants={a.COST_STATUS: "free"},
        parameters=_SAMPLING,
        unrecorded=_WRITTEN,
        paths={a.AGENT_ID: "id", a.PROVIDER_REQUEST_ID: "_request_id"},
        messages=lambda params: Sent(_instructions(params), []),
        tool_definitions=tool_definitions,
        details_of_request=_agent_request,
    )


_SESSION = {
    **USAGE,
    a.CONVERSATION_ID: "id",
    a.AGENT_ID: "agent.id",
    a.RESPONSE_MODEL: "agent.model",
    a.PROVIDER_REQUEST_ID: "_request_id",
}

ENDPOINTS = (
    _made("beta.assistants", "Assistants.create"),
    _made("beta.agents.agents", "Agents.create"),
    _run("runs.runs", "Runs.create", "thread_id", fold=RunFold),
    _run("threads", "Threads.create_and_run", fold=RunFold),
    _run(
        "runs.runs", "Runs.submit_tool_outputs", "run_id", fold=RunFold, messages=_tool_outputs, follows=_of_a_run,
    ),
    _run(
        "runs.runs", "Runs.retrieve", "run_id", operation="fetch_response", streamed=False, follows=_of_a_run,
        constants={a.COST_STATUS: "free"},
    ),
    _run(
        "runs.runs", "Runs.cancel", "run_id", operation="cancel_response", streamed=False, follows=_of_a_run,
        constants={a.COST_STATUS: "free"},
    ),
    _session(
        "sessions.sessions", "Sessions.create", operation="invoke_agent", fold=SessionFold,
        parameters={"agent_id": a.AGENT_ID}, paths=_SESSION, details=failure, messages=_session_request,
        output_messages=_session_output,
    ),
    _session(
        "sessions.events", "Events.create", "session_id", operation="invoke_agent", streamed=False,
        parameters={"session_id": a.CONVERSATION_ID}, messages=_session_request,
    ),
    _session(
        "sessions.events", "Events.stream", "session_id", operation="fetch_response", streamed=True, fold=SessionFold,
        parameters={"session_id": a.CONVERSATION_ID}, paths=_SESSION, details=failure,
        output_messages=_session_output,
    ),
    _session(
        "automations.invocations", "Invocations.create", "automation_id", operation="invoke_agent", streamed=False,
        paths={a.RESPONSE_ID: "id", a.CONVERSATION_ID: "session_id", a.PROVIDER_REQUEST_ID: "_request_id"},
        details=failure,
    ),
)  # fmt: skip
