"""What a provider's SDK is to us: methods to patch, and as data where each value lives in a request and a response.

A path such as ``usage.prompt_tokens`` is followed by attribute or key; several paths to one attribute are summed. A
value that is missing is left out, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from otel_llm.attributes import Attribute
from otel_llm.messages import Message
from otel_llm.paths import dig as dig
from otel_llm.paths import fields as fields
from otel_llm.paths import get as get
from otel_llm.paths import reader

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

Params = Mapping[str, Any]

#: Sentinels of the SDKs that stand for "not given".
_ABSENT = frozenset({"Omit", "NotGiven", "NoneType"})
#: Types of what is given most, of which nothing is to be asked.
_USUAL = frozenset({str, list, dict, int, float, bool})
_HUMP = re.compile(r"(?<!^)[A-Z]")


class Fold(Protocol):
    """Adds chunks up to the response that they make, so that a stream is read by the same paths as an answer.

    ``add`` returns True for a chunk that the SDK may act upon by itself: one that asks for a tool.
    """

    def add(self, chunk: Any, /) -> bool | None: ...
    def response(self) -> Any: ...


class Sent(NamedTuple):
    """What a request says: the system instructions, and the messages but for these."""

    instructions: list[Message]
    messages: list[Message]


class Server(NamedTuple):
    """Who a client talks to: ``gen_ai.provider.name``, host and port."""

    provider: str
    address: str | None
    port: int | None


#: The types of the dictionary's kinds.
_KINDS: Mapping[str, type] = {"string": str, "int": int, "double": float, "bool": bool, "string[]": list}


def given(value: Any) -> bool:
    """Whether the caller gave the value: neither ``None`` nor an SDK's sentinel."""
    return type(value).__name__ not in _ABSENT


def _snake(name: str) -> str:
    """A field by its name in Python, of its name on the wire."""
    return _HUMP.sub(r"_\g<0>", name).lower()


def _nothing(_: Any) -> Mapping[Attribute, Any]:
    return {}


def _no_id(_: Any) -> str | None:
    return None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Endpoint:
    """A method of an SDK and its async twin, and how to read it.

    ``method`` and ``async_method`` are ``Class.name`` in ``module``; ``positional`` names the parameters that may be
    given by position. A method that not every supported SDK has is ``optional``: that it is missing is no news.
    ``parameters`` maps a request parameter to its attribute; parameters that are neither there nor in ``unrecorded``
    become ``otel_llm.request.<name>``. ``config`` names a parameter that itself holds parameters. ``streamed`` is None
    where ``stream=True`` decides. ``details`` reads what is not tabular in a response; ``details_of_request`` the same
    in a request. ``subject`` is the parameter that the span is named after, ``agent`` one that names an agent to be
    asked in place of a model (``invoke_agent``), ``internal`` says that nothing is sent to a provider. ``content`` are
    parameters that are content, ``result`` is the attribute of a response that is, as ``result_of`` gives it.

    Usage that a stream carries only when it is asked for: ``usage_asked`` gives the parameters that ask, none where the
    caller has decided; ``usage_only`` says whether a chunk is there for nothing else.

    Work that goes on after the answer (a background response, a video, a batch) has an id: ``unfinished`` gives it
    for a response that is not the last word, ``follows`` for a request that asks how the work stands. The request that
    finds it finished carries its usage, once, and a link to the call that began it.
    """

    operation: str
    module: str = ""
    method: str = ""
    async_method: str | None = None
    positional: tuple[str, ...] = ()
    optional: bool = False
    subject: str = "model"
    agent: str | None = None
    internal: bool = False
    parameters: Mapping[str, Attribute] = field(default_factory=dict)
    unrecorded: frozenset[str] = frozenset()
    paths: Mapping[Attribute, str | tuple[str, ...]] = field(default_factory=dict)
    config: str | None = None
    constants: Mapping[Attribute, Any] = field(default_factory=dict)
    content: Mapping[str, Attribute] = field(default_factory=dict)
    result: Attribute | None = None
    result_of: Callable[[Any], Any] = lambda response: response
    streamed: bool | None = None
    fold: Callable[[], Fold] | None = None
    messages: Callable[[Params], Sent] = lambda _: Sent([], [])
    tool_definitions: Callable[[Params], list[dict[str, Any]] | None] = lambda _: None
    output_messages: Callable[[Any], list[Message]] = lambda _: []
    details: Callable[[Any], Mapping[Attribute, Any]] = _nothing
    details_of_request: Callable[[Params], Mapping[Attribute, Any]] = _nothing
    usage_asked: Callable[[Params], Mapping[str, Any]] | None = None
    usage_only: Callable[[Any], bool] | None = None
    unfinished: Callable[[Any], str | None] | None = None
    follows: Callable[[Params], str | None] | None = None

    def params(self, kwargs: Params) -> dict[str, Any]:
        """The parameters that were given, those of ``config`` beside the others."""
        params = dict(kwargs)
        for key, value in kwargs.items():
            if type(value) not in _USUAL and type(value).__name__ in _ABSENT:
                del params[key]
        if self.config and (config := params.pop(self.config, None)) is not None:
            if isinstance(config, dict):
                for name, value in config.items():
                    if type(value) in _USUAL or given(value):
                        params[name if name.islower() else _snake(name)] = value
            else:
                for name in getattr(config, "model_fields_set", ()):
                    if given(value := getattr(config, name, None)):
                        params[name] = value
        return params

    @cached_property
    def fixed(self) -> dict[str, Any]:
        """The constants, by name."""
        return {attribute.name: value for attribute, value in self.constants.items()}

    @cached_property
    def fields(self) -> dict[str, tuple[str, type] | None]:
        """The attribute of each parameter and its type, a list for several texts; ``None`` where none is recorded."""
        told = dict.fromkeys((*self.unrecorded, *self.content))
        return told | {name: (attribute.name, _KINDS[attribute.kind]) for name, attribute in self.parameters.items()}

    @cached_property
    def follow(self) -> Callable[[Any], dict[str, Any]]:
        """The paths, ready to be followed."""
        return reader(self.paths)

    def read(self, response: Any) -> dict[str, Any]:
        """The attributes of a response, by name."""
        values = self.follow(response)
        for attribute, value in self.details(response).items():
            values[attribute.name] = value
        return values


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Hook:
    """A function inside an SDK that tells more about the call in flight: a retry, a tool that is run.

    ``function`` and ``async_function`` are ``name`` or ``Class.name`` in ``module``; they are not public, so none of
    them needs to be there. ``before`` is given the call, and the arguments of the function (with ``self``); ``after``
    the call, and what the function returned. ``around`` is given what ``before`` is; it yields once, is sent what the
    function returned or thrown what it raised, and returns nothing; it makes the others superfluous. A function that
    works on a response (or a chunk) where no call is in flight names it by ``of``: it is heard as part of the call that
    gave it.
    """

    module: str
    function: str | None
    async_function: str | None
    before: Callable[[Invocation, tuple[Any, ...], Mapping[str, Any]], None] | None = None
    after: Callable[[Invocation, Any], None] | None = None
    around: Callable[[Invocation, tuple[Any, ...], Mapping[str, Any]], Generator[None, Any, None]] | None = None
    of: Callable[[tuple[Any, ...], Mapping[str, Any]], Any] | None = None


class Turns(Protocol):
    """The turns of a session in flight, each by a key of the dialogue's own choice."""

    def __contains__(self, key: Hashable, /) -> bool:
        """Whether a turn is still in flight."""

    def begin(self, key: Hashable, endpoint: Endpoint, params: Params, fold: Fold) -> None:
        """A turn begins here and now. What is added to ``params`` and to ``fold`` until it ends belongs to it."""

    def add(self, key: Hashable, message: Any, *, chunk: bool = False) -> None:
        """A message is part of a turn; a ``chunk`` carries some of the answer."""

    def whole(self, key: Hashable) -> None:
        """All of the answer has come, whatever is still said about the turn."""

    def end(self, key: Hashable, outcome: str) -> None:
        """A turn has ended: ``completed``, ``cancelled`` or ``error``."""


class Dialogue(Protocol):
    """What the messages of one session mean. It is told of each, in order, and tells the session's turns of them.

    It keeps what was sent for the turns to come, and no turn that has ended; it may be dropped at any time.
    """

    def sent(self, turns: Turns, method: str, args: tuple[Any, ...], kwargs: Params) -> None:
        """A method of the connection is about to send something."""

    def received(self, turns: Turns, message: Any) -> None:
        """A message has come."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Session:
    """A connection that stays open, on which a model is asked and answers again and again: a call is a turn of it.

    ``connect`` is the method that gives it, ``Class.name`` in ``module``: by an object of the class ``manager``, when
    that is entered, or else by a context manager of contextlib's. ``sends`` and ``receives`` are methods of the class
    ``connection``; the first of each is expected, others need not be there. ``lost`` are names of the exceptions that
    say that the connection is gone. ``dialogue`` is given those ``params`` of ``connect`` that were, the connection,
    and whether content is kept; it may keep the connection alive no more than the parameters. ``endpoint`` reads a
    connection that could not be made. ``server`` says who is talked to, where that is not the provider's to say.
    """

    module: str
    connect: str
    manager: str | None = None
    connection: str
    asynchronous: bool
    optional: bool = False
    sends: tuple[str, ...]
    receives: tuple[str, ...]
    lost: frozenset[str]
    params: tuple[str, ...]
    dialogue: Callable[[Params, Any, bool], Dialogue]
    endpoint: Endpoint
    server: Callable[[Any], Server] | None = None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Provider:
    """An SDK: its names for import and on the package index, its endpoints, and who its clients talk to.

    ``request_id`` gives the provider's id of the HTTP request, of a stream, of an answer that is still to be parsed, or
    of an error; ``requests`` the method of a client through which all of its requests go. ``through`` are methods that
    are not patched because they call ones that are, ``module:Class.name``.
    """

    name: str
    package: str
    distribution: str
    endpoints: Sequence[Endpoint]
    server: Callable[[Any], Server]
    hooks: Sequence[Hook] = ()
    sessions: Sequence[Session] = ()
    request_id: Callable[[Any], str | None] = _no_id
    requests: Callable[[Any], Any] | None = None
    through: Sequence[str] = ()
