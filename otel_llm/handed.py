"""What a method returned, handed on: a plain answer ends the call, a stream ends it when it ends."""

from __future__ import annotations

from typing import Any

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
    recording = Recording(call, call.endpoint.fold())
    found = recorded_stream(stream, recording)
    if found is not None:
        watch(recording)
        call.identify(provider.request_id, stream)
        call.gave(found)
    return found
