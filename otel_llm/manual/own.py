"""A call that the application records itself: what it asks for, and what goes on inside it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.trace import Span, set_span_in_context

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.context import context
from otel_llm.guardrails import Guardrails
from otel_llm.invocation import Invocation, Place, active
from otel_llm.manual import shapes
from otel_llm.manual.parents import context_below, links_to
from otel_llm.prompts import Prompt, Use
from otel_llm.provider import Endpoint, Params, Server
from otel_llm.scope import Scope

#: Operations that ask a model for an answer; a call of one kind may be made by an SDK in another's words.
_ANSWERS = frozenset({"chat", "generate_content", "text_completion"})

_ERROR, _MODEL = a.ERROR_TYPE.name, a.REQUEST_MODEL.name
_PROMPT, _VERSION = a.PROMPT_NAME.name, a.PROMPT_VERSION.name
_OF_PROMPT = (a.PROMPT_SOURCE.name, a.TEMPLATE_HASH.name, a.VARIABLES_HASH.name)

_MESSAGES: dict[str, Any] = {
    "unrecorded": frozenset({"model", "input", "system", "tools", "stream"}),
    "messages": shapes.sent,
    "tool_definitions": shapes.tools,
    "output_messages": shapes.messages,
    "details": shapes.details,
}


def _count(params: Params) -> Mapping[a.Attribute, Any]:
    count = params.get("n") or params.get("candidate_count")
    return {a.CHOICE_COUNT: count} if isinstance(count, int) and count != 1 else {}


@lru_cache(maxsize=256)
def inference(operation: str) -> Endpoint:
    """A request to a model, of any client's."""
    return Endpoint(
        operation=operation,
        parameters={
            "temperature": a.TEMPERATURE,
            "top_p": a.TOP_P,
            "top_k": a.TOP_K,
            "max_tokens": a.MAX_TOKENS,
            "max_output_tokens": a.MAX_TOKENS,
            "max_completion_tokens": a.MAX_TOKENS,
            "frequency_penalty": a.FREQUENCY_PENALTY,
            "presence_penalty": a.PRESENCE_PENALTY,
            "seed": a.SEED,
            "stop": a.STOP_SEQUENCES,
            "stop_sequences": a.STOP_SEQUENCES,
            "reasoning_effort": a.REASONING_LEVEL,
            "service_tier": a.SERVICE_TIER_REQUESTED,
            "dimensions": a.DIMENSION_COUNT,
            "encoding_format": a.ENCODING_FORMATS,
        },
        details_of_request=_count,
        **{**_MESSAGES, "unrecorded": _MESSAGES["unrecorded"] | {"n", "candidate_count"}},
    )


def step(operation: str, subject: str, attribute: a.Attribute, internal: bool = True, **more: Any) -> Endpoint:
    """Something that is done between requests, named after a parameter."""
    parameters = {subject: attribute, **more.pop("parameters", {})}
    described = {**_MESSAGES, "parameters": parameters, **more}
    return Endpoint(operation=operation, subject=subject, internal=internal, streamed=False, **described)


@dataclass(slots=True, kw_only=True)
class Asked:
    """What the application says of a call before it is made."""

    endpoint: Endpoint
    params: Mapping[str, Any]
    provider: str | None = None
    prompt: Prompt | tuple[str, str] | str | None = None
    parent: Any = None
    links: Any = None
    stamp: context | None = None


class Own(Invocation):
    """A call that the application records itself.

    A call of an instrumented SDK inside it that is this very call is made part of it: what that says is taken over,
    where the application does not say otherwise. It is the first of the same kind, or the next where one failed. Where
    it goes on when the application is done with this one, as a stream does that is handed on, this one ends with it.

    A ``step`` is no request to a model: calls inside it are its children, and no interceptor is shown it.
    """

    def __init__(
        self,
        scope: Scope,
        asked: Asked,
        params: Params,
        adopted: Span | None = None,
        begins: int | None = None,
    ) -> None:
        server = Server(asked.provider, None, None) if asked.provider else None
        parent, links = context_below(asked.parent), links_to(asked.links)
        super().__init__(scope, asked.endpoint, server, params, parent, adopted, links, begins)
        self.step = asked.endpoint.internal or asked.endpoint.result is not None
        self.said: frozenset[str] = frozenset()
        self._taken = False
        self._absorbed: Invocation | None = None
        self._left: tuple[BaseException | None] | None = None
        self._joining = threading.Lock()

    def ask(self, asked: Asked, params: Params) -> None:
        """Reads what is asked, and shows it to the interceptors; raises what a policy raises."""
        with asked.stamp or nullcontext():
            self.read_request(params)
        self.said = frozenset(self.values)
        if self.step:
            return
        prompt = asked.prompt
        if isinstance(prompt, Prompt):
            with Use(prompt):
                self.before()
        else:
            self.before()
        if prompt is not None:
            self._came_of(prompt)

    def _came_of(self, prompt: Prompt | tuple[str, str] | str) -> None:
        """Says which prompt it was, whatever the texts say."""
        try:
            if not isinstance(prompt, Prompt):
                name, version = (prompt, None) if isinstance(prompt, str) else prompt
                if self.values.get(_PROMPT) != name or self.values.get(_VERSION) != version:
                    for other in (_VERSION, *_OF_PROMPT):
                        self.values.pop(other, None)
                self.values[_PROMPT] = str(name)
                if version is not None:
                    self.values[_VERSION] = str(version)
            self.said |= {_PROMPT, _VERSION, *_OF_PROMPT}
        except Exception:
            fault("the prompt of a call")

    # Where it happens ---------------------------------------------------------------------------------------------

    def enter(self) -> Place:
        """Makes the span the current one; trace headers are held back from models only."""
        inside = set_span_in_context(self.span)
        return inside, otel_context.attach(inside), active.set(None if self.step else self)

    def leave(self, place: Place, error: BaseException | None = None) -> None:
        """Goes back, unless it is left in another context than it was entered in: there is nothing to go back to."""
        inside, token, outer = place
        if otel_context.get_current() is not inside:
            return
        try:
            active.reset(outer)
        except ValueError:  # a copy of the context, as every task has one
            return
        otel_context.detach(token)

    # What goes on inside it ---------------------------------------------------------------------------------------

    @property
    def pending(self) -> bool:
        """Whether the call inside still goes on."""
        return self.inner is not None and self.inner is not self._absorbed

    @property
    def answered(self) -> bool:
        """Whether the call inside has said what came back."""
        return self._absorbed is not None and self._absorbed.error is None

    def takes(self, operation: str) -> bool:
        """Whether a call that begins in this one is the same call."""
        if self.step or self.ended or self._left is not None or not self.wanted:
            return False
        if operation != self.endpoint.operation and not {operation, self.endpoint.operation} <= _ANSWERS:
            return False
        with self._joining:
            first, self._taken = not self._taken, True
        return first

    def absorb(self, call: Invocation) -> None:
        """Takes over what is known of the call inside, and ends with it where that has been put off."""
        with self._joining:
            try:
                if not self.ended:
                    self._take_over(call)
            finally:
                again, self._absorbed = self._absorbed is not None, call
                self._taken = call.error is None
                left = self._left
        self.retries += call.retries + again
        if left is not None:
            super().end(left[0] or call.error, call.outcome)

    def _take_over(self, call: Invocation) -> None:
        for name, value in call.values.items():
            if name not in self.said and (name != _ERROR or call.error is None):
                self.values[name] = value
        if self.endpoint.subject == "model" and _MODEL not in self.start and _MODEL in call.start:
            self.span.update_name(f"{self.endpoint.operation} {call.start[_MODEL]}")
        self.provider = self.provider or call.provider
        self.streaming = self.streaming or call.streaming
        self.gaps = call.gaps
        if call.error is None:
            self._entered = [each for each in self._entered if not isinstance(each, Guardrails)]  # they have checked it
        if self.kept is not None and call.kept is not None:
            self.kept.take(call.kept)
        for name, content in call.completed.items():
            if content:
                self.completed[name] = content

    def end(self, error: BaseException | None = None, outcome: str | None = None) -> None:
        """Ends the call, or has it end with the one inside that still goes on."""
        with self._joining:
            if self.pending:
                self._left = (error,)
                return
            inner = self.inner
        self.rounds.clear()  # an SDK that runs tools tells of its requests, which are calls of their own
        if inner is not None and inner.streaming:
            outcome = inner.outcome
        super().end(error, outcome if self.streaming else None)
