"""What a method returned, handed on: a plain answer ends the call, a stream ends it when it ends."""

from __future__ import annotations

from typing import Any

from otel_llm.config import fault
from otel_llm.invocation import Invocation
from otel_llm.provider import Provider
from otel_llm.stream import AsyncStream, Recording, SyncStream, watch


def handed(call: Invocation, provider: Provider, response: Any) -> Any:
    """The response as the caller gets it; ends the call unless it is a stream, which does so when it ends."""
    if call.streaming:
        if (stream := recorded(call, provider, response)) is not None:
            return stream
    elif provider.unwrapped is not None:
        try:
            call.response = provider.unwrapped(response)
        except Exception:
            fault("parsing a response")  # the caller meets the same when it parses
    else:
        call.response = response
    call.end()
    call.gave(response)
    return response


def recorded(call: Invocation, provider: Provider, stream: Any) -> Any:
    """The stream that records itself; ``None`` where the SDK gave something that is not a stream."""
    kind = SyncStream if hasattr(stream, "__next__") else AsyncStream if hasattr(stream, "__anext__") else None
    if kind is None or call.endpoint.fold is None:
        return None
    recording = Recording(call, call.endpoint.fold())
    watch(recording)
    call.identify(provider.request_id, stream)
    found = kind(stream, recording)
    call.gave(found)
    return found
