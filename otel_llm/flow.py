"""What happens around a patched method, written once: a call begins, and ends; its drivers differ by ``await``."""

from __future__ import annotations

import functools
import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from otel_llm import headers, others, runs
from otel_llm.ambient import current, suppressed
from otel_llm.config import fault
from otel_llm.handed import handed, passed
from otel_llm.interceptor import Answer
from otel_llm.invocation import Invocation, Place, active
from otel_llm.provider import Endpoint, Provider
from otel_llm.scope import Scope
from otel_llm.unseen import Unseen

#: A call in flight, and where it was entered.
Begun = tuple[Invocation, Place]
Method = Callable[..., Any]
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


class PatchBase(ABC):
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

    @abstractmethod
    def method(self) -> Method:
        """The function to put in the original's place. It outlives ``uninstrument()`` wherever a client kept it."""


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
            begun = begin(self, scope, args, kwargs)
            if begun is None:
                return original(*args, **kwargs)
            if isinstance(begun, Answer):
                return begun.response
            try:
                response = original(*args, **kwargs)
            except BaseException as error:
                fail(self, begun, error)
                raise
            return finish(self, begun, response)

        @functools.wraps(original)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            if scope is None or (scope.proxied and scope.idle):
                return await self.beneath(*args, **kwargs)
            begun = begin(self, scope, args, kwargs)
            if begun is None:
                return await original(*args, **kwargs)
            if isinstance(begun, Answer):
                return begun.response
            try:
                response = await original(*args, **kwargs)
            except BaseException as error:
                fail(self, begun, error)
                raise
            return finish(self, begun, response)

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


def begin(patch: Patch, scope: Scope, args: Args, kwargs: Kwargs) -> Begun | Answer | None:
    """A call begins: the span is current when this returns, and :func:`fail` or :func:`finish` must follow.

    ``None`` where the SDK is to be called and nothing more, an answer where the SDK is not to be called at all. Raises
    only what a policy raises.
    """
    provider, endpoint = patch.provider, patch.endpoint
    try:
        here = current()
        if here and suppressed():
            return None
        params = {**dict(zip(endpoint.positional, args[1:], strict=False)), **kwargs} if len(args) > 1 else kwargs
        around = active.get()
        if around is not None and not around.takes(endpoint.operation):
            around = None
        adopted = None if around is None else around.span
        if around is None and (here or runs.begun.get()):
            adopted = others.adoptable(endpoint.operation, scope.tracer, here)
        starter = scope.starter
        if (
            adopted is None
            and starter is not None
            and (here or starter.sheds)
            and (span := starter.unseen(here)) is not None
            and not scope.followed
        ):
            call: Invocation = Unseen(scope, endpoint, span)
        else:
            try:
                server = provider.server(args[0])
            except Exception:  # it is recorded, and shown to policies, where that cannot be told
                fault("telling who is asked")
                server = None
            call = Invocation(scope, endpoint, server, params, adopted=adopted)
        if around is not None:
            call.around, around.inner = around, call
    except Exception:
        fault("starting a call")
        return None
    try:
        headers.hold_back()
        if provider.requests is not None and not sys.modules.keys().isdisjoint(others.OTHERS):
            call.quiet = others.in_client(provider.requests(args[0]))
    except Exception:
        fault("looking at a client")
    if call.wanted:
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
            return answer
    return call, call.enter()


def fail(patch: Patch, begun: Begun, error: BaseException) -> None:
    """The SDK raised an error, which is the caller's to raise on as it came."""
    call, place = begun
    call.leave(place, error)
    call.identify(patch.provider.request_id, error)
    call.end(error)


def finish(patch: Patch, begun: Begun, response: Any) -> Any:
    """What the caller gets in place of the SDK's response; the call ends now, or with that."""
    call, place = begun
    call.leave(place)
    return (handed if call.wanted else passed)(call, patch.provider, response)


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
