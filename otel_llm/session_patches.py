"""The methods of sessions that are patched: what connects them, sends, receives and closes. The SDK's objects stay."""

from __future__ import annotations

import contextlib
import functools
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from otel_llm.ambient import suppressed
from otel_llm.config import fault
from otel_llm.flow import Args, Kwargs, Method, PatchBase
from otel_llm.hooks import Flow, run, run_async
from otel_llm.provider import Params, Provider, Server, Session
from otel_llm.scope import Scope
from otel_llm.session import Followed, refused

T = TypeVar("T")
Role = Literal["connect", "enter", "send", "receive", "close"]


class _Opening(NamedTuple):
    """What is known of a session before it is connected."""

    scope: Scope
    server: Server
    params: Params


class _Weakly(Generic[T]):
    """Values by objects of the SDK's, for as long as those live. To be asked often, and of anything."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[weakref.ref[Any], T]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def set(self, thing: Any, value: T) -> None:
        """Remembers a value. Raises TypeError for what cannot be referred to weakly."""
        key = id(thing)
        self._entries[key] = (weakref.ref(thing, lambda _: self._entries.pop(key, None)), value)

    def get(self, thing: Any) -> T | None:
        """The value of an object; ``None`` where it has none."""
        entry = self._entries.get(id(thing))
        return None if entry is None or entry[0]() is not thing else entry[1]

    def pop(self, thing: Any) -> T | None:
        """The value of an object, which is forgotten."""
        value = self.get(thing)
        if value is not None:
            del self._entries[id(thing)]
        return value


#: Sessions that may be connected, by the manager that does it, and sessions in use.
_openings: _Weakly[_Opening] = _Weakly()
_followed: _Weakly[Followed] = _Weakly()


def targets(session: Session) -> Iterator[tuple[str, Role, bool, bool]]:
    """The methods of a session, as ``Class.name``: what each is for, whether asynchronous, whether expected."""
    expected = not session.optional
    yield session.connect, "connect", False, expected
    if session.manager is not None:
        for name in ("__aenter__" if session.asynchronous else "__enter__", "enter"):
            yield f"{session.manager}.{name}", "enter", session.asynchronous, expected
    methods: tuple[tuple[Role, tuple[str, ...]], ...] = (
        ("send", session.sends),
        ("receive", session.receives),
        ("close", ("close",)),
    )
    for role, names in methods:
        for name in names:
            yield f"{session.connection}.{name}", role, session.asynchronous, expected and name == names[0]


class SessionPatch(PatchBase):
    """A method of a session, or of what connects it."""

    __slots__ = ("role", "session")

    def __init__(self, provider: Provider, session: Session, role: Role, original: Method, asynchronous: bool) -> None:
        super().__init__(provider, original, asynchronous)
        self.session = session
        self.role = role

    def method(self) -> Method:
        """The method to put in the original's place."""
        original = self.original
        if self.role == "connect" and self.session.manager is None:
            return self._connects()
        around: Callable[[Scope, Args, Kwargs], Flow | None] = getattr(self, f"_{self.role}")

        @functools.wraps(original)
        def call(*args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            flow = None if scope is None else around(scope, args, kwargs)
            return self.aside(*args, **kwargs) if flow is None else run(flow, original, args, kwargs)

        @functools.wraps(original)
        async def call_async(*args: Any, **kwargs: Any) -> Any:
            scope = self.scope
            flow = None if scope is None else around(scope, args, kwargs)
            return await (self.aside(*args, **kwargs) if flow is None else run_async(flow, original, args, kwargs))

        return call_async if self.asynchronous else call

    def _connects(self) -> Method:
        """For a method that gives a context manager of contextlib's: one that gives the same kind."""
        original = self.original

        @contextlib.asynccontextmanager
        async def connected(opening: _Opening, manager: Any) -> AsyncIterator[Any]:
            entered = False
            try:
                async with manager as connection:
                    entered = True
                    self._follow(opening, connection)
                    try:
                        yield connection
                    finally:
                        _forget(connection)
            except BaseException as error:
                if not entered:
                    refused(opening.scope, self.session, opening.server, opening.params, error)
                raise

        @functools.wraps(original)
        def connect(*args: Any, **kwargs: Any) -> Any:
            manager = self.aside(*args, **kwargs)
            opening = None if self.scope is None else self._opening(self.scope, args, kwargs)
            return manager if opening is None else connected(opening, manager)

        return connect

    # What is done around each method ------------------------------------------------------------------------------

    def _connect(self, scope: Scope, args: Args, kwargs: Kwargs) -> Flow:
        try:
            manager = yield
        except BaseException:
            return None
        opening = self._opening(scope, args, kwargs)
        if opening is not None:
            try:
                _openings.set(manager, opening)
            except Exception:
                fault("connecting a session")
        return manager

    def _enter(self, scope: Scope, args: Args, kwargs: Kwargs) -> Flow | None:
        opening = _openings.get(args[0])
        return None if opening is None else self._entering(opening)

    def _entering(self, opening: _Opening) -> Flow:
        try:
            connection = yield
        except BaseException as error:
            refused(opening.scope, self.session, opening.server, opening.params, error)
            return None
        self._follow(opening, connection)
        return connection

    def _send(self, scope: Scope, args: Args, kwargs: Kwargs) -> Flow | None:
        followed = _followed.get(args[0])
        return None if followed is None else _sending(followed, self.original.__name__, args[1:], kwargs)

    def _receive(self, scope: Scope, args: Args, kwargs: Kwargs) -> Flow | None:
        followed = _followed.get(args[0])
        return None if followed is None or followed.reading else _receiving(followed)

    def _close(self, scope: Scope, args: Args, kwargs: Kwargs) -> Flow | None:
        _forget(args[0])
        return None

    # What is kept of a session ------------------------------------------------------------------------------------

    def _opening(self, scope: Scope, args: Args, kwargs: Kwargs) -> _Opening | None:
        if suppressed():
            return None
        try:
            params = {name: kwargs[name] for name in self.session.params if name in kwargs}
            return _Opening(scope, (self.session.server or self.provider.server)(args[0]), params)
        except Exception:
            fault("connecting a session")
            return None

    def _follow(self, opening: _Opening, connection: Any) -> None:
        try:
            followed = Followed(opening.scope, self.session, opening.server, opening.params, connection)
            _followed.set(connection, followed)
        except Exception:
            fault("following a session")


def _forget(connection: Any) -> None:
    """A session is closed: its turns end, and nothing more is heard of it."""
    if (followed := _followed.pop(connection)) is not None:
        followed.left()


def _sending(followed: Followed, name: str, args: Args, kwargs: Kwargs) -> Flow:
    begun = followed.sent(name, args, kwargs)
    try:
        return (yield)
    except BaseException as error:
        followed.unsent(begun, error)
        return None


def _receiving(followed: Followed) -> Flow:
    followed.reading = True  # a method that receives may call another one that does
    try:
        message = yield
    except BaseException as error:
        followed.failed(error)
        return None
    finally:
        followed.reading = False
    followed.received(message)
    return message
