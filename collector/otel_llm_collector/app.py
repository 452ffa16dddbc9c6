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

from . import migrations
from .api import Api
from .counts import Counts
from .errors import CollectorError, StoreUnavailable
from .inserter import Inserter
from .intake import Intake
from .lock import FolderLock
from .query import Query
from .receiver import grpc, http
from .running import Running
from .segment import Segment, number, recover
from .settings import DRAIN_S, Settings
from .store import PATTERNS, Store
from .wal import Log

_FLUSH_S = 60.0


class Collector:
    """One collector: ``run()`` in the foreground until a signal, or ``start()`` and ``stop()`` in a thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counts = Counts()
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
        return self._engine.inserter.waiting

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
        with ExitStack() as below:
            engine = _Engine(self.settings, self.counts, below)
            async with AsyncExitStack() as doors:
                running = await self._open(engine, doors)
                running.write(self.settings.data)
                below.callback(Running.remove, self.settings.data)
                self.running = running
                started(running)
                await stopping.wait()

    async def _open(self, engine: _Engine, doors: AsyncExitStack) -> Running:
        settings = self.settings
        intake = Intake(engine.log, self.counts, engine.seen)
        server, grpc_port = await grpc.start(intake, settings)
        doors.push_async_callback(server.stop, DRAIN_S)
        runner, http_port = await http.start(intake, settings)
        doors.push_async_callback(runner.cleanup)
        api = Api(Query(engine.store, settings), self.status, engine.problems, engine.flush)
        doors.callback(api.close)
        api_runner, api_port = await api.start(settings)
        doors.push_async_callback(api_runner.cleanup)
        self._engine = engine
        return Running(
            pid=os.getpid(),
            version=version("otel-llm"),
            started=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            grpc=f"http://{settings.address(grpc_port)}",
            http=f"http://{settings.address(http_port)}",
            api=f"http://{settings.address(api_port)}",
            store=engine.store.name,
        )

    def status(self) -> dict[str, Any]:
        """Who and where this collector is, and what it has done."""
        return {
            **(asdict(self.running) if self.running else {}),
            "data": str(self.settings.data.resolve()),
            **asdict(self.counts),
            "segments_waiting": self._engine.inserter.waiting,
            "bytes_waiting": self._engine.log.waiting_bytes,
            "last_error": self._engine.inserter.last_error,
        }


class _Engine:
    """Everything behind the doors: lock, store, log and inserter. What it opens is closed by the stack."""

    def __init__(self, settings: Settings, counts: Counts, stack: ExitStack) -> None:
        try:
            settings.log.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(settings.data)
            lock.acquire()
        except OSError as error:
            raise CollectorError(
                f"The data folder {settings.data.absolute()} cannot be used: {error.strerror}."
            ) from error
        stack.callback(lock.release)
        self.store = Store(settings.store_url)
        if self.store.embedded and PATTERNS.intersection(str(settings.log.resolve())):
            raise CollectorError(f"The path of {settings.data.resolve()} must be without any of * ? {{ }}.")
        stack.callback(self.store.close)
        found = recover(settings.log)
        self.seen = [mark for mended in found for mark in mended.digests]
        segments = [mended.segment for mended in found if mended.segment]
        counts.replayed_segments = len(segments)
        counts.torn_bytes = sum(mended.torn for mended in found)
        counts.quarantined = sum(mended.quarantined for mended in found)
        self.inserter = Inserter(self.store, counts, settings.log / "quarantine", self._prepare, self._freed)
        self._prepare_now()
        last = max((number(segment.path) for segment in segments), default=0)
        self.log = Log(settings, last, sum(segment.size for segment in segments), self._sealed)
        for segment in segments:
            self.inserter.add(segment)
        self.inserter.start()
        stack.callback(self.inserter.stop)
        self.log.start()
        stack.callback(self.log.close)

    def _prepare(self) -> None:
        migrations.migrate(self.store)

    def _prepare_now(self) -> None:
        """Make the tables, so that what is wrong is said at once; a server that is down is tried again later."""
        try:
            self._prepare()
        except StoreUnavailable as error:
            if self.store.embedded:
                raise
            self.inserter.last_error = str(error)
        else:
            self.inserter.prepared = True

    def _freed(self, size: int) -> None:
        self.log.freed(size)

    def _sealed(self, segment: Segment) -> None:
        self.inserter.add(segment)

    def flush(self) -> bool:
        """Wait until everything that was acknowledged can be queried; false when that took too long."""
        self.log.seal()
        return self.inserter.wait(_FLUSH_S)

    def problems(self) -> list[str]:
        """Why what is accepted cannot be stored; empty when it can."""
        return [problem for problem in (self.inserter.last_error, self.log.problem) if problem]


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
