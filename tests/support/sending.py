"""A log whose segments are forwarded, without a store."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from otel_llm_collector.forwarding.endpoint import endpoints
from otel_llm_collector.forwarding.forwarders import Forwarding
from otel_llm_collector.log.record import Record, digest
from otel_llm_collector.log.segment import Segment, make_folder
from otel_llm_collector.log.wal import Log
from otel_llm_collector.settings import Forward, Settings
from otel_llm_collector.signals import SIGNALS, TRACES, Signal

WAIT_S = 30
_T = TypeVar("_T")


class Sending:
    """One run over a data folder; a context manager. What is sealed counts as stored at once."""

    def __init__(self, data: Path, *forward: Forward, **options: Any) -> None:
        self.settings = replace(Settings(data=data, segment_age_s=3600, forward=forward), **options)
        for signal in SIGNALS:
            make_folder(self.settings.folder_of(signal.name))
        self.forwarding = Forwarding(self.settings, endpoints(self.settings))
        self.log = Log(self.settings, 0, 0, self._sealed, self.forwarding.copies)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.forwarding.start(self._stack)
        self.log.start()
        self._stack.callback(self.log.close)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def put(self, *bodies: bytes, signal: Signal = TRACES, items: int = 1, tenant: str = "") -> None:
        """One segment with these bodies."""
        records = [Record(body, items, digest(body, signal.name), tenant=tenant) for body in bodies]
        for done in [self.log.append(signal, record) for record in records]:
            done.result(WAIT_S)
        self.log.seal()

    def status(self, number: int = 0) -> dict[str, Any]:
        """That of one endpoint."""
        return self.forwarding.status()[number]

    def wait(self, enough: Callable[[dict[str, Any]], bool], number: int = 0) -> dict[str, Any]:
        """The status of an endpoint, once something holds of it."""
        return until(lambda: self.status(number), enough)

    @property
    def left(self) -> list[Path]:
        """Segments in the folders of endpoints."""
        return sorted(self.settings.log.glob("forward/*/*/*.seg"))

    def _sealed(self, segment: Segment) -> None:
        segment.path.unlink()
        self.forwarding.add(segment)


def until(read: Callable[[], _T], enough: Callable[[_T], bool]) -> _T:
    """What is read, once something holds of it."""
    deadline = time.monotonic() + WAIT_S
    while not enough(found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found
