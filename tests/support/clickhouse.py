"""A stand-in for a ClickHouse server: the embedded engine behind ClickHouse's HTTP interface.

It answers what clickhouse-connect asks of a server, so that the collector's path to one can be tested where there is
no server. ``python -m tests.support.clickhouse <folder> <port>``; it prints its port when it listens.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
PASSWORD = "right"
_INSERT = re.compile(r"INSERT INTO (\S+?)\s+FORMAT (\w+)\s*", re.IGNORECASE)


class ClickHouse:
    """A server that runs, on a port that stays the same when it is started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"clickhouse://default:{PASSWORD}@127.0.0.1:{self.port}/otel"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.clickhouse", str(self.folder), str(self.port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


async def _serve(folder: Path, port: int) -> None:
    import chdb
    from aiohttp import web
    from clickhouse_connect.driver._backend.chdb_backend import CHDB_TRANSPORT_SETTINGS

    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # where the engine keeps format schemas that it is sent as text
    keep = chdb.connect(str(folder / "store"))

    def run(asked: dict[str, str], sent: bytes) -> tuple[int, bytes, str]:
        sql = asked.pop("query", "")
        connection = chdb.connect(str(folder / "store"))
        try:
            database = asked.pop("database", "default")
            parameters = {name[6:]: asked.pop(name) for name in list(asked) if name.startswith("param_")}
            connection.query(f"USE `{database}`", "TSV")
            for name, text in sorted(asked.items(), key=lambda pair: pair[0] == "readonly"):  # all at once, on a server
                if name not in CHDB_TRANSPORT_SETTINGS:
                    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
                    connection.query(f"SET {name} = '{escaped}'", "TSV")
            if insert := _INSERT.match(sql):
                with tempfile.NamedTemporaryFile() as file:
                    file.write(sent)
                    file.flush()
                    into = f"INSERT INTO {insert[1]} FROM INFILE '{file.name}' FORMAT {insert[2]}"
                    return 200, connection.query(into, "TSV").bytes(), "TSV"
            text = "\n".join(filter(None, (sql, sent.decode())))
            return 200, connection.query(text, "TabSeparated", params=parameters).bytes() or b"", "TabSeparated"
        except RuntimeError as error:
            return 404, str(error).encode(), "TabSeparated"
        finally:
            connection.close()

    async def answer(request: web.BaseRequest) -> web.Response:
        if request.headers.get("Authorization") != _basic():
            return web.Response(
                status=403,
                text="Code: 516. DB::Exception: default: Authentication failed. (AUTHENTICATION_FAILED)",
                headers={"X-ClickHouse-Exception-Code": "516"},
            )
        code, sent, format = await asyncio.to_thread(run, dict(request.query), await request.read())
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
    keep.close()


def _basic() -> str:
    from base64 import b64encode

    return f"Basic {b64encode(f'default:{PASSWORD}'.encode()).decode()}"


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
