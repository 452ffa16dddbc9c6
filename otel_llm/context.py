"""What the application says about its calls: user, session, call type, tags, in force for every call below."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from otel_llm import attributes as a
from otel_llm.decorated import decorated

if TYPE_CHECKING:
    from otel_llm.baggage import Place

F = TypeVar("F", bound=Callable[..., Any])


class _Frame(NamedTuple):
    """What is in force, who said it, and what was in force before; where baggage was added, the way back from it."""

    values: dict[str, Any]
    by: context | None = None
    outer: _Frame | None = None
    place: Place | None = None


_current: ContextVar[_Frame] = ContextVar("otel_llm.context", default=_Frame({}))  # noqa: B039 - never mutated

#: What has a name of its own, as :class:`context` takes it.
NAMED: dict[str, a.Attribute] = {
    "user_id": a.USER_ID,
    "session_id": a.SESSION_ID,
    "conversation_id": a.CONVERSATION_ID,
    "tenant_id": a.TENANT_ID,
    "task_id": a.TASK_ID,
    "request_id": a.REQUEST_ID,
    "call_type": a.CALL_TYPE,
}


def current() -> dict[str, Any]:
    """The attributes in force here, by name. Not to be changed."""
    return _current.get().values


def forget(said: context) -> None:
    """Goes back to before ``said`` was entered, whatever was entered since, where it is in force here."""
    frame: _Frame | None = _current.get()
    while frame is not None and frame.by is not said:
        frame = frame.outer
    if frame is not None and frame.outer is not None:
        _current.set(frame.outer)


class context:
    """Stamps every call below it; as ``with``, ``async with`` or decorator. Inner values win, tags add up.

    ``call_type`` is one of :data:`otel_llm.attributes.CALL_TYPES`, else it is recorded as ``other``. One object may be
    entered again and again, by many tasks and threads at once.

    With ``baggage`` what is named here (user_id to call_type) is in W3C baggage too, in which HTTP instrumentations
    carry it to every host that the application calls but model providers; the services there read it where they are
    told to (``accept_baggage``).
    """

    _baggage: dict[str, str] | None = None

    def __init__(
        self,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        conversation_id: str | None = None,
        tenant_id: str | None = None,
        task_id: str | None = None,
        request_id: str | None = None,
        call_type: str | None = None,
        tags: Sequence[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        baggage: bool = False,
    ) -> None:
        named = {
            "user_id": user_id,
            "session_id": session_id,
            "conversation_id": conversation_id,
            "tenant_id": tenant_id,
            "task_id": task_id,
            "request_id": request_id,
            "call_type": call_type if call_type is None or call_type in a.CALL_TYPES else "other",
        }
        self._values = {NAMED[key].name: str(value) for key, value in named.items() if value is not None}
        self._values |= {a.METADATA.name + str(key): str(value) for key, value in (metadata or {}).items()}
        self._tags = [tags] if isinstance(tags, str) else [str(tag) for tag in tags or ()]
        if baggage:
            self._baggage = {key: str(value) for key, value in named.items() if value is not None}

    def __enter__(self) -> Self:
        outer = _current.get()
        values = outer.values | self._values
        if self._tags:
            values[a.TAGS.name] = [*values.get(a.TAGS.name, ()), *self._tags]
        if self._baggage is None:
            _current.set(_Frame(values, self, outer))
        else:
            from otel_llm import baggage

            _current.set(_Frame(values, self, outer, baggage.put(self._baggage)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        frame = _current.get()
        if frame.by is self and frame.outer is not None:  # else it was entered elsewhere, and there is nothing to undo
            _current.set(frame.outer)
            if frame.place is not None:
                from otel_llm import baggage

                baggage.leave(frame.place)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """As a decorator of a function or a coroutine function; a generator would run when this has been left."""
        return decorated(function, lambda args, kwargs: self, "context()")
