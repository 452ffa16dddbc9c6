"""Answers that the SDK hands on unparsed or unasked, at the caller's wish: recorded as the caller goes through them.

Their bytes are the caller's. Nothing is received, read ahead or kept here: what the caller has the SDK parse is read,
what it takes as bytes is not, and the call ends when the HTTP response does, or is dropped.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
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


#: Methods of a response by which a caller takes its bytes.
_TAKES = frozenset({"read", "aread", "text", "json", "write_to_file", "stream_to_file"})


class _Unread(Recording):
    """What is known of a response that the caller goes through.

    ``whole`` once the caller has all of it, ``broken`` the error by which it could not, ``known`` while the caller goes
    by ways that are seen: an HTTP response is closed by its end as by anything else.
    """

    __slots__ = ("broken", "http", "known", "whole")

    def __init__(self, call: Invocation, http: Any) -> None:
        fold = call.endpoint.fold if call.streaming else None
        super().__init__(call, _Nothing() if fold is None else fold())
        self.http = http
        self.whole = False
        self.known = True
        self.broken: BaseException | None = None

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """Ends the call; by what is known of the response, where it was only closed or dropped."""
        if outcome in ("closed_early", "abandoned"):
            if self.whole or (outcome == "abandoned" and not self.known and self.http.is_closed):
                outcome = "completed"
            elif self.broken is not None:
                outcome, error = "error", self.broken
        super().end(outcome, error)

    def taken(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """A method by which the caller takes bytes, which are passed on as they are."""

        @functools.wraps(method)
        def take(*args: Any, **kwargs: Any) -> Any:
            try:
                result = method(*args, **kwargs)
            except BaseException as error:
                self._met(error)
                raise
            if hasattr(result, "__next__"):
                return self._passed(result)
            if hasattr(result, "__anext__"):
                return self._passed_async(result)
            if inspect.isawaitable(result):
                return self._awaited(result)
            self.whole = True
            return result

        return take

    def _passed(self, pieces: Generator[Any, Any, Any]) -> Generator[Any, Any, None]:
        try:
            yield from pieces
        except BaseException as error:
            self._met(error)
            raise
        self.whole = True

    async def _passed_async(self, pieces: AsyncGenerator[Any, Any]) -> AsyncGenerator[Any, None]:
        try:
            async for piece in pieces:
                yield piece
        except BaseException as error:
            self._met(error)
            raise
        finally:
            await pieces.aclose()
        self.whole = True

    async def _awaited(self, result: Awaitable[Any]) -> Any:
        try:
            found = await result
        except BaseException as error:
            self._met(error)
            raise
        self.whole = True
        return found

    def _met(self, error: BaseException) -> None:
        """Remembers an error of receiving this very response; any other is the caller's."""
        try:
            if getattr(error, "request", None) is self.http.request:
                self.broken = error
        except RuntimeError:  # httpx's, for what has no request
            pass


class _Seen(wrapt.BaseObjectProxy[Any]):
    """What bytes are taken from: the SDK's response or the HTTP response below."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.__wrapped__, name)
        if (name in _TAKES or name.startswith(("iter_", "aiter_"))) and callable(found):
            return self._self_recording.taken(found)
        return found

    def close(self) -> Any:
        """Closes the response, and ends the call."""
        try:
            return self.__wrapped__.close()
        finally:
            self._self_recording.left(sys.exception())


class _Http(_Seen):
    """The HTTP response."""

    def __init__(self, http: Any, recording: _Unread) -> None:
        super().__init__(http)
        self._self_recording = recording

    async def aclose(self) -> Any:
        """Closes the response, and ends the call."""
        try:
            return await self.__wrapped__.aclose()
        finally:
            self._self_recording.left(sys.exception())


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
        return self._parsed(parsed, bool(args or kwargs))

    def _parsed(self, parsed: Any, otherwise: bool) -> Any:
        """What the caller gets: a recorded stream, the same each time, or the answer, with which the call ends.

        What is parsed into another type than the SDK's is not looked at.
        """
        recording: _Unread = self._self_recording
        call = recording.call
        if otherwise:
            recording.known = not call.streaming
            recording.whole = not call.streaming
            return parsed
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
            self._self_stream = found
            call.gave(self._self_stream)
        return self._self_stream

    def __del__(self) -> None:
        dropped(self._self_recording)


class _Open(_Raw, _Seen):
    """A response that is received by the caller."""


class _OpenAsync(_Raw, _Seen):
    """A response that is received by the caller, by coroutines."""

    async def parse(self, *args: Any, **kwargs: Any) -> Any:
        """What the SDK makes of the response."""
        try:
            parsed = await self.__wrapped__.parse(*args, **kwargs)
        except BaseException as error:
            self._self_recording.stopped(error)
            raise
        return self._parsed(parsed, bool(args or kwargs))

    async def close(self) -> Any:
        """Closes the response, and ends the call."""
        try:
            return await self.__wrapped__.close()
        finally:
            self._self_recording.left(sys.exception())


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
