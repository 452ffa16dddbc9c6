"""One model call in flight: its span and its values, ended exactly once."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from types import MappingProxyType
from typing import Any

from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, Tracer

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.context import current
from otel_llm.errors import OtelLLMError
from otel_llm.interceptor import Answer, Interceptor
from otel_llm.messages import Message, messages_json, parts_json, texts, to_json
from otel_llm.provider import Endpoint, Provider, Sent

_OPERATION, _PROVIDER, _REQUEST_MODEL = a.OPERATION.name, a.PROVIDER.name, a.REQUEST_MODEL.name
_SERVER_ADDRESS, _SERVER_PORT = a.SERVER_ADDRESS.name, a.SERVER_PORT.name
_COERCE = {"string": str, "int": int, "double": float, "bool": bool}

_last: ContextVar[SpanContext | None] = ContextVar("otel_llm.last_call", default=None)
_given: dict[int, tuple[weakref.ref[Any], SpanContext]] = {}


def _handle(identity: SpanContext) -> str:
    return f"00-{identity.trace_id:032x}-{identity.span_id:016x}-{identity.trace_flags:02x}"


def last_call() -> str | None:
    """The handle of the last call that ended in this context, a W3C traceparent; ``None`` before the first."""
    identity = _last.get()
    return None if identity is None else _handle(identity)


def call_of(response: Any) -> str | None:
    """The handle of the call that gave ``response`` (the SDK's own object); ``None`` where it is not known."""
    entry = _given.get(id(response))
    return _handle(entry[1]) if entry and entry[0]() is response else None


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


class Invocation:
    """A call. ``values`` are the span's attributes so far, by name; interceptors read and add to them."""

    error: BaseException | None = None
    outcome: str | None = None
    response: Any = None
    _params: Mapping[str, Any] = MappingProxyType({})
    _sent: Sent | None = None
    _texts: list[str] | None = None
    _output: list[Message] | None = None

    def __init__(
        self, scope: Scope, provider: Provider, endpoint: Endpoint, instance: Any, kwargs: Mapping[str, Any]
    ) -> None:
        self.scope = scope
        self.endpoint = endpoint
        self._once = threading.Lock()
        self._entered: list[Interceptor] = []
        server = provider.server(instance)
        self.provider = server.provider
        model = kwargs.get("model")
        self.start: dict[str, Any] = {_OPERATION: endpoint.operation, _PROVIDER: server.provider}
        name = endpoint.operation
        if isinstance(model, str):
            self.start[_REQUEST_MODEL] = model = _mended(model)
            name = f"{name} {model}"
        if server.address:
            self.start[_SERVER_ADDRESS] = server.address
            if server.port:
                self.start[_SERVER_PORT] = server.port
        self.started = time.perf_counter()
        self.span: Span = scope.tracer.start_span(name, None, SpanKind.CLIENT, self.start)
        self.values: dict[str, Any] = self.start.copy()
        self.recording = self.span.is_recording()
        self.streaming = endpoint.streamed if endpoint.streamed is not None else kwargs.get("stream") is True

    @property
    def handle(self) -> str:
        """The call's handle, a W3C traceparent."""
        return _handle(self.span.get_span_context())

    @property
    def wanted(self) -> bool:
        """Whether anybody looks at the call: it is recorded, or a policy must see it."""
        return self.recording or self.scope.policy

    @property
    def ended(self) -> bool:
        """Whether the call has ended."""
        return self._once.locked()

    # What was asked -----------------------------------------------------------------------------------------------

    def read_request(self, kwargs: Mapping[str, Any]) -> None:
        """Reads the request, now: a conversation may go on in the caller's own lists while the answer comes."""
        try:
            self._read_parameters(kwargs)
        except Exception:
            fault("reading a request")
        if self.scope.capture_content and self.recording:
            try:
                self._read_content()
            except Exception:
                fault("reading the content of a request")

    def _read_parameters(self, kwargs: Mapping[str, Any]) -> None:
        """Parameters by the endpoint's table, what the application said, constants."""
        endpoint, values = self.endpoint, self.values
        self._params = params = endpoint.params(kwargs)
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

    def _read_parameter(self, name: str, value: Any) -> None:
        """A parameter, as the type the dictionary gives it. An iterator is the SDK's to run through, and not read."""
        attribute = self.endpoint.parameters.get(name)
        if attribute is None:
            if name not in self.endpoint.unrecorded and (isinstance(value, int | float) or self.scope.capture_content):
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
                self.values.update(self.endpoint.read(self.response))
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
        _last.set(self.span.get_span_context())
        if refusal is not None and self.error is refusal:
            raise refusal

    def _record(self) -> None:
        """Puts what is known on the span."""
        values = self.values
        if self.outcome is not None:
            values[a.STREAM_OUTCOME.name] = self.outcome
        if self.scope.capture_content:
            try:
                if self.output_messages:
                    values[a.OUTPUT_MESSAGES.name] = messages_json(self.output_messages)
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
            return _mended(f"{kind.__name__}: {error}")
        except Exception:
            fault("the text of an error")
            return kind.__name__

    def gave(self, response: Any) -> None:
        """Remembers that ``response`` came of this call, for as long as it lives."""
        key = id(response)
        with contextlib.suppress(TypeError):  # not every object can be remembered weakly
            _given[key] = (weakref.ref(response, lambda _: _given.pop(key, None)), self.span.get_span_context())


def error_type(error: BaseException) -> str:
    """``error.type``: the HTTP status where the provider answered with one, else the exception's class."""
    for name in ("status_code", "code"):
        try:
            status = getattr(error, name, None)
        except Exception:
            fault("the status of an error")
            continue
        if isinstance(status, int) and 100 <= status < 600:  # not the code of a SystemExit
            return str(status)
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    )


def _mended(text: str) -> str:
    """A text without lone surrogates: one of them would cost the exporter its whole batch."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _mend(values: dict[str, Any]) -> None:
    """Mends every text of a call."""
    for name, value in values.items():
        if type(value) is str:
            values[name] = _mended(value)
