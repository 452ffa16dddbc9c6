"""The scripted provider's part in the demo: it knows the dialogue, and has its bad moments."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from otel_llm.testing import Reply, Request, ToolCall, Usage, default_reply
from otel_llm_demo.dialogue import VISITS, Turn, Visit

#: What a prompt begins with says what is wanted; see the folder ``prompts``.
_STEPS = {
    "Extract the topics": "topics",
    "Classify what the reader wants": "intent",
    "Ask one short question back": "clarify",
    "Rewrite the reader's question": "rewrite",
    "Gather what the passages say": "synthesize",
    "Answer the reader": "answer",
    "Write a short classroom script": "lesson",
    "Say how the reader may feel": "tone",
    "Sum up the reader's visit": "summary",
}
#: Models answer under their dated or current name.
_ANSWERING = {"gemini-flash-latest": "gemini-3.8-flash", "gpt-5.4-mini": "gpt-5.4-mini-2026-03-17"}
#: Seconds that a provider thinks before it answers, by step.
_DELAYS = {"topics": 0.06, "intent": 0.03, "rewrite": 0.05, "synthesize": 0.12, "answer": 0.04, "lesson": 0.05}


class DemoScript:
    """A script for :class:`otel_llm.testing.ScriptedProvider`."""

    def __init__(self) -> None:
        self._asked: Counter[tuple[str, str]] = Counter()

    def __call__(self, request: Request) -> Reply:
        """The reply to a request of one of the services."""
        if request.operation == "embeddings":
            return Reply(delay=0.015)
        text = request.text
        step = next((name for start, name in _STEPS.items() if start in text), "")
        visit, turn = _find(text, step)
        if visit is None or turn is None:
            return default_reply(request)
        self._asked[turn.question, step] += 1
        bad = self._bad_moment(turn, step)
        reply = bad or self._reply(step, visit, turn, request)
        return replace(reply, model=_ANSWERING.get(request.model, ""), delay=_DELAYS.get(step, 0.03))

    def _bad_moment(self, turn: Turn, step: str) -> Reply | None:
        """Too many requests, a server error, a block and a stream that breaks: each once."""
        first = self._asked[turn.question, step] == 1
        if step == "rewrite" and "entangled bank" in turn.question and first:
            return Reply(status=429, retry_after=0.05)
        if step == "topics" and "entangled bank" in turn.question and first:
            return Reply(status=500)
        if step == "topics" and turn.intent == "harm":
            return Reply(finish="prompt_blocked", block_reason="PROHIBITED_CONTENT")
        if step == "answer" and turn.intent == "comparison" and first:
            return Reply(turn.answer, chunks=8, fail_after=3, chunk_delay=0.01, error="The model is overloaded.")
        return None

    def _reply(self, step: str, visit: Visit, turn: Turn, request: Request) -> Reply:
        replies: Mapping[str, Callable[[], Reply]] = {
            "topics": lambda: _thinking(request, json.dumps({"topics": turn.topics, "confidence": turn.confidence})),
            "intent": lambda: Reply(turn.intent),
            "clarify": lambda: Reply(turn.answer),
            "rewrite": lambda: Reply(json.dumps({"query": turn.query})),
            "synthesize": lambda: _thinking(request, turn.findings, cached=True),
            "answer": lambda: _answer(turn, request),
            "lesson": lambda: _thinking(request, turn.answer),
            "tone": lambda: Reply("disappointed"),
            "summary": lambda: Reply(visit.summary),
        }
        return replies[step]()


def _answer(turn: Turn, request: Request) -> Reply:
    if turn.style == "tools" and not any(message.get("role") == "tool" for message in request.body["messages"]):
        return Reply(tool_calls=[ToolCall("subtract", {"number": 1863, "less": 87}, id="call_score")])
    return Reply(turn.answer, chunks=8, chunk_delay=0.01)


def _thinking(request: Request, text: str, cached: bool = False) -> Reply:
    """A reply with thoughts that are counted and not shown; half of a long prompt may come from the cache."""
    reply = Reply(text, chunks=6, chunk_delay=0.01)
    plain = reply.usage_for(request)
    thoughts = 24 + len(text) % 40
    saved = plain.input // 2 if cached else 0
    return replace(reply, usage=Usage(plain.input, plain.output + thoughts, cached=saved, reasoning=thoughts))


def _find(text: str, step: str) -> tuple[Visit | None, Turn | None]:
    """The turn whose question is in the text; of several (a summary has them all) the last of its visit."""
    for visit in VISITS:
        for turn in reversed(visit.turns):
            if step and turn.question in text:
                return visit, turn
    return None, None
