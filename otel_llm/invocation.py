"""One model call in flight: its span and its values, ended exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from datetime import datetime
from types import MappingProxyType
from typing import Any

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind

from otel_llm import ambient, asked, fork, handles, ongoing, record
from otel_llm import attributes as a
from otel_llm.ambient import SPAN, SUPPRESS
from otel_llm.config import fault
from otel_llm.content import Kept
from otel_llm.errors import OtelLLMError
from otel_llm.interceptor import Answer, Interceptor
from otel_llm.messages import Message, mended, texts
from otel_llm.metrics import STEPS
from otel_llm.provider import Endpoint, Fold, Params, Sent, Server
from otel_llm.scope import Scope
from otel_llm.span import Starter

_OPERATION, _PROVIDER, _REQUEST_MODEL = a.OPERATION.name, a.PROVIDER.name, a.REQUEST_MODEL.name
_SERVER_ADDRESS, _SERVER_PORT = a.SERVER_ADDRESS.name, a.SERVER_PORT.name

_CLIENT, _INTERNAL = SpanKind.CLIENT, SpanKind.INTERNAL
_QUIET = dict.fromkeys(SUPPRESS, True)

#: The call whose SDK is at work in this context; a tool that the SDK runs is not part of it.
active: ContextVar[Invocation | None] = ContextVar("otel_llm.active", default=None)


#: Where a call was entered, to be left again: the context, and what brings back this and the active call.
Place = tuple[Context, Token[Context], "Token[Invocation | None]"]


class Invocation:
    """A call. ``values`` are the span's attributes so far, by name; interceptors read and add to them.

    ``noted`` says that somebody takes them, ``wanted`` that anybody looks, if only a policy; ``kept`` is its content,
    where that is kept; ``rounds`` are the responses of all requests that the SDK made for it, where these were several;
    ``gaps`` are the seconds between its chunks.
    ``busy``: the SDK does more between chunks than wait for them, it runs tools. ``quiet``: others below are told to
    record nothing. A span that somebody else has begun for the same call is ``adopted``, and theirs to end. A call that
    the application records itself may be ``around`` this one, its ``inner`` one. ``at`` is when a call was made that is
    over, which nothing can refuse.
    """

    error: BaseException | None = None
    outcome: str | None = None
    response: Any = None
    retries: int = 0
    hides: Callable[[Any], bool] | None = None
    busy = quiet = False
    fold: Fold | None = None
    at: datetime | None = None
    ends: int | None = None
    starter: Starter | None = None
    around: Invocation | None = None
    inner: Invocation | None = None
    _params: Params = MappingProxyType({})
    _sent: Sent | None = None
    _texts: list[str] | None = None
    _output: list[Message] | None = None
    _follows: str | None = None

    def __init__(
        self,
        scope: Scope,
        endpoint: Endpoint,
        server: Server | None,
        params: Params,
        parent: Context | None = None,
        adopted: Span | None = None,
        links: Sequence[Link] | None = None,
        begins: int | None = None,
    ) -> None:
        self.scope = scope
        self.endpoint = endpoint
        self.rounds: list[Any] = []
        self.gaps: list[float] | None = None
        self.completed: dict[str, Any] = {}
        self._open = [True]  # is emptied by who ends the call: one of all threads
        self.process = fork.process
        self._entered: list[Interceptor] = []
        self.provider = server.provider if server else ""
        name, subject = endpoint.operation, params.get(endpoint.subject)
        if endpoint.agent is not None and isinstance(agent := params.get(endpoint.agent), str):
            name, subject = "invoke_agent", agent
        self.start: dict[str, Any] = {_OPERATION: name}
        if server:
            self.start[_PROVIDER] = server.provider
        if isinstance(model := params.get("model"), str):
            self.start[_REQUEST_MODEL] = mended(model)
        if isinstance(subject, str):
            name = f"{name} {mended(subject)}"
        if server and server.address:
            self.start[_SERVER_ADDRESS] = server.address
            if server.port:
                self.start[_SERVER_PORT] = server.port
        if endpoint.follows is not None and (work := self._followed(endpoint.follows, params)) is not None:
            links = [*(links or ()), Link(work.call)]
            if work.model:
                self.start[_REQUEST_MODEL] = work.model
        kind = _INTERNAL if endpoint.internal else _CLIENT
        self.started = time.perf_counter()
        self.adopted = adopted is not None
        if adopted is not None:
            self.span: Span = adopted
        elif (starter := scope.starter) is not None and parent is None and links is None and begins is None:
            self.span = span = starter.start(name, kind, self.start, ambient.current())
            if type(span) is starter.kind:
                self.starter = starter
        else:
            self.span = scope.tracer.start_span(name, parent, kind, self.start, links, begins)
        self.identity = self.span.get_span_context()
        self.values: dict[str, Any] = self.start.copy()
        self.recording = self.starter is not None or self.span.is_recording()
        self.metered = scope.metrics.live and (not endpoint.internal or endpoint.operation in STEPS)
        self.kept = Kept(scope.content) if scope.keeps and (self.recording or scope.apart) else None
        self.noted = self.recording or self.metered or self.kept is not None
        self.wanted = self.noted or scope.policy
        self.streaming = endpoint.streamed if endpoint.streamed is not None else params.get("stream") is True

    def _followed(self, follows: Callable[[Params], str | None], params: Params) -> ongoing.Work | None:
        """The work that a request asks about."""
        try:
            self._follows = follows(params)
            return None if self._follows is None else ongoing.begun(self._follows)
        except Exception:
            fault("telling what a request follows")
            return None

    @property
    def handle(self) -> str:
        """The call's handle, a W3C traceparent."""
        return handles.handle(self.identity)

    @property
    def ended(self) -> bool:
        """Whether the call has ended."""
        return not self._open or self.process is not fork.process

    # Where it happens ---------------------------------------------------------------------------------------------

    def enter(self) -> Place:
        """Makes the span the current one, and the call the active one."""
        here = ambient.current()
        context = Context({**here, **_QUIET, SPAN: self.span} if self.quiet else {**here, SPAN: self.span})
        return context, ambient.attach(context), active.set(None if self.endpoint.internal else self)

    def leave(self, place: Place, error: BaseException | None = None) -> None:
        """Goes back, unless what ran is torn down from another context, where the tokens mean nothing."""
        inside, token, outer = place
        if error is None or not isinstance(error, GeneratorExit) or ambient.current() is inside:
            try:
                ambient.detach(token)
                active.reset(outer)
            except Exception:  # who runs a coroutine step by step may do so in several contexts
                fault("leaving a call")

    def child(self, endpoint: Endpoint, params: Params) -> Invocation:
        """A step of this call, such as a tool that the SDK runs: to be entered, left and ended by who asks for it."""
        step = Invocation(self.scope, endpoint, None, params)
        step.read_request(params)
        return step

    # What was asked -----------------------------------------------------------------------------------------------

    def read_request(self, params: Params, *, content: bool = True) -> None:
        """Reads the request, now: a conversation may go on in the caller's own lists while the answer comes.

        A turn of a session is still being asked while it is answered: its ``content`` is read when it ends.
        """
        try:
            self._params = params = self.endpoint.params(params)
            if self.noted:
                asked.read_parameters(self, params)
        except Exception:
            fault("reading a request")
        if content:
            self.read_content()
        if self.scope.start_events and self.recording and self.around is None and self.at is None:
            try:
                if self.scope.events.live:
                    self.scope.events.started(self.span, self.values)
            except Exception:
                fault("the event of a call that begins")

    def read_content(self) -> None:
        """Keeps what was sent."""
        if self.kept is not None:
            try:
                asked.read_content(self, self.kept, self._params)
            except Exception:
                fault("reading the content of a request")

    @property
    def sent(self) -> Sent:
        """What was sent: the system instructions, and the messages."""
        if self._sent is None:
            self._sent = self.endpoint.messages(self._params)
        return self._sent

    @property
    def system_instructions(self) -> list[Message]:
        """The system instructions that were sent."""
        return self.sent.instructions

    @property
    def output_messages(self) -> list[Message]:
        """What came back, one message for each choice."""
        if self._output is None:
            self._output = [] if self.response is None else self.endpoint.output_messages(self.response)
        return self._output

    def input_texts(self) -> Sequence[str]:
        """Every text that is sent, system instructions first."""
        if self._texts is None:
            instructions, messages = self.sent
            self._texts = texts((*instructions, *messages) if instructions else messages)
        return self._texts

    def output_texts(self) -> Sequence[str]:
        """Every text that came back."""
        return texts(self.output_messages)

    # The way in and the way out -----------------------------------------------------------------------------------

    def before(self) -> Answer | None:
        """Shows the call to the interceptors; raises what a policy raises."""
        for interceptor, first, last in self.scope.chain:
            if not (self.noted or interceptor.policy):
                continue
            if last:
                self._entered.append(interceptor)
            if not first:
                continue
            try:
                answer = interceptor.before(self)
            except OtelLLMError:
                raise
            except Exception:
                fault(f"{type(interceptor).__name__}.before")
                continue
            if answer is not None:
                return answer
        return None

    def end(self, error: BaseException | None = None, outcome: str | None = None) -> None:
        """Ends the call, the first time only: reads the response, shows it to the interceptors, ends the span.

        ``outcome`` is how a stream ended. Raises only what a policy raises about an answer that can still be held back.
        """
        if self.process is not fork.process:
            return
        try:
            self._open.pop()
        except IndexError:
            return
        self.error, self.outcome = error, outcome
        refusal: OtelLLMError | None = None
        try:
            if (self.response is not None or self.rounds) and self.noted:
                self._read_response(self.response)
        except Exception:
            fault("reading a response")
        for interceptor in reversed(self._entered):
            try:
                interceptor.after(self)
            except OtelLLMError as raised:
                refusal = raised
            except Exception:
                fault(f"{type(interceptor).__name__}.after")
            except BaseException:  # the program is told to stop
                record.end(self)
                raise
        if error is None and not self.streaming:
            self.error = refusal
        if self.kept is not None:
            try:
                asked.answered(self, self.kept)
            except Exception:
                fault("reading the content of a response")
        if self.around is not None:
            try:
                self.around.absorb(self)
            except Exception:
                fault("a call within a call")
        else:
            record.end(self)
        handles.last.set(self.identity)
        if refusal is not None and self.error is refusal:
            raise refusal

    def takes(self, operation: str) -> bool:
        """Whether a call that begins in this one is the same call. An SDK's are not."""
        return False

    def absorb(self, call: Invocation) -> None:
        """Takes over what is known of such a call, when it ends."""

    def _read_response(self, response: Any) -> None:
        """What the response says; of several rounds that the SDK made, what they used together."""
        endpoint = self.endpoint
        read = {} if response is None else endpoint.read(response)
        for earlier in self.rounds:
            if earlier is not response:
                read.pop(a.COST_STATUS.name, None)  # a reader that sees the last round only says that it is not all
                for name, count in endpoint.read(earlier).items():
                    if name in a.USAGE:
                        read[name] = read.get(name, 0) + count
        if response is not None and endpoint.unfinished and (id := endpoint.unfinished(response)) is not None:
            ongoing.begin(id, self.identity, self.start.get(_REQUEST_MODEL))
        elif self._follows is not None:
            if (work := ongoing.finish(self._follows)) is not None:
                read[a.WORK_SECONDS.name] = time.perf_counter() - work.began
            else:
                read = {name: value for name, value in read.items() if name not in a.USAGE}
        self.values.update(read)

    def identify(self, request_id: Callable[[Any], str | None], thing: Any) -> None:
        """Takes the provider's id of the HTTP request from a stream or an error."""
        try:
            if self.wanted and (found := request_id(thing)) is not None:
                self.values[a.PROVIDER_REQUEST_ID.name] = found
        except Exception:
            fault("reading a request id")

    def gave(self, response: Any) -> None:
        """Remembers that ``response`` came of this call, for as long as it lives."""
        handles.gave(response, self.identity)
