"""One store, one client: ClickHouse embedded in this process, or a server.

The embedded engine allows one process a path and one path a process, and a handle that two threads share hands one the
other's rows; so every thread gets a handle of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from otel_llm.errors import ConfigError

from .errors import StoreError, StoreUnavailable

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PATTERNS = frozenset("*?{}")
"""What the embedded engine takes for a pattern in the path of a file: it would read others, or none."""
_CONNECT_TIMEOUT_S = 5
_UNKNOWN_DATABASE = 81
_environment = threading.Lock()
_OWN_WORDS = re.compile(r"Code: \d+\..*?(?= \(for url |\Z)", re.DOTALL)


def literal(value: str | int) -> str:
    """A value as a SQL literal."""
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _port(parts: SplitResult) -> int | None:
    """The port of a server's URL, or ``None`` when it is not a number."""
    try:
        return parts.port or 8123
    except ValueError:
        return None


@contextlib.contextmanager
def _utc() -> Iterator[None]:
    """Open the embedded engine in UTC: it takes its time zone from the environment, once, and nothing else sets it."""
    with _environment:
        before = os.environ.get("TZ")
        os.environ["TZ"] = "UTC"
        try:
            yield
        finally:
            if before is None:
                del os.environ["TZ"]
            else:
                os.environ["TZ"] = before


class Store:
    """A ClickHouse that this process may read and write, by its URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self.embedded = parts.scheme == "chdb"
        if self.embedded:
            self.path = Path(url.removeprefix("chdb://"))
            self.database = "default"
            if not self.path.is_absolute() or PATTERNS.intersection(url):
                raise ConfigError(f"Store {url} must be chdb:// and an absolute path without any of * ? {{ }}.")
        elif parts.scheme == "clickhouse" and parts.hostname and _port(parts) is not None:
            self.host, self.port = parts.hostname, _port(parts)
            self.user, self.password = unquote(parts.username or "default"), unquote(parts.password or "")
            self.database = unquote(parts.path.strip("/")) or "default"
        else:
            raise ConfigError(
                f"Store {self.name} is not a store: write chdb:///absolute/path or "
                "clickhouse://user:password@host:8123/database."
            )
        self._local = threading.local()
        self._clients: list[Client] = []

    @property
    def name(self) -> str:
        """The URL without its password."""
        parts = urlsplit(self.url)
        return self.url if parts.password is None else self.url.replace(f":{parts.password}@", ":***@", 1)

    def connect(self, settings: Mapping[str, str | int] | None = None) -> Client:
        """A new handle, with settings that stay on it; closed with the store."""
        with self.translated():
            client = self._open(dict(settings or {}))
        self._clients.append(client)
        return client

    def _open(self, settings: dict[str, str | int]) -> Client:
        import clickhouse_connect  # heavy, and only wanted where a store is used
        from clickhouse_connect.driver.exceptions import DatabaseError

        if self.embedded:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"The store's folder {self.path} cannot be used: {error.strerror}.") from error
            with _utc():
                return clickhouse_connect.get_client(
                    interface="chdb",
                    path=str(self.path),
                    settings=settings,
                    chdb_options={"tmp_path": str(self.path / "tmp") + "/"},
                )
        where: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "password": self.password,
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "autogenerate_session_id": False,
        }
        try:
            return clickhouse_connect.get_client(**where, database=self.database, settings=settings)
        except DatabaseError as error:
            if error.code != _UNKNOWN_DATABASE:
                raise
        first = clickhouse_connect.get_client(**where, database="default")
        first.command(f"CREATE DATABASE IF NOT EXISTS `{self.database}`")
        first.close()
        return clickhouse_connect.get_client(**where, database=self.database, settings=settings)

    @property
    def client(self) -> Client:
        """This thread's handle."""
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = self.connect()
        return client

    def command(self, sql: str, parameters: Mapping[str, str | int] | None = None) -> None:
        """Run a statement that answers nothing; ``parameters`` fill ``{name:Type}`` in it."""
        with self.translated():
            self.client.command(sql, parameters=dict(parameters) if parameters else None)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a question, a dictionary each."""
        with self.translated():
            answer = self.client.raw_query(sql, fmt="JSONEachRow")
        return [json.loads(line) for line in answer.splitlines()]

    def insert_file(self, table: str, path: Path, format: str, settings: Mapping[str, str | int]) -> None:
        """Insert a file, which the embedded engine reads by itself and a server is sent."""
        with self.translated():
            if self.embedded:
                pairs = ", ".join(f"{name} = {literal(value)}" for name, value in settings.items())
                self.client.command(
                    f"INSERT INTO {table} FROM INFILE {literal(str(path))} SETTINGS {pairs} FORMAT {format}"
                )
            else:
                with path.open("rb") as file:
                    self.client.raw_insert(table, insert_block=file, settings=dict(settings), fmt=format)

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the client as ours."""
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        try:
            yield
        except ClickHouseError as error:
            text, code = str(error), getattr(error, "code", None)
            if code is None or isinstance(error, OperationalError):
                raise StoreUnavailable(f"ClickHouse at {self.name} cannot be reached: {text}", code) from error
            own = _OWN_WORDS.search(text)  # what ClickHouse said, without what the client says around it
            raise StoreError(own[0] if own else text, code) from error

    def close(self) -> None:
        """Close every handle; the embedded engine ends with its last one."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._local = threading.local()
