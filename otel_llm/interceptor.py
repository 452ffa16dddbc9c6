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
    """Sees a call before and after; one that has nothing to do on a side inherits it from here.

    ``policy`` says whether it must see every call, sampled or not. ``before`` runs in the order of registration and
    may return an :class:`Answer` or raise an :class:`~otel_llm.errors.OtelLLMError` to refuse the call. ``after``
    runs once when the call ends, in the opposite order, also when it failed (``call.error``); for a call that is
    not streamed it may raise to refuse the answer. Any other exception of either is logged once and swallowed.
    """

    policy: bool

    def before(self, call: Invocation, /) -> Answer | None:
        """The call is about to be made."""
        return None

    def after(self, call: Invocation, /) -> None:
        """The call has ended."""
        return


def looks(interceptor: Interceptor, side: str) -> bool:
    """Whether an interceptor has something to do ``before`` or ``after`` a call."""
    own = getattr(interceptor, "__dict__", ())
    return side in own or getattr(type(interceptor), side, None) is not getattr(Interceptor, side)
