"""Functions inside an SDK that are listened to while a call is in flight, and what drives a flow around a function.

A flow is a generator that yields once, in which the function runs; its two drivers differ by ``await``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from opentelemetry.trace import NonRecordingSpan

from otel_llm import handles
from otel_llm.ambient import suppressed
from otel_llm.config import fault
from otel_llm.flow import Args, Kwargs, Method, PatchBase
from otel_llm.invocation import Invocation, active
from otel_llm.provider import Endpoint, Hook, Provider

#: A call that has answered, or is about to, for what the SDK does about its answer; never ended here.
_GIVEN = Endpoint(operation="")

#: What goes on around a function: it yields once.
Flow = Generator[None, Any, Any]


class HookPatch(PatchBase):
    """A function inside an SDK that is listened to while a call is in flight."""

    __slots__ = ("hook",)

    def __init__(self, provider: Provider, hook: Hook, original: Method, asynchronous: bool) -> None:
        super().__init__(provider, original, asynchronous)
        self.hook = hook

    def method(self) -> Method:
        """The function to put in the original's place."""
        original, around, after = self.original, self.hook.around, self.hook.after

        @functools.wraps(original)
        def hooked(*args: Any, **kwargs: Any) -> Any:
            if (call := self._call(args, kwargs)) is None:
                return self.aside(*args, **kwargs)
            if around is not None:
                return run(_listen(around, call, args, kwargs), original, args, kwargs)
            response = original(*args, **kwargs)
            if after is not None:
                _tell(after, call, response)
            return response

        @functools.wraps(original)
        async def hooked_async(*args: Any, **kwargs: Any) -> Any:
            if (call := self._call(args, kwargs)) is None:
                return await self.aside(*args, **kwargs)
            if around is not None:
                return await run_async(_listen(around, call, args, kwargs), original, args, kwargs)
            response = await original(*args, **kwargs)
            if after is not None:
                _tell(after, call, response)
            return response

        return hooked_async if self.asynchronous else hooked

    def _call(self, args: Args, kwargs: Kwargs) -> Invocation | None:
        """The call that the function works for: the one in flight, else that which gave what it works on.

        It is told that the function is about to run.
        """
        call, scope, hook = active.get(), self.scope, self.hook
        if scope is None:
            return None
        try:
            if call is None and hook.of is not None and not suppressed():
                identity = handles.giver(hook.of(args, kwargs))
                if identity is not None:
                    call = Invocation(scope, _GIVEN, None, {}, adopted=NonRecordingSpan(identity))
            if call is not None and hook.before is not None:
                hook.before(call, args, kwargs)
        except Exception:
            fault("a hook")
        return call


def _tell(after: Callable[[Invocation, Any], None], call: Invocation, response: Any) -> None:
    """Tells a hook what a function gave; what fails in it is swallowed."""
    try:
        after(call, response)
    except Exception:
        fault("a hook")


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
