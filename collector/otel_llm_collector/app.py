"""A collector from start to stop.

Listening, then log, then store, in this order: a stop closes the doors first, writes what was accepted, inserts it and
closes the store. A crash at any point leaves segments in the log, which the next start inserts.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import signal
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack, ExitStack
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from . import local
from .api import Api
from .door.gate import Gate
from .engine import Engine
from .jaeger.server import JaegerServer
from .measures.counts import Queries, counts
from .metrics import Metrics
from .receiver import grpc, http
from .receiver.intake import Intake
from .receiver.room import Room
from .running import Running
from .settings import DRAIN_S, Settings
from .sql.query import Query


class Collector:
    """One collector: ``run()`` in the foreground until a signal, or ``start()`` and ``stop()`` in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts = counts()
        self.running: Running | None = None
        """Where it listens, once it does."""
        self._started: Future[Running] = Future()
        self._stop: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None

    def run(self, started: Callable[[Running], None]) -> int:
        """Collect until SIGINT or SIGTERM, then drain. Raises ``CollectorError`` when it cannot start.

        Returns how many segments the store did not take, which the log keeps for the next start.
        """
        _loop(self._serve(started, signals=True))
        return self._engine.waiting

    def start(self) -> Self:
        """Collect in a thread; returns when it listens. Raises ``CollectorError`` when it cannot start."""

        def work() -> None:
            try:
                _loop(self._serve(self._started.set_result, signals=False))
            except BaseException as error:
                if self._started.done():
                    raise
                self._started.set_exception(error)

        self._thread = threading.Thread(target=work, name="otel-llm-collector", daemon=True)
        self._thread.start()
        self.running = self._started.result()
        return self

    def stop(self) -> None:
        """Close the doors, insert everything and end."""
        if self._thread is not None and self._stop is not None:
            self._stop()
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, started: Callable[[Running], None], signals: bool) -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()

        def stop() -> None:
            loop.call_soon_threadsafe(stopping.set)

        self._stop = stop
        if signals:
            for number_ in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number_, stopping.set)
        gate = self._gate = Gate(self.settings)
        with ExitStack() as below:
            engine = Engine(self.settings, self.counts, below)
            async with AsyncExitStack() as doors:
                running = await self._open(engine, gate, doors)
                local.write_key(self.settings.data, gate.own)
                below.callback(local.remove_key, self.settings.data)
                running.write(self.settings.data)
                below.callback(Running.remove, self.settings.data)
                self.running = running
                started(running)
                await stopping.wait()

    async def _open(self, engine: Engine, gate: Gate, doors: AsyncExitStack) -> Running:
        settings = self.settings
        intake = Intake(settings, engine.log, self.counts, engine.known)
        doors.callback(intake.close)
        room = Room(settings.bodies_bytes)
        server, grpc_port = await grpc.start(intake, self.counts, room, gate)
        doors.push_async_callback(server.stop, DRAIN_S)
        runner, http_port = await http.start(intake, self.counts, room, gate)
        doors.push_async_callback(runner.cleanup)
        queries = Queries()
        metrics = Metrics(engine, self.counts, gate, room, queries, version("otel-llm"))
        query = Query(engine.store, settings)
        api = Api(query, self.status, engine.problems, engine.flush, metrics.registry(), queries)
        doors.callback(api.close)
        api_runner, api_port = await api.start(gate)
        doors.push_async_callback(api_runner.cleanup)
        jaeger = JaegerServer(query, lambda: engine.watch.state.reachable, gate)
        metrics.jaeger = jaeger.calls
        doors.callback(jaeger.close)
        jaeger_port = await jaeger.start()
        doors.push_async_callback(jaeger.stop)
        self._engine = engine
        return Running(
            pid=os.getpid(),
            version=version("otel-llm"),
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            grpc=f"{settings.scheme}://{settings.address(grpc_port)}",
            http=f"{settings.scheme}://{settings.address(http_port)}",
            api=f"{settings.scheme}://{settings.address(api_port)}",
            jaeger=f"{settings.scheme}://{settings.address(jaeger_port)}",
            store=engine.store.name,
            jaeger_url=settings.jaeger_url or "",
            certificate=str(settings.tls_cert.resolve()) if settings.tls_cert else "",
        )

    def status(self) -> dict[str, Any]:
        """Who and where this collector is, and what it has done."""
        return {
            **(asdict(self.running) if self.running else {}),
            "data": str(self.settings.data.resolve()),
            **self._engine.status(),
            **self._gate.status(),
        }


def _loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    if find_spec("uvloop"):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(work)


def run(settings: Settings, started: Callable[[Running], None]) -> int:
    """Run a collector in the foreground; ``started`` is told where it listens. Returns what ``Collector.run`` does."""
    return Collector(settings).run(started)
