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
            self.start[_REQUEST_MODEL] = model
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
        """Reads the request: parameters by the endpoint's table, what the application said, constants."""
        endpoint, values = self.endpoint, self.values
        self._params = params = endpoint.params(kwargs)
        if not self.recording:
            return
        values.update(current())
        for attribute, constant in endpoint.constants.items():
            values[attribute.name] = constant
        for name, value in params.items():
            attribute_or_none = endpoint.parameters.get(name)
            if attribute_or_none is not None:
                self.set(attribute_or_none, value)
            elif name not in endpoint.unrecorded and (isinstance(value, int | float) or self.scope.capture_content):
                plain = isinstance(value, str | int | float)
                values[a.REQUEST_PARAM.name + name] = value if plain else to_json(value)
        for attribute, value in endpoint.details_of_request(params).items():
            values[attribute.name] = value
        if self.streaming:
            values[a.STREAM.name] = True

    def set(self, attribute: a.Attribute, value: Any) -> None:
        """Sets an attribute, as the type the dictionary gives it; a value that does not fit is left out."""
        try:
            if attribute.kind == "string[]":
                self.values[attribute.name] = [value] if isinstance(value, str) else [str(item) for item in value]
            elif attribute.kind in _COERCE:
                self.values[attribute.name] = _COERCE[attribute.kind](value)
        except (TypeError, ValueError, OverflowError):
            fault(f"the value of {attribute.name}")

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
    def input_messages(self) -> list[Message]:
        """The messages that were sent."""
        return self.sent.messages

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
        try:
            self._end_span()
        except Exception:
            fault("ending a span")
        _last.set(self.span.get_span_context())
        if refusal is not None and self.error is refusal:
            raise refusal

    def _end_span(self) -> None:
        if not self.recording:
            self.span.end()
            return
        values, error = self.values, self.error
        if self.outcome is not None:
            values[a.STREAM_OUTCOME.name] = self.outcome
        if self.scope.capture_content:
            self._record_content()
        if error is not None:
            values[a.ERROR_TYPE.name] = error_type(error)
            self.span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        for value in values.values():
            if type(value) is str and not value.isascii():
                _mend(values)
                break
        if self.start.items() <= values.items():  # what the span has from its start need not be sent again
            values = dict(islice(values.items(), len(self.start), None))
        self.span.set_attributes(values)
        self.span.end()

    def _record_content(self) -> None:
        values = self.values
        instructions, messages = self.sent
        if instructions:
            values[a.SYSTEM_INSTRUCTIONS.name] = parts_json([part for item in instructions for part in item["parts"]])
        if messages:
            values[a.INPUT_MESSAGES.name] = messages_json(messages)
        definitions = self.endpoint.tool_definitions(self._params)
        if definitions:
            values[a.TOOL_DEFINITIONS.name] = to_json(definitions)
        if self.output_messages:
            values[a.OUTPUT_MESSAGES.name] = messages_json(self.output_messages)

    def gave(self, response: Any) -> None:
        """Remembers that ``response`` came of this call, for as long as it lives."""
        key = id(response)
        with contextlib.suppress(TypeError):  # not every object can be remembered weakly
            _given[key] = (weakref.ref(response, lambda _: _given.pop(key, None)), self.span.get_span_context())


def error_type(error: BaseException) -> str:
    """``error.type``: the HTTP status where the provider answered with one, else the exception's class."""
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int):
            return str(status)
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"
    )


def _mend(values: dict[str, Any]) -> None:
    """Replaces lone surrogates: one of them would cost the exporter its whole batch."""
    for name, value in values.items():
        if type(value) is str and not value.isascii():
            values[name] = value.encode("utf-8", "replace").decode()
