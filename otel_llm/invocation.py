"""One model call in flight: its span and its values, ended exactly once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from otel_llm import attributes as a
from otel_llm import handles, ongoing
from otel_llm.config import fault
from otel_llm.context import current
from otel_llm.errors import OtelLLMError, error_type
from otel_llm.interceptor import Answer, Interceptor
from otel_llm.messages import Message, mended, messages_json, parts_json, texts, to_json
from otel_llm.provider import Endpoint, Params, Sent, Server

_OPERATION, _PROVIDER, _REQUEST_MODEL = a.OPERATION.name, a.PROVIDER.name, a.REQUEST_MODEL.name
_SERVER_ADDRESS, _SERVER_PORT = a.SERVER_ADDRESS.name, a.SERVER_PORT.name
_COERCE = {"string": str, "int": int, "double": float, "bool": bool}

#: The call whose SDK is at work in this context; a tool that the SDK runs is not part of it.
active: ContextVar[Invocation | None] = ContextVar("otel_llm.active", default=None)


@dataclass(frozen=True)
class Scope:
    """What all calls of an application share."""

    tracer: Tracer
    interceptors: tuple[Interceptor, ...]
    capture_content: bool

    @cached_property
    def policy(self) -> bool:
        """Whether a policy must see every call."""
        return any(interceptor.policy for interceptor in self.interceptors)


class Place(NamedTuple):
    """Where a call was entered, to be left again."""

    context: Context
    token: Token[Context]
    active: Token[Invocation | None]


class Invocation:
    """A call. ``values`` are the span's attributes so far, by name; interceptors read and add to them."""

    error: BaseException | None = None
    outcome: str | None = None
    response: Any = None
    retries: int = 0
    _params: Params = MappingProxyType({})
    _sent: Sent | None = None
    _texts: list[str] | None = None
    _output: list[Message] | None = None
    _follows: str | None = None

    def __init__(
        self, scope: Scope, endpoint: Endpoint, server: Server | None, params: Params, parent: Context | None = None
    ) -> None:
        self.scope = scope
        self.endpoint = endpoint
        self.rounds: list[Any] = []
        self._once = threading.Lock()
        self._entered: list[Interceptor] = []
        self.provider = server.provider if server else ""
        self.start: dict[str, Any] = {_OPERATION: endpoint.operation}
        name = endpoint.operation
        if server:
            self.start[_PROVIDER] = server.provider
        if isinstance(model := params.get("model"), str):
            self.start[_REQUEST_MODEL] = model = mended(model)
        if isinstance(subject := params.get(endpoint.subject), str):
            name = f"{name} {mended(subject)}"
        if server and server.address:
            self.start[_SERVER_ADDRESS] = server.address
            if server.port:
                self.start[_SERVER_PORT] = server.port
        links = None
        if (follows := endpoint.follows(params)) is not None:
            self._follows = follows
            if work := ongoing.begun(follows):
                links = [Link(work.call)]
                if work.model:
                    self.start[_REQUEST_MODEL] = work.model
        kind = SpanKind.INTERNAL if endpoint.internal else SpanKind.CLIENT
        self.started = time.perf_counter()
        self.span: Span = scope.tracer.start_span(name, parent, kind, self.start, links)
        self.values: dict[str, Any] = self.start.copy()
        self.recording = self.span.is_recording()
        self.streaming = endpoint.streamed if endpoint.streamed is not None else params.get("stream") is True

    @property
    def handle(self) -> str:
        """The call's handle, a W3C traceparent."""
        return handles.handle(self.span.get_span_context())

    @property
    def wanted(self) -> bool:
        """Whether anybody looks at the call: it is recorded, or a policy must see it."""
        return self.recording or self.scope.policy

    @property
    def ended(self) -> bool:
        """Whether the call has ended."""
        return self._once.locked()

    # Where it happens ---------------------------------------------------------------------------------------------

    def enter(self) -> Place:
        """Makes the span the current one, and the call the active one."""
        context = set_span_in_context(self.span)
        return Place(context, otel_context.attach(context), active.set(None if self.endpoint.internal else self))

    def leave(self, place: Place, error: BaseException | None = None) -> None:
        """Goes back, unless what ran is torn down from another context, where the tokens mean nothing."""
        if not isinstance(error, GeneratorExit) or otel_context.get_current() is place.context:
            otel_context.detach(place.token)
            active.reset(place.active)

    def child(self, endpoint: Endpoint, params: Params) -> Invocation:
        """A step of this call, such as a tool that the SDK runs: to be entered, left and ended by who asks for it."""
        step = Invocation(self.scope, endpoint, None, params)
        step.read_request(params)
        return step

    # What was asked -----------------------------------------------------------------------------------------------

    def read_request(self, params: Params) -> None:
        """Reads the request, now: a conversation may go on in the caller's own lists while the answer comes."""
        try:
            self._read_parameters(params)
        except Exception:
            fault("reading a request")
        if self.scope.capture_content and self.recording:
            try:
                self._read_content()
            except Exception:
                fault("reading the content of a request")

    def _read_parameters(self, params: Params) -> None:
        """Parameters by the endpoint's table, what the application said, constants."""
        endpoint, values = self.endpoint, self.values
        self._params = params = endpoint.params(params)
        if not self.recording:
            return
        values.update(current())
        for attribute, constant in endpoint.constants.items():
            values[attribute.name] = constant
        if self.streaming:
            values[a.STREAM.name] = True
        for name, value in params.items():
            try:
                self._read_parameter(name, value)
            except Exception:
                fault(f"the value of {name}")
        for attribute, value in endpoint.details_of_request(params).items():
            values[attribute.name] = value

    def _read_content(self) -> None:
        values = self.values
        instructions, messages = self.sent
        if instructions:
            values[a.SYSTEM_INSTRUCTIONS.name] = parts_json([part for item in instructions for part in item["parts"]])
        if messages:
            values[a.INPUT_MESSAGES.name] = messages_json(messages)
        definitions = self.endpoint.tool_definitions(self._params)
        if definitions:
            values[a.TOOL_DEFINITIONS.name] = to_json(definitions)
        for name, attribute in self.endpoint.content.items():
            if (value := self._params.get(name)) is not None:
                values[attribute.name] = to_json(value)

    def _read_parameter(self, name: str, value: Any) -> None:
        """A parameter, as the type the dictionary gives it. An iterator is the SDK's to run through, and not read."""
        attribute = self.endpoint.parameters.get(name)
        if attribute is None:
            if name in self.endpoint.unrecorded or name in self.endpoint.content:
                return
            if isinstance(value, int | float) or self.scope.capture_content:
                plain = isinstance(value, str | int | float)
                self.values[a.REQUEST_PARAM.name + name] = value if plain else to_json(value)
        elif attribute.kind != "string[]":
            self.values[attribute.name] = _COERCE[attribute.kind](value)
        elif isinstance(value, str | list | tuple):
            self.values[attribute.name] = [value] if isinstance(value, str) else [str(item) for item in value]

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
            sent = self.sent
            self._texts = texts(sent.instructions) + texts(sent.messages)
        return self._texts

    def output_texts(self) -> Sequence[str]:
        """Every text that came back."""
        return texts(self.output_messages)

    # The way in and the way out -----------------------------------------------------------------------------------

    def before(self) -> Answer | None:
        """Shows the call to the interceptors; raises what a policy raises."""
        for interceptor in self.scope.interceptors:
            if not (self.recording or interceptor.policy):
                continue
            self._entered.append(interceptor)
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
        if not self._once.acquire(blocking=False):
            return
        self.error, self.outcome = error, outcome
        refusal: OtelLLMError | None = None
        try:
            if self.response is not None and self.recording:
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
        if error is None and not self.streaming:
            self.error = refusal
        if self.recording:
            try:
                self._record()
            except Exception:
                fault("recording a call")
        try:
            self.span.end()
        except Exception:
            fault("ending a span")
        handles.ended(self.span.get_span_context())
        if refusal is not None and self.error is refusal:
            raise refusal

    def _read_response(self, response: Any) -> None:
        """What the response says; of several rounds that the SDK made, what they used together."""
        endpoint = self.endpoint
        read = endpoint.read(response)
        for earlier in self.rounds[:-1]:
            for name, count in endpoint.read(earlier).items():
                if name in a.USAGE:
                    read[name] = read.get(name, 0) + count
        if (id := endpoint.unfinished(response)) is not None:
            ongoing.begin(id, self.span.get_span_context(), self.start.get(_REQUEST_MODEL))
        elif self._follows is not None:
            if (work := ongoing.finish(self._follows)) is not None:
                read[a.WORK_SECONDS.name] = time.perf_counter() - work.began
            else:
                read = {name: value for name, value in read.items() if name not in a.USAGE}
        self.values.update(read)

    def _record(self) -> None:
        """Puts what is known on the span."""
        values = self.values
        if self.outcome is not None:
            values[a.STREAM_OUTCOME.name] = self.outcome
        if self.retries:
            values[a.RETRY_COUNT.name] = self.retries
        if self.scope.capture_content:
            try:
                if self.output_messages:
                    values[a.OUTPUT_MESSAGES.name] = messages_json(self.output_messages)
                if self.endpoint.result is not None and self.response is not None:
                    values[self.endpoint.result.name] = to_json(self.response)
            except Exception:
                fault("reading the content of a response")
        if self.error is not None:
            values[a.ERROR_TYPE.name] = error_type(self.error)
            self.span.set_status(Status(StatusCode.ERROR, self._description(self.error)))
        elif a.ERROR_TYPE.name in values:  # the provider answered that it failed
            self.span.set_status(Status(StatusCode.ERROR, values[a.ERROR_TYPE.name]))
        for value in values.values():
            if type(value) is str and not value.isascii():
                _mend(values)
                break
        if self.start.items() <= values.items():  # what the span has from its start need not be sent again
            values = dict(islice(values.items(), len(self.start), None))
        self.span.set_attributes(values)

    def _description(self, error: BaseException) -> str:
        """What an error says: its class, and its text where that is content to be kept, or the SDK's or our own.

        The text of any other may quote what was sent or what came back, as pydantic's does.
        """
        kind = type(error)
        package = kind.__module__.partition(".")[0]
        if not self.scope.capture_content and package not in ("otel_llm", self.endpoint.module.partition(".")[0]):
            return kind.__name__
        try:
            return mended(f"{kind.__name__}: {error}")
        except Exception:
            fault("the text of an error")
            return kind.__name__

    def identify(self, request_id: Callable[[Any], str | None], thing: Any) -> None:
        """Takes the provider's id of the HTTP request from a stream or an error."""
        try:
            if self.recording and (found := request_id(thing)) is not None:
                self.values[a.PROVIDER_REQUEST_ID.name] = found
        except Exception:
            fault("reading a request id")

    def gave(self, response: Any) -> None:
        """Remembers that ``response`` came of this call, for as long as it lives."""
        handles.gave(response, self.span.get_span_context())


def _mend(values: dict[str, Any]) -> None:
    """Mends every text of a call."""
    for name, value in values.items():
        if type(value) is str:
            values[name] = mended(value)
