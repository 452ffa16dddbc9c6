"""What happens around a patched method, written once as a generator; its two drivers differ by ``await``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Generator
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry.trace import NonRecordingSpan

from otel_llm import handles, headers, others
from otel_llm.config import fault
from otel_llm.handed import handed, passed
from otel_llm.invocation import SUPPRESS, Invocation, active
from otel_llm.provider import Endpoint, Hook, Provider, Server
from otel_llm.scope import Scope

#: A call that has answered, or is about to, for what the SDK does about its answer; never ended here.
_GIVEN = Endpoint(operation="")

Flow = Generator[None, Any, Any]
Method = Callable[..., Any]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class PatchBase:
    """What stands in the place of a function; ``scope`` is ``None`` once it is no longer in force.

    ``replaced`` is what was found there, ``original`` what is called of it, ``beneath`` what is called when it is no
    longer in force: all of it. ``installed`` is what was put there.
    """

    __slots__ = ("asynchronous", "beneath", "installed", "original", "provider", "replaced", "scope")

    def __init__(self, provider: Provider, original: Method, asynchronous: bool) -> None:
        self.provider = provider
        self.original = self.beneath = original
        self.asynchronous = asynchronous
        self.scope: Scope | None = None
        self.replaced: Any = None
        self.installed: Any = None

    @property
    def aside(self) -> Method:
        """What is called where nothing is to be done."""
        return self.beneath if self.scope is None else self.original

    def method(self) -> Method:
        """The function to put in the original's place. It outlives ``uninstrument()`` wherever a client kept it."""
        raise NotImplementedError


class Patch(PatchBase):
    """A patched method, and how it is read."""

    __slots__ = ("endpoint",)

    def __init__(self, provider: Provider, endpoint: Endpoint, original: Method, asynchronous: bool) -> None:
        super().__init__(provider, original, asynchronous)
        self.endpoint = endpoint

    def method(self) -> Method:
        """The method to put in the original's place."""
        original, warned = _undeprecated(self.original)
        if self.beneath is self.original:
            self.beneath = original

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            if scope is None or (scope.proxied and scope.idle):
                return self.beneath(*args, **kwargs)
            if suppressed():
                return original(*args, **kwargs)
            return run(invoke(self, scope, args, kwargs), original, args, kwargs)

        @functools.wraps(original)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            if scope is None or (scope.proxied and scope.idle):
                return await self.beneath(*args, **kwargs)
            if suppressed():
                return await original(*args, **kwargs)
            return await run_async(invoke(self, scope, args, kwargs), original, args, kwargs)

        return warned(call_async if self.asynchronous else call)


def _undeprecated(function: Method) -> tuple[Method, Callable[[Method], Method]]:
    """A deprecated function without its warning, and what warns in its place: of the caller's line and not of ours."""
    message, inner = getattr(function, "__deprecated__", None), getattr(function, "__wrapped__", None)
    if not isinstance(message, str) or inner is None:
        return function, lambda method: method

    def warned(method: Method) -> Method:
        @functools.wraps(function)
        def warn(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            return method(*args, **kwargs)

        return warn

    return inner, warned


class HookPatch(PatchBase):
    """A function inside an SDK that is listened to while a call is in flight."""

    __slots__ = ("hook",)

    def __init__(self, provider: Provider, hook: Hook, original: Method, asynchronous: bool) -> None:
        super().__init__(provider, original, asynchronous)
        self.hook = hook

    def method(self) -> Method:
        """The function to put in the original's place."""
        original, around = self.original, self.hook.around

        @functools.wraps(original)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            call = self._call(args, kwargs)
            if call is None:
                return self.aside(*args, **kwargs)
            return run(_listen(around, call, args, kwargs), original, args, kwargs)

        @functools.wraps(original)
        async def hooked_async(*args: Any, **kwargs: Any) -> Any:
            call = self._call(args, kwargs)
            if call is None:
                return await self.aside(*args, **kwargs)
            return await run_async(_listen(around, call, args, kwargs), original, args, kwargs)

        return hooked_async if self.asynchronous else hooked

    def _call(self, args: Args, kwargs: Kwargs) -> Invocation | None:
        """The call that the function works for: the one in flight, else that which gave what it works on."""
        call, scope, of = active.get(), self.scope, self.hook.of
        if scope is None or call is not None or of is None or suppressed():
            return None if scope is None else call
        try:
            identity = handles.giver(of(args, kwargs))
            if identity is None:
                return None
            return Invocation(scope, _GIVEN, None, {}, adopted=NonRecordingSpan(identity))
        except Exception:
            fault("a hook")
            return None


def suppressed() -> bool:
    """Whether OpenTelemetry is told to record nothing here."""
    context = otel_context.get_current()
    return not SUPPRESS.isdisjoint(context) and any(context.get(key) for key in SUPPRESS)


def invoke(patch: Patch, scope: Scope, args: Args, kwargs: Kwargs) -> Flow:
    """One call. Yields once, with the span current, and is sent the SDK's response or thrown its exception.

    It never raises what it is thrown, which is the driver's to raise as it came.
    """
    try:
        endpoint = patch.endpoint
        params = {**dict(zip(endpoint.positional, args[1:], strict=False)), **kwargs} if len(args) > 1 else kwargs
        around = active.get()
        if around is not None and not around.takes(endpoint.operation):
            around = None
        adopted = others.adoptable(endpoint.operation, scope.tracer) if around is None else around.span
        call = Invocation(scope, endpoint, _server(patch.provider, args[0]), params, adopted=adopted)
        if around is not None:
            call.around, around.inner = around, call
    except Exception:
        fault("starting a call")
        return (yield)
    try:
        headers.hold_back()
        call.quiet = others.in_client(patch.provider.requests(args[0]))
    except Exception:
        fault("looking at a client")
    wanted = call.wanted
    if wanted:
        if scope.include_usage and call.streaming and endpoint.usage_asked is not None:
            _ask_usage(call, kwargs)
        call.read_request(params)
        try:
            answer = call.before()
        except BaseException as refusal:
            call.end(refusal)
            raise
        if answer is not None:
            call.response = answer.response
            call.end()
            return answer.response
    place = call.enter()
    try:
        response = yield
    except BaseException as error:
        call.leave(place, error)
        call.identify(patch.provider.request_id, error)
        call.end(error)
        return None
    call.leave(place)
    return handed(call, patch.provider, response) if wanted else passed(call, patch.provider, response)


def _server(provider: Provider, resource: Any) -> Server | None:
    """Who is asked; a call is recorded, and shown to policies, where that cannot be told."""
    try:
        return provider.server(resource)
    except Exception:
        fault("telling who is asked")
        return None


def _ask_usage(call: Invocation, kwargs: dict[str, Any]) -> None:
    """Asks for usage in a stream whose caller did not; the chunk that brings it is kept from the caller."""
    try:
        asked = call.endpoint.usage_asked(kwargs) if call.endpoint.usage_asked is not None else {}
        if asked:
            kwargs.update(asked)
            call.hides = functools.partial(_hides, call.endpoint)
    except Exception:
        fault("asking for usage")


def _hides(endpoint: Endpoint, chunk: Any) -> bool:
    """Whether a chunk is there for nothing but usage; one of which that cannot be told is the caller's."""
    try:
        return endpoint.usage_only is not None and endpoint.usage_only(chunk)
    except Exception:
        fault("telling a chunk of usage")
        return False


def _listen(hook: Callable[..., Flow], call: Invocation, args: Args, kwargs: Kwargs) -> Flow:
    """What a hook does around a function; what fails in it is swallowed."""
    try:
        around = hook(call, args, kwargs)
        next(around)
    except Exception:
        fault("a hook")
        return (yield)
    try:
        response = yield
    except BaseException as error:
        try:
            around.throw(error)
        except BaseException as raised:
            if raised is not error and not isinstance(raised, StopIteration):
                fault("a hook")
        return None
    try:
        around.send(response)
    except StopIteration:
        pass
    except Exception:
        fault("a hook")
    return response


def run(flow: Flow, function: Method, args: Args, kwargs: Kwargs) -> Any:
    """Drives a flow around a function."""
    try:
        next(flow)
    except StopIteration as answered:
        return answered.value
    try:
        response = function(*args, **kwargs)
    except BaseException as error:
        _last(flow.throw, error)
        raise
    return _last(flow.send, response)


async def run_async(flow: Flow, function: Method, args: Args, kwargs: Kwargs) -> Any:
    """Drives a flow around a coroutine function."""
    try:
        next(flow)
    except StopIteration as answered:
        return answered.value
    try:
        response = await function(*args, **kwargs)
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
