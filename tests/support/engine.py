"""The engine of a stand-in server: embedded, in a folder, with a configuration of its own, for many connections."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EVERYWHERE = re.compile(r" ON CLUSTER `\w+`")
_SHARD = "<shard><replica><host>localhost</host><port>{}</port></replica></shard>"
_CONFIGURATION = """
<clickhouse>
  <tcp_port>{port}</tcp_port>
  <remote_servers><one>{shards}</one></remote_servers>
</clickhouse>
"""


class Engine:
    """ClickHouse's engine, and a cluster called ``one``: this node by itself, or with those at other native ports.

    There is no queue of statements for all nodes and no replication in it: a statement ``ON CLUSTER`` is run here, and
    replicated engines are plain ones.
    """

    def __init__(self, folder: Path, port: int = 9000, shards: Sequence[int] = ()) -> None:
        """``port`` is this node's among the native ports of ``shards``."""
        import chdb

        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)  # where the engine keeps format schemas that it is sent as text
        nodes = "".join(_SHARD.format(shard) for shard in shards or (port,))
        (folder / "config.xml").write_text(_CONFIGURATION.format(port=port, shards=nodes))
        self._where = f"{folder / 'store'}?config-file={folder / 'config.xml'}"
        self._connect = chdb.connect
        self._keep = chdb.connect(self._where)

    def close(self) -> None:
        self._keep.close()

    def ask(
        self,
        sql: str,
        format: str,
        database: str,
        settings: Mapping[str, str],
        parameters: Mapping[str, str] | None = None,
        tables: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """The answer to one statement; ``RuntimeError`` with what the engine says.

        ``tables`` are temporary ones, in the format Native.
        """
        with self._connection(database, settings) as connection:
            for name, contents in (tables or {}).items():
                with tempfile.NamedTemporaryFile() as file:
                    file.write(contents)
                    file.flush()
                    read = f"SELECT * FROM file('{file.name}', 'Native')"
                    connection.query(f"CREATE TEMPORARY TABLE `{name}` AS {read}", "TSV")
            answer: bytes | None = connection.query(_alone(sql), format, params=dict(parameters or {})).bytes()
        return answer or b""

    def insert(self, into: str, format: str, contents: bytes, database: str, settings: Mapping[str, str]) -> None:
        """Insert into a table, with or without names of columns."""
        with self._connection(database, settings) as connection, tempfile.NamedTemporaryFile() as file:
            file.write(contents)
            file.flush()
            connection.query(f"INSERT INTO {into} FROM INFILE '{file.name}' FORMAT {format}", "TSV")

    @contextmanager
    def _connection(self, database: str, settings: Mapping[str, str]) -> Iterator[Any]:
        connection = self._connect(self._where)
        try:
            connection.query(f"USE `{database}`", "TSV")
            for name in sorted(settings, key="readonly".__eq__):  # all at once, on a server
                escaped = settings[name].replace("\\", "\\\\").replace("'", "\\'")
                connection.query(f"SET {name} = '{escaped}'", "TSV")
            yield connection
        finally:
            connection.close()


def _alone(sql: str) -> str:
    """A statement for a cluster as one for this node."""
    if not _EVERYWHERE.search(sql):
        return sql
    single = _EVERYWHERE.sub("", sql).replace("ENGINE = Replicated", "ENGINE = ")
    return single.replace(" replicated_deduplication_window", " non_replicated_deduplication_window")
