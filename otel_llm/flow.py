"""What happens around a call, written once: a generator that yields where the SDK is called and is sent its answer.

Two drivers differ by ``await``. Nothing here knows a provider.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context

from otel_llm.config import fault
from otel_llm.invocation import Invocation, Scope
from otel_llm.provider import Endpoint, Provider
from otel_llm.stream import AsyncStream, Recording, SyncStream, leave, watch

#: The keys by which OpenTelemetry says that nothing is to be recorded in a context.
_SUPPRESS = frozenset(
    key
    for key in (getattr(otel_context, "_SUPPRESS_INSTRUMENTATION_KEY", None), "suppress_instrumentation")
    if key is not None
)

Flow = Generator[None, Any, Any]
Method = Callable[..., Any]


class Patch:
    """A patched method: what it was, how it is read; ``scope`` is ``None`` once it is no longer in force."""

    __slots__ = ("asynchronous", "endpoint", "original", "provider", "scope")

    def __init__(self, provider: Provider, endpoint: Endpoint, original: Method, asynchronous: bool) -> None:
        self.provider = provider
        self.endpoint = endpoint
        self.original = original
        self.asynchronous = asynchronous
        self.scope: Scope | None = None

    def method(self) -> Method:
        """The method to put in the original's place. It outlives ``uninstrument()`` wherever a client kept it."""
        original = self.original

        @functools.wraps(original)
        def call(instance: Any, *args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            if scope is None or suppressed():
                return original(instance, *args, **kwargs)
            return run(invoke(self, scope, instance, kwargs), original, instance, args, kwargs)

        @functools.wraps(original)
        async def call_async(instance: Any, *args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            if scope is None or suppressed():
                return await original(instance, *args, **kwargs)
            return await run_async(invoke(self, scope, instance, kwargs), original, instance, args, kwargs)

        return call_async if self.asynchronous else call


def suppressed() -> bool:
    """Whether OpenTelemetry is told to record nothing here."""
    context = otel_context.get_current()
    return bool(context) and not _SUPPRESS.isdisjoint(key for key, value in context.items() if value)


def invoke(patch: Patch, scope: Scope, instance: Any, kwargs: dict[str, Any]) -> Flow:
    """One call. Yields once, with the span current, and is sent the SDK's response or thrown its exception.

    It never raises what it is thrown, which is the driver's to raise as it came.
    """
    try:
        call = Invocation(scope, patch.provider, patch.endpoint, instance, kwargs)
    except Exception:
        fault("starting a call")
        return (yield)
    wanted = call.wanted
    if wanted:
        call.read_request(kwargs)
        try:
            answer = call.before()
        except BaseException as refusal:
            call.end(refusal)
            raise
        if answer is not None:
            call.response = answer.response
            call.end()
            return answer.response
    context = trace.set_span_in_context(call.span)
    token = otel_context.attach(context)
    try:
        response = yield
    except BaseException as error:
        leave(token, context, error)
        call.end(error)
        return None
    leave(token, context)
    if not wanted:
        return response
    if not call.streaming:
        try:
            call.response = patch.provider.parsed(response)
        except Exception:
            fault("parsing a response")  # the caller meets the same when it parses
    elif (stream := _recorded(call, response, context)) is not None:
        return stream
    call.end()
    call.gave(response)
    return response


def _recorded(call: Invocation, response: Any, context: Context) -> Any:
    """The stream that records itself; ``None`` where the SDK gave something that is not a stream."""
    kind = SyncStream if hasattr(response, "__next__") else AsyncStream if hasattr(response, "__anext__") else None
    if kind is None or call.endpoint.fold is None:
        return None
    recording = Recording(call, call.endpoint.fold(), context)
    watch(recording)
    stream = kind(response, recording)
    call.gave(stream)
    return stream


def run(flow: Flow, function: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Drives a flow around a function."""
    try:
        next(flow)
    except StopIteration as answered:
        return answered.value
    try:
        response = function(instance, *args, **kwargs)
    except BaseException as error:
        _last(flow.throw, error)
        raise
    return _last(flow.send, response)


async def run_async(flow: Flow, function: Method, instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Drives a flow around a coroutine function."""
    try:
        next(flow)
    except StopIteration as answered:
        return answered.value
    try:
        response = await function(instance, *args, **kwargs)
    except BaseException as error:
        _last(flow.throw, error)
        raise
    return _last(flow.send, response)


def _last(resume: Callable[[Any], Any], what: Any) -> Any:
    """Resumes a flow for the second and last time; what it gives."""
    try:
        resume(what)
    except StopIteration as done:
        return done.value
    raise AssertionError("a flow yields once")
