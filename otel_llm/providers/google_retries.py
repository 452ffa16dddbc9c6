"""How often Google's SDK sends a request again, and what its answers' headers say.

A request that is sent twice is the same object both times, in every part of the SDK.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from otel_llm.provider import Hook
from otel_llm.providers.google_shared import request_id

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

_Args = tuple[Any, ...]
_Kwargs = Mapping[str, Any]


class _Sending:
    """A request that is being sent; ``connected`` counts how often a connection was looked for to send it once."""

    __slots__ = ("connected", "request")

    def __init__(self, request: Any) -> None:
        self.request = weakref.ref(request)
        self.connected = 0


_sending: ContextVar[_Sending | None] = ContextVar("otel_llm.google_sending", default=None)


def _sent(call: Invocation, request: Any) -> None:
    before = _sending.get()
    if before is None or before.request() is not request:
        _sending.set(_Sending(request))
    else:
        call.retries += 1
        before.connected = 0


def _http(call: Invocation, args: _Args, kwargs: _Kwargs) -> None:
    """A request of the older part is sent."""
    _sent(call, args[1] if len(args) > 1 else kwargs["http_request"])


def _session(call: Invocation, args: _Args, kwargs: _Kwargs) -> None:
    """aiohttp is to send it: a second time, after a connection was lost on the first."""
    if (sending := _sending.get()) is not None:
        sending.connected += 1
        if sending.connected > 1:
            call.retries += 1


def _generated(call: Invocation, args: _Args, kwargs: _Kwargs) -> None:
    """A request of the generated part is sent."""
    _sent(call, args[2] if len(args) > 2 else kwargs["request"])


def _answer(call: Invocation, response: Any) -> None:
    """The generated part has an answer, whose headers it does not hand on."""
    call.identify(request_id, response)


def _processed(call: Invocation, args: _Args, kwargs: _Kwargs) -> None:
    """An older generated part has an answer."""
    call.identify(request_id, kwargs.get("response"))


def _slept(call: Invocation, args: _Args, kwargs: _Kwargs) -> None:
    """An older generated part waits before it sends a request again."""
    call.retries += 1


HOOKS = (
    Hook(
        module="google.genai._api_client",
        function="BaseApiClient._request_once",
        async_function="BaseApiClient._async_request_once",
        before=_http,
    ),
    Hook(
        module="google.genai._api_client",
        function=None,
        async_function="BaseApiClient._get_aiohttp_session",
        before=_session,
    ),
    Hook(
        module="google.genai._gaos._hooks.sdkhooks",
        function="SDKHooks.before_request",
        async_function=None,
        before=_generated,
    ),
    Hook(
        module="google.genai._gaos._hooks.asyncsdkhooks",
        function=None,
        async_function="AsyncSDKHooks.before_request",
        before=_generated,
    ),
    Hook(
        module="google.genai._gaos.basesdk",
        function="BaseSDK.do_request",
        async_function="AsyncBaseSDK.do_request_async",
        after=_answer,
    ),
    Hook(
        module="google.genai._interactions._base_client",
        function="SyncAPIClient._process_response",
        async_function="AsyncAPIClient._process_response",
        before=_processed,
    ),
    Hook(
        module="google.genai._interactions._base_client",
        function="SyncAPIClient._sleep_for_retry",
        async_function="AsyncAPIClient._sleep_for_retry",
        before=_slept,
    ),
)
