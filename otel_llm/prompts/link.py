"""Linking calls to prompts: a call whose texts carry what a prompt rendered came from that prompt.

Renders are remembered in the context (the last of this request or task, whatever else runs beside it) and, for texts
that are handed to another thread, in a small table of the process.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from contextvars import ContextVar
from hashlib import sha256
from importlib import import_module
from threading import Lock
from typing import TYPE_CHECKING, Any

from otel_llm import attributes as a
from otel_llm.config import fault
from otel_llm.content import TEXT
from otel_llm.fork import guard
from otel_llm.interceptor import Interceptor

if TYPE_CHECKING:
    from otel_llm.invocation import Invocation

    from .prompt import Prompt

#: Renders remembered in one context.
RECENT = 16
#: Renders remembered by the process, and characters of them.
TABLE_ENTRIES, TABLE_SIZE = 1024, 1_000_000
#: Shorter texts are linked only where they are the whole text of a message: a word is part of anything.
SHORTEST_PART = 16
#: Of contexts that render texts longer than this, only few renders are remembered.
LARGE = 65_536
#: Variables that take more characters as JSON are kept as their hash only.
LONGEST_VARIABLES = 65_536

_NAME, _VERSION, _SOURCE = a.PROMPT_NAME.name, a.PROMPT_VERSION.name, a.PROMPT_SOURCE.name
_TEMPLATE_HASH, _VARIABLES_HASH = a.TEMPLATE_HASH.name, a.VARIABLES_HASH.name
_VARIABLE = a.PROMPT_VARIABLE.name

_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


def _own_sha256() -> Any:
    """Python's own SHA-256: it has less to set up than OpenSSL's, which counts for texts that are not long."""
    for name in ("_sha2", "_sha256"):  # since 3.12, and before
        with suppress(ImportError):
            return import_module(name).sha256
    return sha256


_small_sha256 = _own_sha256()
#: Most bytes that it hashes.
_SHORT = 4096


class Rendered:
    """One render: texts only, so that nothing of the application is kept alive."""

    __slots__ = ("_hash", "_texts", "prompt", "text", "variables")

    def __init__(self, prompt: Prompt, text: str, variables: str, texts: dict[str, str] | None = None) -> None:
        self.prompt = prompt
        self.text = text
        self.variables = variables
        self._hash = ""
        self._texts = texts
        if len(variables) > LONGEST_VARIABLES:
            self._hash, self.variables, self._texts = self.variables_hash, "{}", {}

    @property
    def variables_hash(self) -> str:
        """SHA-256 of the variables as canonical JSON, in hexadecimal."""
        if not self._hash:
            data = self.variables.encode()
            self._hash = (_small_sha256 if len(data) <= _SHORT else sha256)(data).hexdigest()
        return self._hash

    @property
    def texts(self) -> dict[str, str]:
        """The variables by name, those that are no texts as canonical JSON."""
        if self._texts is None:
            given = json.loads(self.variables)
            self._texts = {
                name: value if isinstance(value, str) else _canonical(value) for name, value in given.items()
            }
        return self._texts


class Table:
    """Renders by their text, the least lately made forgotten first; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = guard(Lock())
        self._entries: OrderedDict[str, Rendered] = OrderedDict()
        self._lengths: Counter[int] = Counter()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, rendered: Rendered) -> None:
        """Remembers a render, and forgets older ones where it is too much."""
        with self._lock:
            self._forget(self._entries.pop(rendered.text, None))
            self._entries[rendered.text] = rendered
            self._lengths[len(rendered.text)] += 1
            self._size += len(rendered.text) + len(rendered.variables)
            while len(self._entries) > TABLE_ENTRIES or self._size > TABLE_SIZE:
                self._forget(self._entries.popitem(last=False)[1])

    def _forget(self, rendered: Rendered | None) -> None:
        if rendered is None:
            return
        length = len(rendered.text)
        self._size -= length + len(rendered.variables)
        self._lengths[length] -= 1
        if not self._lengths[length]:
            del self._lengths[length]

    def get(self, text: str) -> Rendered | None:
        """The render of exactly this text; texts of a length that no render has are not even hashed."""
        return self._entries.get(text) if len(text) in self._lengths else None


_recent: ContextVar[tuple[Rendered, ...]] = ContextVar("otel_llm.rendered", default=())
_table = Table()
_explicit: ContextVar[tuple[Prompt, ...]] = ContextVar("otel_llm.use_prompt", default=())


def remember(prompt: Prompt, variables: dict[str, Any], text: str) -> None:
    """Notes what a prompt rendered; a failure here never fails the render."""
    if not text:
        return
    try:
        try:
            known = _canonical(variables)
        except (TypeError, ValueError, RecursionError):  # keys that are not texts, or a circle
            known = _canonical({name: str(value) for name, value in variables.items()})
        plain = all(type(value) is str for value in variables.values())
        rendered = Rendered(prompt, text, known, variables.copy() if plain else None)
        _recent.set((rendered, *_recent.get()[: RECENT - 1 if len(text) <= LARGE else 3]))
        _table.add(rendered)
    except Exception:
        fault("remembering a prompt")


def carried(texts: Iterable[str]) -> Rendered | None:
    """The longest render that one of the texts carries; of equally long ones the last of this context."""
    found: Rendered | None = None
    longest = 0
    recent = _recent.get()
    for text in texts:
        size = len(text)
        for rendered in recent if size >= SHORTEST_PART else ():
            length = len(rendered.text)
            if longest < length <= size and (
                rendered.text is text or (rendered.text in text if length >= SHORTEST_PART else rendered.text == text)
            ):
                found, longest = rendered, length
                if length == size:
                    break
        if longest < size and (other := _table.get(text)):
            found, longest = other, size
    return found


class Use:
    """``with use_prompt(…)``: what :func:`otel_llm.use_prompt` gives; every call below it came from the prompt."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt

    def __enter__(self) -> Prompt:
        _explicit.set((*_explicit.get(), self.prompt))
        return self.prompt

    def __exit__(self, *_: object) -> None:
        *outer, last = _explicit.get() or (None,)
        if last is self.prompt:  # else it was left in another context than entered, which has nothing to undo
            _explicit.set(tuple(outer))

    async def __aenter__(self) -> Prompt:
        return self.__enter__()

    async def __aexit__(self, *_: object) -> None:
        self.__exit__()


class PromptLink(Interceptor):
    """The interceptor that puts the name and version of the prompt on each call that came from one.

    Where content is kept, so are the variables, each as text.
    """

    policy = False

    def before(self, call: Invocation) -> None:
        """Links the call, explicitly or by the texts that it carries."""
        used = _explicit.get()
        if not (used or _table or _recent.get()):
            return
        rendered = carried(call.input_texts())
        if used and (rendered is None or rendered.prompt != used[-1]):
            rendered, prompt = None, used[-1]
        elif rendered is not None:
            prompt = rendered.prompt
        else:
            return
        values = call.values
        values[_NAME] = prompt.name
        values[_VERSION] = prompt.version
        values[_SOURCE] = prompt.source
        values[_TEMPLATE_HASH] = prompt.template_hash
        if rendered is not None:
            values[_VARIABLES_HASH] = rendered.variables_hash
            if call.kept is not None:
                for name, value in rendered.texts.items():
                    call.kept.keep(_VARIABLE + name, value, TEXT)
