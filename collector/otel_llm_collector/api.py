"""The API port: is it alive, what has it done, and read-only SQL as ClickHouse's HTTP interface speaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from .dialect.request import Question, credential, question
from .dialect.response import encoded, failure, response
from .door.access import READ
from .door.gate import Gate
from .door.listen import listen
from .door.peers import peer
from .errors import AccessDenied, CollectorError, QueryRefused
from .measures.counts import Queries
from .pages import foreign
from .settings import DRAIN_S, MIB
from .sql.pool import Pool
from .sql.query import Answer, Query
from .sql.task import Task
from .sql.threads import Threads

_THREADS = 4
_AT_ONCE = 64
"""Most statements that are answered, or wait for one of the threads."""
_END_S = 1.0
"""For threads at work when the collector stops."""
_OPEN = frozenset({"/ping", "/livez", "/readyz"})
"""Paths that need no key."""
_ACCESS_DENIED = 497
_AUTHENTICATION_FAILED = 516
_SOCKET_TIMEOUT = 209


class Api:
    """The endpoints; ``status`` and ``problems`` tell about the collector, ``flush`` waits in a thread."""

    def __init__(
        self,
        query: Query,
        status: Callable[[], Mapping[str, Any]],
        problems: Callable[[], list[str]],
        flush: Callable[[], bool],
        metrics: CollectorRegistry,
        queries: Queries,
    ) -> None:
        self._query = query
        self._status = status
        self._problems = problems
        self._flush = flush
        self._metrics = metrics
        self._queries = queries
        self._flushing = Threads(_THREADS, "otel-llm-flush")
        self._pool = Pool(query, "query", _AT_ONCE)

    async def start(self, gate: Gate) -> tuple[web.AppRunner, int]:
        """The endpoints on their port."""
        self._body_seconds = gate.settings.body_seconds

        @web.middleware
        async def ours_only(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if refusal := foreign(request, gate.settings.host):
                return web.Response(status=403, text=f"{refusal}\n")
            return await handler(request)

        @web.middleware
        async def with_key_only(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            if request.path in _OPEN:
                return await handler(request)
            secret = request.headers.get("X-Api-Key") or credential(request)
            if gate.access.tenant(secret, READ) is None:
                return _denied(request, gate.access.denial(secret, READ, peer(request.remote or "")))
            return await handler(request)

        app = web.Application(client_max_size=MIB, middlewares=[ours_only, with_key_only])
        app.on_response_prepare.append(_as_it_says)
        app.on_shutdown.append(self._stop)
        app.add_routes(
            [
                web.get("/ping", self._ping),
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/v1/status", self._show_status),
                web.get("/metrics", make_aiohttp_handler(self._metrics)),
                web.post("/v1/flush", self._wait),
                web.get("/", self._ask),
                web.post("/", self._ask),
            ]
        )
        runner = web.AppRunner(app, shutdown_timeout=DRAIN_S, handler_cancellation=True)
        return runner, await listen(runner, gate, "api", gate.settings.api_port, decompress=True)

    def close(self) -> None:
        """End the threads; one in a call that nothing stops ends with the process."""
        self._pool.close()
        self._flushing.close(_END_S)

    async def _stop(self, _: web.Application) -> None:
        await self._pool.stop(DRAIN_S)

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(text="Ok.\n")

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
        if not await asyncio.wrap_future(self._flushing.submit(self._flush)):
            return web.Response(status=503, text="The store has not taken everything yet.\n")
        return web.Response(text="ok\n")

    async def _ask(self, request: web.Request) -> web.StreamResponse:
        """SQL in ClickHouse's HTTP dialect; a question whose client goes away is stopped."""
        if request.method != "POST" and "query" not in request.query:
            return web.json_response({"service": "otel-llm", **self._status()})
        try:
            async with asyncio.timeout(self._body_seconds):
                asked = await question(request, self._query.database)
        except TimeoutError:
            self._queries.add("refused", 0.0)
            message = f"The statement did not arrive within {self._body_seconds:g} seconds."
            return failure(QueryRefused(message, _SOCKET_TIMEOUT))
        except CollectorError as error:
            self._queries.add("refused", 0.0)
            return failure(error)
        try:
            with self._queries.counted():
                seconds = self._query.seconds(asked.settings)
                task = Task(asked.query_id)
                answer, body = await self._pool.do(lambda: self._answer(asked, task), task, seconds)
        except CollectorError as error:
            return failure(error, asked)
        return response(asked, answer, body)

    def _answer(self, asked: Question, task: Task) -> tuple[Answer, bytes]:
        answer = self._query.ask(asked.sql, asked.parameters, asked.format, asked.settings, task)
        return answer, encoded(asked, answer, task.go_on)


async def _as_it_says(_: web.Request, answer: web.StreamResponse) -> None:
    """Keep a browser from guessing that text of spans is something that it should run."""
    answer.headers["X-Content-Type-Options"] = "nosniff"


def _denied(request: web.Request, error: AccessDenied) -> web.Response:
    """The refusal of a caller: on SQL in ClickHouse's words, elsewhere as a sentence."""
    answer = web.Response(text=f"{error}\n")
    if request.path == "/":
        answer = failure(QueryRefused(str(error), _ACCESS_DENIED if error.status == 403 else _AUTHENTICATION_FAILED))
    answer.set_status(error.status)
    answer.headers.update(error.headers)
    return answer
