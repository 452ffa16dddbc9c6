"""Asking the store: through the collector when it runs, else by opening the store itself.

An embedded store has one process at a time, so while a collector runs everybody asks it.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import urlencode

from . import local
from .errors import CollectorError
from .lock import FolderLock
from .running import Running
from .settings import Settings

_TIMEOUT_S = 120.0
_OURS = re.compile(r"Code: (?:164|497)\. DB::Exception: (.*) \((?:READONLY|ACCESS_DENIED)\)", re.DOTALL)
"""A refusal of ours, in the form that ClickHouse's clients know."""


class _Source(Protocol):
    def ask(self, sql: str, parameters: Mapping[str, str], format: str) -> bytes: ...

    def flush(self) -> None: ...


class Reader:
    """Reads the store of a data folder; a context manager.

    ``with Reader.open(Path(".otel-llm")) as reader: reader.query("SELECT count() AS n FROM llm_calls")``
    """

    def __init__(self, source: _Source, close: ExitStack, running: Running | None) -> None:
        self._source = source
        self._close = close
        self.running = running

    @classmethod
    def open(cls, data: Path, store: str | None = None) -> Reader:
        """The reader of ``data``; ``store`` is a ClickHouse server's URL, for when no collector runs.

        Raises ``CollectorError`` when there is nothing to read.
        """
        stack = ExitStack()
        running = Running.find(data)
        if running is not None:
            return cls(_Http(running, data), stack, running)
        if store is None and not (data / "store").is_dir():
            raise CollectorError(f"There is no data in {data.resolve()}; `otel-llm up` or `otel-llm demo` makes some.")
        try:
            source = _Direct(Settings(data=data, store=store), stack)
        except BaseException:
            stack.close()
            raise
        return cls(source, stack, None)

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of a question, a dictionary each, with JSON's types: decimals are floats, times are texts in UTC.

        ``{name:Type}`` in the text is filled from ``parameters``.
        """
        return [json.loads(line) for line in self.raw(sql, "JSONEachRow", parameters).splitlines()]

    def raw(self, sql: str, format: str = "JSON", parameters: Mapping[str, Any] | None = None) -> bytes:
        """The answer in any of ClickHouse's formats; a FORMAT clause in the text wins."""
        return self._source.ask(sql, {name: notation(value) for name, value in (parameters or {}).items()}, format)

    def flush(self) -> None:
        """Wait until everything that the collector has acknowledged can be queried."""
        self._source.flush()

    def close(self) -> None:
        self._close.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Http:
    """A collector that runs."""

    def __init__(self, running: Running, data: Path) -> None:
        self._running = running
        self._url = running.api
        self._headers = local.headers(data)

    def ask(self, sql: str, parameters: Mapping[str, str], format: str) -> bytes:
        names = {f"param_{name}": value for name, value in parameters.items()}
        return self._send("POST", f"/?{urlencode({'default_format': format, **names})}", sql.encode())

    def flush(self) -> None:
        self._send("POST", "/v1/flush", b"")

    def _send(self, method: str, path: str, body: bytes) -> bytes:
        connection = local.connection(self._url, self._running.certificate, _TIMEOUT_S)
        try:
            connection.request(method, path, body, self._headers)
            response = connection.getresponse()
            answer = response.read()
        except ssl.SSLError as error:
            raise CollectorError(local.no_tls(self._url, error)) from error
        except (OSError, HTTPException) as error:
            raise CollectorError(f"The collector at {self._url} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            said = answer.decode(errors="replace").strip()
            own = _OURS.fullmatch(said)
            raise CollectorError(own[1] if own else said)
        return answer


class _Direct:
    """The store itself, under the folder's lock."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        from .clickhouse.store import Store
        from .sql.query import Query  # these bring the engine, which asking a collector does not need

        store = Store(settings.store_url)
        if store.embedded:
            lock = FolderLock(settings.data)
            lock.acquire()
            stack.callback(lock.release)
        stack.callback(store.close)
        self._query = Query(store, settings)

    def ask(self, sql: str, parameters: Mapping[str, str], format: str) -> bytes:
        return self._query.ask(sql, parameters, format)[0]

    def flush(self) -> None:
        """Nothing waits where no collector runs."""


def notation(value: Any, inside: bool = False) -> str:
    """A value in ClickHouse's notation for parameters; texts are quoted inside lists only."""
    if value is None:
        return "NULL" if inside else "\\N"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(notation(item, inside=True) for item in value)}]"
    text = str(value).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
    if inside and not isinstance(value, (int, float)):
        return "'" + text.replace("'", "\\'") + "'"
    return text
