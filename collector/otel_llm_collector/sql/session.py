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
from otel_llm_collector.settings import MIB

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

RESULT_BYTES = 256 * MIB
"""Most that an answer may take as it is written."""
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")
_AGAIN = re.compile(r"(?:Code: \d+\. DB::Exception: )+(?=Code: \d+\. DB::Exception: )")
_VERSION = re.compile(r" \(version [^()]*(?:\([^()]*\))?\)(?:\. \(\w+\))?")
_KILL = "KILL QUERY WHERE Settings['log_comment'] = {mark:String} ASYNC"
# A subset of what the client takes for a placeholder: where one of these is found it leaves the rest of the text alone.
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*):[^{}]+\}", re.ASCII)
_TOO_LARGE = 396


class Result(NamedTuple):
    """What a statement gave, and how much was read for it where the engine says so."""

    body: bytes
    rows_read: int = 0
    bytes_read: int = 0


class Session(Protocol):
    """Asks one statement after the other; not for two threads at once."""

    def ask(self, sql: str, format: str, parameters: Mapping[str, str] | None = None) -> Result:
        """The whole answer. Parameters are texts in ClickHouse's notation.

        Raises ``StoreError``, also where the answer has more than ``RESULT_BYTES``.
        """
        ...


@contextlib.contextmanager
def session(store: Store, settings: Mapping[str, str | int]) -> Iterator[Session]:
    """A handle with settings, the last of which may be ``readonly``; ``log_comment`` is the mark to stop it by."""
    if not store.embedded:
        yield _Remote(store, settings)
        return
    import chdb

    store.client  # noqa: B018 - the engine itself is opened there, in its time zone
    handle = chdb.connect(str(store.path))
    try:
        embedded = _Embedded(handle)
        embedded.set(settings)
        yield embedded
    finally:
        handle.close()


def stop(store: Store, mark: str) -> None:
    """Stop what runs in sessions with this ``log_comment``; returns before it has stopped."""
    with session(store, {"log_comment": ""}) as own:
        own.ask(_KILL, "Null", {"mark": mark})


def saying(words: str, error: StoreError) -> StoreError:
    """An error of ClickHouse with words of ours before its own, behind its number."""
    text = str(error)
    found = _CODE.match(text)
    at = found.end() if found else 0
    return StoreError(f"{text[:at]}{words}{text[at:]}", error.code)


class _Embedded:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def set(self, settings: Mapping[str, str | int]) -> None:
        """All at once; what the engine says of one that it does not take gets its name."""
        pairs = {name: f"{name} = {literal(value)}" for name, value in settings.items()}
        try:
            self.ask("SET " + ", ".join(pairs.values()), "Null")
        except StoreError:
            for name, pair in pairs.items():
                try:
                    self.ask(f"SET {pair}", "Null")
                except StoreError as error:
                    raise saying(f"Setting {name}: ", error) from None
            raise

    def ask(self, sql: str, format: str, parameters: Mapping[str, str] | None = None) -> Result:
        try:
            result = self._handle.query(sql, format, params=dict(parameters or {}))
            if result.size() > RESULT_BYTES:
                raise _too_large(format)
            return Result(result.bytes() or b"", result.storage_rows_read(), result.storage_bytes_read())
        except RuntimeError as error:
            raise _told(str(error)) from None
        except UnicodeDecodeError as error:  # of the engine's own words
            raise _told(bytes(error.object).decode(errors="replace")) from None


class _Remote:
    def __init__(self, store: Store, settings: Mapping[str, str | int]) -> None:
        self._store = store
        self._client: Client = store.client
        # Errors come before the answer, not in the middle of it.
        self._settings = {**settings, "wait_end_of_query": 1}

    def ask(self, sql: str, format: str, parameters: Mapping[str, str] | None = None) -> Result:
        # Only names that the text has: given others, the client would fill in %-placeholders instead.
        wanted = set(_PLACEHOLDER.findall(sql))
        bound = {name: _Text(value) for name, value in (parameters or {}).items() if name in wanted}
        with self._store.translated():
            stream: Any = self._client.raw_stream(sql, parameters=bound or None, settings=self._settings, fmt=format)
            with contextlib.closing(stream):
                body: bytes = stream.read(RESULT_BYTES + 1)
        if len(body) > RESULT_BYTES:
            raise _too_large(format)
        return Result(body)


class _Text:
    """A parameter's value as ClickHouse reads it, passed on as it is."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


def _too_large(format: str) -> StoreError:
    words = f"Limit for result exceeded: the answer has more than {RESULT_BYTES // MIB} MiB as {format}."
    return StoreError(f"Code: {_TOO_LARGE}. DB::Exception: {words} (TOO_MANY_ROWS_OR_BYTES)", _TOO_LARGE)


def _told(text: str) -> StoreError:
    """The engine's error, said once and without its version."""
    found = _CODE.search(text)
    plain = _VERSION.sub("", _AGAIN.sub("", text[found.start() :] if found else text)).strip()
    codes = _CODE.match(plain)
    return StoreError(plain, int(codes[1]) if codes else None)
