"""Answers that the SDK hands on unparsed or unasked, at the caller's wish: recorded as the caller goes through them.

Their bytes are the caller's. Nothing is received, read ahead or kept here: what the caller has the SDK parse is read,
what it takes as bytes is not, and the call ends when the HTTP response does, or is dropped.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Callable, Generator
from enum import Enum
from typing import Any

import wrapt

from otel_llm.invocation import Invocation
from otel_llm.provider import Provider
from otel_llm.reaper import dropped, watch
from otel_llm.stream import Recording, recorded


class Form(Enum):
    """How an SDK hands an answer on."""

    PLAIN = "the answer itself, or a stream of it"
    RAW = "received, to be parsed"
    OPEN = "still to be received, and to be closed"
    OPEN_ASYNC = "the same, by coroutines"
    LATER = "not asked for before it is awaited"


_forms: dict[type, Form] = {}


def form(kind: type) -> Form:
    """How answers of a class are handed on; looked at once for each class."""
    found = _forms.get(kind)
    if found is None:
        if len(_forms) >= 256:
            _forms.clear()
        found = _forms[kind] = _form(kind)
    return found


def _form(kind: Any) -> Form:
    if hasattr(kind, "http_request") and hasattr(kind, "parse"):
        if not hasattr(kind, "close"):
            return Form.RAW
        return Form.OPEN_ASYNC if inspect.iscoroutinefunction(kind.parse) else Form.OPEN
    if hasattr(kind, "__await__") and hasattr(kind, "__aiter__"):
        return Form.LATER
    return Form.PLAIN


class _Nothing:
    """The fold of an answer that comes in one piece."""

    def add(self, chunk: Any) -> None:
        """There are no chunks."""

    def response(self) -> None:
        """There is none."""


class _Unread(Recording):
    """What is known of a response that the caller goes through; ``streamed`` once it has the SDK's stream of it."""

    __slots__ = ("http", "streamed")

    def __init__(self, call: Invocation, http: Any) -> None:
        fold = call.endpoint.fold if call.streaming else None
        super().__init__(call, _Nothing() if fold is None else fold())
        self.http = http
        self.streamed = False

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the call; a response that was dropped when nothing was left of it has been read."""
        if outcome == "abandoned" and not self.streamed and self.http.is_closed:
            outcome = "completed"
        super().end(outcome, error)

    def closing(self) -> Callable[[], None]:
        """Looks how far the response has come before it is closed; ends the call accordingly when called."""
        whole = self.http.is_closed and not self.streamed

        def closed() -> None:
            error = sys.exception()  # of the ``with`` that is being left
            if whole:
                self.end("completed")
            elif error is not None and _broke(error, self.http):
                self.end("error", error)
            else:
                self.left(error)

        return closed


def _broke(error: BaseException, http: Any) -> bool:
    """Whether an error is that of receiving this very response."""
    try:
        return getattr(error, "request", None) is http.request
    except RuntimeError:  # httpx, for an error or a response without a request
        return False


class _Http(wrapt.BaseObjectProxy[Any]):
    """The HTTP response below; closing it ends the call."""

    def __init__(self, http: Any, recording: _Unread) -> None:
        super().__init__(http)
        self._self_recording = recording

    def close(self) -> Any:
        """Closes the response."""
        closed = self._self_recording.closing()
        try:
            return self.__wrapped__.close()
        finally:
            closed()

    async def aclose(self) -> Any:
        """Closes the response."""
        closed = self._self_recording.closing()
        try:
            return await self.__wrapped__.aclose()
        finally:
            closed()


class _Raw(wrapt.BaseObjectProxy[Any]):
    """A response to be parsed by the caller: the SDK's object, seen through."""

    def __init__(self, response: Any, recording: _Unread, provider: Provider) -> None:
        super().__init__(response)
        self._self_recording = recording
        self._self_provider = provider
        self._self_stream: Any = None

    @property
    def http_response(self) -> Any:
        """The HTTP response."""
        return _Http(self.__wrapped__.http_response, self._self_recording)

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """What the SDK makes of the response."""
        try:
            parsed = self.__wrapped__.parse(*args, **kwargs)
        except BaseException as error:
            self._self_recording.stopped(error)
            raise
        return parsed if args or kwargs else self._parsed(parsed)

    def _parsed(self, parsed: Any) -> Any:
        """What the caller gets: a recorded stream, the same each time, or the answer, with which the call ends."""
        recording: _Unread = self._self_recording
        call = recording.call
        if not call.streaming:
            if not call.ended:
                call.response = parsed
                call.gave(parsed)
                recording.end("completed")
            return parsed
        if self._self_stream is None:
            found = None if isinstance(recording.fold, _Nothing) else recorded(parsed, recording)
            if found is None:
                return parsed
            recording.streamed = True
            self._self_stream = found
            call.gave(self._self_stream)
        return self._self_stream

    def __del__(self) -> None:
        dropped(self._self_recording)


class _Open(_Raw):
    """A response that is received by the caller."""

    def close(self) -> Any:
        """Closes the response."""
        closed = self._self_recording.closing()
        try:
            return self.__wrapped__.close()
        finally:
            closed()


class _OpenAsync(_Raw):
    """A response that is received by the caller, by coroutines."""

    async def parse(self, *args: Any, **kwargs: Any) -> Any:
        """What the SDK makes of the response."""
        try:
            parsed = await self.__wrapped__.parse(*args, **kwargs)
        except BaseException as error:
            self._self_recording.stopped(error)
            raise
        return parsed if args or kwargs else self._parsed(parsed)

    async def close(self) -> Any:
        """Closes the response."""
        closed = self._self_recording.closing()
        try:
            return await self.__wrapped__.close()
        finally:
            closed()


_KINDS = {Form.RAW: _Raw, Form.OPEN: _Open, Form.OPEN_ASYNC: _OpenAsync}


def unread(call: Invocation, provider: Provider, response: Any, how: Form) -> Any:
    """A response that the caller will go through; its call ends with it."""
    recording = _Unread(call, response.http_response)
    watch(recording)
    found = _KINDS[how](response, recording, provider)
    call.gave(found)
    return found


class Later(wrapt.BaseObjectProxy[Any]):
    """An answer that is asked for when it is awaited or gone through. Until then there is no call to end."""

    def __init__(self, paginator: Any, call: Invocation, provider: Provider, hand: Callable[..., Any]) -> None:
        super().__init__(paginator)
        self._self_call = call
        self._self_provider = provider
        self._self_hand = hand

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answer().__await__()

    async def _answer(self) -> Any:
        call: Invocation = self._self_call
        if call.ended:  # awaited again, the SDK asks again
            return await self.__wrapped__
        place = call.enter()
        try:
            page = await self.__wrapped__
        except BaseException as error:
            call.leave(place, error)
            call.identify(self._self_provider.request_id, error)
            call.end(error)
            raise
        call.leave(place)
        return self._self_hand(call, self._self_provider, page)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for item in await self:
            yield item
