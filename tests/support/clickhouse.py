"""A stand-in for a ClickHouse server: the embedded engine behind ClickHouse's HTTP interface.

It answers what clickhouse-connect and clickhouse-go ask of a server, so that the ways to one can be tested where there
is no server. ``python -m tests.support.clickhouse <folder> <port> [<native port> <native port of every shard> …]``; it
prints its port when it listens. With native ports it is a shard of a cluster, in which Distributed tables are real.
"""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
PASSWORD = "right"
_INSERT = re.compile(r"\s*INSERT INTO (\S+?\s*(?:\([^()]*\)\s*)?)\s+FORMAT (\w+)\s*", re.IGNORECASE)
_DEAF, _VERSION, _PASSWORD, _SLOW, _REFUSES = "deaf", "version", "password", "slow", "refuses"
"""Files by which it is told how to behave."""
_INSERTED = "inserted"
"""A file with a line for each insert: database, table, and the token that makes it count once."""


class ClickHouse:
    """A server that runs, on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, native: int = 0, shards: Sequence[int] = ()) -> None:
        self.folder = folder
        self.port = 0
        self.database = "otel"
        self._shard = [str(port) for port in (native, *shards)] if native else []
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"clickhouse://default:{PASSWORD}@127.0.0.1:{self.port}/{self.database}"

    @property
    def cluster_url(self) -> str:
        return f"{self.url}?cluster=one"

    @property
    def runs(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.clickhouse", str(self.folder), str(self.port), *self._shard],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if not (said := self._process.stdout.readline()):
            self.stop()
            raise AssertionError("The stand-in for a server did not start.")
        self.port = int(said)

    def swallow_next_insert(self) -> None:
        """Take the next insert and cut the connection instead of answering it."""
        (self.folder / _DEAF).touch()

    def pretend(self, version: str) -> None:
        """Say from now on that it is of another version."""
        (self.folder / _VERSION).write_text(version)

    def change_password(self, password: str) -> None:
        """Let in from now on only who has this one."""
        (self.folder / _PASSWORD).write_text(password)

    def slow_down(self, seconds: float) -> None:
        """Take so much longer for every insert."""
        (self.folder / _SLOW).write_text(str(seconds))

    def refuse_inserts(self, error: str) -> None:
        """Answer every insert with an error, in ClickHouse's words."""
        (self.folder / _REFUSES).write_text(error)

    def recover(self) -> None:
        """Be as at first."""
        for name in (_DEAF, _PASSWORD, _SLOW, _REFUSES):
            (self.folder / name).unlink(missing_ok=True)

    def inserted(self) -> list[tuple[str, str]]:
        """The table and the token of every insert so far, in order."""
        lines = (self.folder / _INSERTED).read_text().splitlines()
        found = [line.split(" ") for line in lines]
        return [(table, token) for database, table, token in found if database == self.database]

    @property
    def has_swallowed(self) -> bool:
        """Whether the insert to be swallowed has come."""
        return not (self.folder / _DEAF).exists()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


async def _serve(folder: Path, port: int, native: int = 0, *shards: int) -> None:
    from aiohttp import web
    from clickhouse_connect.driver._backend.chdb_backend import CHDB_TRANSPORT_SETTINGS

    from otel_llm_collector.dialect.compression import framed
    from otel_llm_collector.dialect.native import versioned
    from tests.support import frames
    from tests.support.engine import Engine
    from tests.support.native import NativeServer

    engine = Engine(folder, native, shards) if native else Engine(folder)
    if native:
        NativeServer(engine, native).start()

    def run(asked: dict[str, str], sent: bytes) -> tuple[int, bytes, str]:
        sql, database = asked.pop("query", ""), asked.pop("database", "default")
        of_go = asked.pop("default_format", "") == "Native"
        if asked.get("decompress") == "1":
            sent = frames.decompress(sent)
        parameters = {name[6:]: asked.pop(name) for name in list(asked) if name.startswith("param_")}
        settings = {name: text for name, text in asked.items() if name not in CHDB_TRANSPORT_SETTINGS}
        try:
            if insert := _INSERT.match(sql):
                if said := _read(folder / _REFUSES):
                    raise RuntimeError(said)
                time.sleep(float(_read(folder / _SLOW) or 0))
                engine.insert(insert[1], insert[2], sent, database, settings)
                with (folder / _INSERTED).open("a") as file:
                    file.write(f"{database} {insert[1].strip()} {settings.get('insert_deduplication_token', '')}\n")
                return 200, b"", "TSV"
            text = "\n".join(filter(None, (sql, sent.decode())))
            if (folder / _VERSION).exists():
                text = text.replace("version()", f"'{(folder / _VERSION).read_text()}' AS version")
            if of_go:
                block = versioned(engine.ask(text, "Native", database, settings), lambda: None)
                return 200, framed(block, "lz4") if asked.get("compress") == "1" else block, "Native"
            return 200, engine.ask(text, "TabSeparated", database, settings, parameters), "TabSeparated"
        except RuntimeError as error:
            return 404, str(error).encode(), "TabSeparated"

    async def answer(request: web.BaseRequest) -> web.Response:
        if not _allowed(request.headers, _read(folder / _PASSWORD) or PASSWORD):
            return web.Response(
                status=403,
                text="Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)",
                headers={"X-ClickHouse-Exception-Code": "516"},
            )
        code, sent, format = await asyncio.to_thread(run, dict(request.query), await request.content.read())
        if _INSERT.match(request.query.get("query", "")) and (folder / _DEAF).exists():
            (folder / _DEAF).unlink()
            assert request.transport is not None
            request.transport.abort()
        headers = {"X-ClickHouse-Format": format}
        if code != 200 and (number := re.search(rb"Code: (\d+)", sent)):
            headers["X-ClickHouse-Exception-Code"] = number[1].decode()
        return web.Response(status=code, body=sent, headers=headers)

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(runner.addresses[0][1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    engine.close()


def _read(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _allowed(headers: Mapping[str, str], password: str) -> bool:
    """Whether the password is right, in either way to send it."""
    basic = f"Basic {b64encode(f'default:{password}'.encode()).decode()}"
    return headers.get("Authorization") == basic or headers.get("X-ClickHouse-Key") == password


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), *map(int, sys.argv[2:])))
