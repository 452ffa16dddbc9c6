"""A call that nobody looks at: it is not recorded, not counted, and no policy must see it."""

from __future__ import annotations

from typing import Any

from otel_llm import fork, handles
from otel_llm.invocation import Invocation
from otel_llm.provider import Endpoint
from otel_llm.scope import Scope


class Unseen(Invocation):
    """Such a call, for what the SDK does while it is in flight: it costs no more than it must."""

    recording = metered = adopted = noted = wanted = streaming = False
    kept = None

    def __init__(self, scope: Scope, endpoint: Endpoint, span: Any) -> None:
        self.scope = scope
        self.endpoint = endpoint
        self.span = span
        self.identity = span._context
        self.process = fork.process
        self.rounds = []
        self._open = [True]

    def end(self, error: BaseException | None = None, outcome: str | None = None) -> None:
        """The call has ended: there is nobody to tell."""
        self._open.clear()
        handles.last.set(self.identity)
