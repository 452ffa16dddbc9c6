"""A handle for one question: its settings end with it, and another thread can stop it.

The embedded engine's settings belong to a handle, and once that is read-only they cannot be taken back. A new one costs
a millisecond, so every question gets its own. A server is sent the settings with each statement.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from otel_llm_collector.clickhouse.store import Store, literal
from otel_llm_collector.errors import StoreError

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_AGAIN = re.compile(r"(?:Code: \d+\. DB::Exception: )+(?=Code: \d+\. DB::Exception: )")
_VERSION = re.compile(r" \(version [^()]*(?:\([^()]*\))?\)(?:\. \(\w+\))?")
_KILL = "KILL QUERY WHERE Settings['log_comment'] = {mark:String} ASYNC"
# A subset of what the client takes for a placeholder: where one of these is found it leaves the rest of the text alone.
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*):[^{}]+\}", re.ASCII)


class Result(NamedTuple):
    """What a statement gave, and how much was read for it where the engine says so."""

    body: bytes
    rows_read: int = 0
    bytes_read: int = 0


class Session(Protocol):
    """Asks one statement after the other; not for two threads at once."""

    def ask(self, sql: str, format: str, parameters: Mapping[str, str] | None = None) -> Result:
        """The whole answer. Parameters are texts in ClickHouse's notation. Raises ``StoreError``."""
        ...


@contextlib.contextmanager
def session(store: Store, settings: Mapping[str, str | int]) -> Iterator[Session]:
    """A handle with settings, the last of which may be ``readonly``; ``log_comment`` is the mark to stop it by."""
    if not store.embedded:
        yield _Remote(store, settings)
        return
    import chdb

    store.client  # noqa: B018  the engine itself is opened there, in its time zone
    handle = chdb.connect(str(store.path))
    try:
        embedded = _Embedded(handle)
        embedded.ask("SET " + ", ".join(f"{name} = {literal(value)}" for name, value in settings.items()), "Null")
        yield embedded
    finally:
        handle.close()


def stop(store: Store, mark: str) -> None:
    """Stop what runs in sessions with this ``log_comment``; returns before it has stopped."""
    with session(store, {"log_comment": ""}) as own:
        own.ask(_KILL, "Null", {"mark": mark})


class _Embedded:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def ask(self, sql: str, format: str, parameters: Mapping[str, str] | None = None) -> Result:
        try:
            result = self._handle.query(sql, format, params=dict(parameters or {}))
            return Result(result.bytes() or b"", result.storage_rows_read(), result.storage_bytes_read())
        except RuntimeError as error:
            raise _told(str(error)) from None
        except UnicodeDecodeError as error:  # of the engine's own words
            raise _told(bytes(error.object).decode(errors="replace")) from None


class _Remote:
    def __init__(self, store: Store, settings: Mapping[str, str | int]) -> None:
        self._store = store
        self._client: Client = store.client
        self._settings = dict(settings)

    def ask(self, sql: str, format: str, parameters: Mapping[str, str] | None = None) -> Result:
        # Only names that the text has: given others, the client would fill in %-placeholders instead.
        wanted = set(_PLACEHOLDER.findall(sql))
        bound = {name: _Text(value) for name, value in (parameters or {}).items() if name in wanted}
        with self._store.translated():
            return Result(self._client.raw_query(sql, parameters=bound or None, settings=self._settings, fmt=format))


class _Text:
    """A parameter's value as ClickHouse reads it, passed on as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def _told(text: str) -> StoreError:
    """The engine's error, said once and without its version."""
    found = _CODE.search(text)
    plain = _VERSION.sub("", _AGAIN.sub("", text[found.start() :] if found else text)).strip()
    codes = _CODE.match(plain)
    return StoreError(plain, int(codes[1]) if codes else None)
