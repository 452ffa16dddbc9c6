"""One store, one client: ClickHouse embedded in this process, or a server.

The embedded engine allows one process a path and one path a process, and a handle that two threads share hands one the
other's rows; so every thread gets a handle of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from otel_llm.errors import ConfigError
from otel_llm_collector.errors import StoreError, StoreUnavailable

from .cluster import Cluster, quoted
from .url import PORTS, masked, server_parts

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PATTERNS = frozenset("*?{}")
"""What the embedded engine takes for a pattern in the path of a file: it would read others, or none."""
MINIMUM = (25, 6)
"""The oldest server: from this version on a protobuf schema can be sent along as text."""
_ONCE: dict[str, str | int] = {
    # An insert that is repeated counts once, in every table down the chain. Newer servers have these as defaults, and
    # older ones do not know them all.
    "insert_deduplicate": 1,
    "deduplicate_insert": "enable",
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "async_insert": 0,
}
_ON_CLUSTER: dict[str, str | int] = {
    "distributed_foreground_insert": 1,  # an insert that is answered is on the shards, not in a spool before them
    "distributed_product_mode": "global",
}
_CONNECT_TIMEOUT_S = 5
_UNKNOWN_DATABASE = 81
_environment = threading.Lock()
_OWN_WORDS = re.compile(r"Code: \d+\..*?(?= \(for url |\Z)", re.DOTALL)
_ALLOCATOR = "JE_MALLOC_CONF"
_KEPT = "dirty_decay_ms:1000"
"""Memory that inserts have freed goes back to the system after a second, not five; inserts cost the same."""
_HOLDER = re.compile(r"PID: (\d+)")


def literal(value: str | int) -> str:
    """A value as a SQL literal."""
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


def _holder(folder: Path) -> str:
    """The number of the process whose engine has an embedded store open; empty where none has.

    The engine locks a file ``status``, which outlives an engine that was killed. Of a store that is taken the engine
    does not say by whom, and writes to stderr by itself.
    """
    try:
        with (folder / "status").open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found = _HOLDER.search(file.read())
                return found[1] if found else "unknown"
    except OSError:
        pass
    return ""


def _bottom(error: BaseException) -> str:
    """What the system said, without what the client says around it."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    return (error.strerror if isinstance(error, OSError) else None) or str(error).rstrip(".") or type(error).__name__


@contextlib.contextmanager
def _surroundings(folder: Path) -> Iterator[None]:
    """Where the embedded engine is opened: in UTC, and at first in a folder of its own.

    It takes its time zone from the environment, once, and nothing else sets it, nor how long its allocator keeps memory
    that it may need again; and when it is imported it reads a ``config.xml`` of the working directory, whosesoever that
    is.
    """
    with _environment, contextlib.ExitStack() as stack:
        if "chdb" not in sys.modules:
            stack.enter_context(contextlib.chdir(folder))
        before = {name: os.environ.get(name) for name in ("TZ", _ALLOCATOR)}
        os.environ["TZ"] = "UTC"
        os.environ.setdefault(_ALLOCATOR, _KEPT)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


class Store:
    """A ClickHouse that this process may read and write, by its URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.embedded = url.startswith("chdb://")
        self.cluster: Cluster | None = None
        if self.embedded:
            self.path = Path(url.removeprefix("chdb://"))
            self.database = "default"
            if not self.path.is_absolute() or PATTERNS.intersection(url):
                raise ConfigError(f"Store {url} must be chdb:// and an absolute path without any of * ? {{ }}.")
        elif parts := server_parts(url):
            self.host, self.port = parts.hostname, parts.port or PORTS[parts.scheme]
            self._secure = parts.scheme == "clickhouses"
            self.user, self.password = unquote(parts.username or "default"), unquote(parts.password or "")
            self.database = unquote(parts.path.strip("/")) or "default"
            asked = parse_qs(parts.query, keep_blank_values=True)
            if name := "".join(asked.pop("cluster", [])):
                self.cluster = Cluster(name, self.database)
            self._ca_cert = "".join(asked.pop("ca_cert", [])) or None
            if asked:
                raise ConfigError(
                    f"Store {self.name} says {', '.join(asked)}; after ? there are only cluster=name and ca_cert=file."
                )
        else:
            raise ConfigError(
                f"Store {self.name} is not a store: write chdb:///absolute/path or "
                "clickhouse://user:password@host:8123/database (clickhouses:// for TLS), with ?cluster=name for one; "
                "in a password / ? # [ ] and @ are written %2F %3F %23 %5B %5D and %40."
            )
        self._local = threading.local()
        self._clients: list[Client] = []

    @property
    def name(self) -> str:
        """The URL without its password."""
        return self.url if self.embedded else masked(self.url)

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
                self.path.mkdir(0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise StoreUnavailable(f"The store's folder {self.path} cannot be used: {error.strerror}.") from error
            with _surroundings(self.path):
                if (holder := _holder(self.path)) not in ("", str(os.getpid())):
                    raise StoreUnavailable(f"Process {holder} already uses the store {self.path}; stop it.")
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
            "secure": self._secure,
            "ca_cert": self._ca_cert,
            "connect_timeout": _CONNECT_TIMEOUT_S,
            "autogenerate_session_id": False,
        }
        if self.cluster is not None:
            settings = {**_ON_CLUSTER, **settings}
        try:
            return self._checked(clickhouse_connect.get_client(**where, database=self.database, settings=settings))
        except DatabaseError as error:
            if error.code != _UNKNOWN_DATABASE:
                raise
        first = self._checked(clickhouse_connect.get_client(**where, database="default"))
        if self.cluster is None:
            first.command(f"CREATE DATABASE IF NOT EXISTS {quoted(self.database)}")
        else:
            first.command(self.cluster.database_statement())
        first.close()
        return clickhouse_connect.get_client(**where, database=self.database, settings=settings)

    def _checked(self, client: Client) -> Client:
        """The handle of a server that is new enough."""
        said = str(client.server_version)
        if tuple(int(part) for part in said.split(".")[:2] if part.isdecimal()) < MINIMUM:
            client.close()
            raise StoreError(
                f"ClickHouse at {self.name} is version {said}; otel-llm needs {MINIMUM[0]}.{MINIMUM[1]} or newer."
            )
        return client

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

    def define(self, sql: str) -> None:
        """Run a statement of the schema, on a cluster on all of it."""
        for statement in [sql] if self.cluster is None else self.cluster.statements(sql):
            self.command(statement)

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a question, a dictionary each."""
        return [json.loads(line) for line in self.raw(sql, "JSONEachRow").splitlines()]

    def raw(self, sql: str, format: str) -> bytes:
        """The answer to a question in one of ClickHouse's formats."""
        with self.translated():
            return self.client.raw_query(sql, fmt=format)

    def insert_file(self, table: str, path: Path, format: str, settings: Mapping[str, str | int]) -> None:
        """Insert a file, which the embedded engine reads by itself and a server is sent.

        With the same ``insert_deduplication_token`` and contents it counts once, however often it is repeated.
        """
        with self.translated():
            known = self.client.server_settings
            settings = {**{name: value for name, value in _ONCE.items() if name in known}, **settings}
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
                raise StoreUnavailable(
                    f"ClickHouse at {self.name} cannot be reached: {_bottom(error)}.", code
                ) from error
            own = _OWN_WORDS.search(text)  # what ClickHouse said, without what the client says around it
            raise StoreError(own[0] if own else text, code) from error

    def close(self) -> None:
        """Close every handle; the embedded engine ends with its last one."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._local = threading.local()
