"""What a method returned, handed on: a plain answer ends the call, a stream ends it when it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from types import AsyncGeneratorType, GeneratorType
from typing import Any

import wrapt

from otel_llm.config import fault
from otel_llm.invocation import Invocation
from otel_llm.provider import Provider
from otel_llm.raw import Form, Later, form, unread
from otel_llm.reaper import watch
from otel_llm.stream import Recording
from otel_llm.stream import recorded as recorded_stream


def handed(call: Invocation, provider: Provider, response: Any) -> Any:
    """The response as the caller gets it; ends the call unless it ends with the response."""
    how = form(type(response))
    if how is Form.PLAIN:
        if not call.streaming:
            call.response = response
        elif (stream := recorded(call, provider, response)) is not None:
            return stream
    elif how is Form.LATER:
        return Later(response, call, provider, handed)
    else:
        call.identify(provider.request_id, response)
        if how is not Form.RAW or call.streaming:
            return unread(call, provider, response, how)
        try:
            call.response = response.parse()  # received already, and parsed once for us and the caller
        except Exception:
            fault("parsing a response")  # the caller meets the same when it parses
    call.end()
    call.gave(response)
    return response


def recorded(call: Invocation, provider: Provider, stream: Any) -> Any:
    """The stream that records itself; ``None`` where the SDK gave something that is not a stream."""
    if call.endpoint.fold is None:
        return None
    try:
        recording = Recording(call, call.endpoint.fold())
    except Exception:
        fault("recording a stream")
        return None
    found = recorded_stream(stream, recording)
    if found is not None:
        watch(recording)
        call.identify(provider.request_id, stream)
        call.gave(found)
    return found


def passed(call: Invocation, provider: Provider, response: Any) -> Any:
    """The response of a call that nobody looks at. What sends its request later does so with the call entered too."""
    kind = type(response)
    if kind is GeneratorType:
        return _lazy(call, response)
    if kind is AsyncGeneratorType:
        return _LazyAsync(call, response)
    return Later(response, call, provider, _given) if form(kind) is Form.LATER else response


def _given(call: Invocation, provider: Provider, page: Any) -> Any:
    return page


def _lazy(call: Invocation, stream: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A generator's items: the first one, and all of them while the SDK is busy, with the call entered."""
    while True:
        place = call.enter()
        try:
            item = next(stream)
        except StopIteration as end:
            call.leave(place)
            return end.value
        except BaseException as error:
            call.leave(place, error)
            raise
        call.leave(place)
        if not call.busy:
            break
        yield item
    yield item
    return (yield from stream)


class _LazyAsync(wrapt.BaseObjectProxy[Any]):
    """The same for an asynchronous one, seen through."""

    def __init__(self, call: Invocation, stream: AsyncGenerator[Any, Any]) -> None:
        super().__init__(stream)
        self._self_call: Invocation | None = call

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        call = self._self_call
        return self.__wrapped__.__anext__() if call is None else self._entered(call)

    async def _entered(self, call: Invocation) -> Any:
        self._self_call = None
        place = call.enter()
        try:
            item = await self.__wrapped__.__anext__()
        except BaseException as error:
            call.leave(place, error)
            raise
        call.leave(place)
        if call.busy:
            self._self_call = call
        return item
