"""The API port: is it alive, what has it done, and read-only SQL as ClickHouse's HTTP interface speaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from .errors import CollectorError
from .listen import listen, server_log
from .pages import foreign
from .query import Query
from .settings import DRAIN_S, MIB, Settings

_THREADS = 4
_TYPES = {
    "JSON": "application/json",
    "JSONCompact": "application/json",
    "JSONEachRow": "application/x-ndjson",
    "CSV": "text/csv",
    "CSVWithNames": "text/csv",
    "TabSeparated": "text/tab-separated-values",
    "TabSeparatedWithNames": "text/tab-separated-values",
    "TSV": "text/tab-separated-values",
    "TSVWithNames": "text/tab-separated-values",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/vnd.apache.parquet",
    "Arrow": "application/vnd.apache.arrow.file",
}


class Api:
    """The endpoints; ``status`` and ``problems`` tell about the collector, ``flush`` waits in a thread."""

    def __init__(
        self,
        query: Query,
        status: Callable[[], Mapping[str, Any]],
        problems: Callable[[], list[str]],
        flush: Callable[[], bool],
    ) -> None:
        self._query = query
        self._status = status
        self._problems = problems
        self._flush = flush
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="otel-llm-query")

    async def start(self, settings: Settings) -> tuple[web.AppRunner, int]:
        """The endpoints on their port."""

        @web.middleware
        async def ours_only(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if refusal := foreign(request, settings.host):
                return web.Response(status=403, text=f"{refusal}\n")
            return await handler(request)

        app = web.Application(client_max_size=MIB, middlewares=[ours_only])
        app.add_routes(
            [
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/v1/status", self._show_status),
                web.post("/v1/flush", self._wait),
                web.get("/", self._ask),
                web.post("/", self._ask),
            ]
        )
        runner = web.AppRunner(app, access_log=None, logger=server_log, shutdown_timeout=DRAIN_S)
        return runner, await listen(runner, settings, settings.api_port, "The API")

    def close(self) -> None:
        self._threads.shutdown()

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        """503 with the reasons while not everything that is accepted can also be stored."""
        problems = self._problems()
        return web.Response(status=503 if problems else 200, text="\n".join(problems or ["ok"]) + "\n")

    async def _show_status(self, _: web.Request) -> web.Response:
        return web.json_response(dict(self._status()), dumps=lambda value: json.dumps(value, indent=2))

    async def _wait(self, _: web.Request) -> web.Response:
        """Answers when everything that was acknowledged before can be queried."""
        done = await asyncio.get_running_loop().run_in_executor(self._threads, self._flush)
        if not done:
            return web.Response(status=503, text="The store has not taken everything yet.\n")
        return web.Response(text="ok\n")

    async def _ask(self, request: web.Request) -> web.Response:
        """SQL in the body, in ``query=``, or begun there and ended here; ``param_name=`` fill ``{name:Type}``."""
        try:
            body = (await request.read()).decode()
        except UnicodeDecodeError:
            return web.Response(status=400, text="The statement is not UTF-8.\n")
        sql = "\n".join(filter(None, (request.query.get("query", ""), body)))
        if not sql.strip():
            if request.method == "GET":
                return web.json_response({"service": "otel-llm", **self._status()})
            return web.Response(status=400, text="The statement is empty.\n")
        parameters = {
            name.removeprefix("param_"): value for name, value in request.query.items() if name.startswith("param_")
        }
        wanted = request.query.get("default_format", "TabSeparated")
        try:
            answer, format = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._query.ask, sql, parameters, wanted
            )
        except CollectorError as error:
            return web.Response(status=400, text=f"{error}\n")
        return web.Response(
            body=answer,
            content_type=_TYPES.get(format, "text/plain"),
            headers={"X-ClickHouse-Format": format},
        )
