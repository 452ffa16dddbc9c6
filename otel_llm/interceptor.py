"""What may look at a call before and after it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation


@dataclass(frozen=True, slots=True)
class Answer:
    """A response given in place of the provider's; the SDK is then not called."""

    response: Any


class Interceptor(Protocol):
    """Sees a call before and after.

    ``policy`` says whether it must see every call, sampled or not. ``before`` runs in the order of registration and
    may return an :class:`Answer` or raise an :class:`~otel_llm.errors.OtelLLMError` to refuse the call. ``after``
    runs once when the call ends, in the opposite order, also when it failed (``call.error``); for a call that is
    not streamed it may raise to refuse the answer. Any other exception of either is logged once and swallowed.
    """

    policy: bool

    def before(self, call: Invocation, /) -> Answer | None: ...
    def after(self, call: Invocation, /) -> None: ...
