"""Looks after the store and the log's disk while nothing is asked of them."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from otel_llm_collector import schemas
from otel_llm_collector.errors import CollectorError
from otel_llm_collector.log.wal import Log

from . import migrations
from .preparation import Preparation
from .store import Store

_EVERY_S = 5.0
_PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class StoreState:
    """What the store answered last; on a cluster the sizes are those of the node that was asked."""

    reachable: bool = False
    problem: str = ""
    schema_version: int = 0
    """The newest migration in it; 0 when that is not known."""
    bytes: int = 0
    rows: int = 0


class Watch:
    """One thread that asks the store how it is; a store that goes away is noticed before it is needed."""

    def __init__(self, store: Store, preparation: Preparation, log: Log) -> None:
        self.state = StoreState()
        self._store = store
        self._preparation = preparation
        self._log = log
        self._known = max(migration.version for migration in migrations.available())
        self._stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="otel-llm-watch", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """End; a server that does not answer is not waited for long."""
        self._stopping.set()
        self.thread.join(_PATIENCE_S)

    @property
    def warning(self) -> str:
        """What should be seen to though everything works; empty when nothing is."""
        if self.state.schema_version > self._known:
            return (
                f"The schema of the store is at version {self.state.schema_version} by now; this otel-llm knows "
                f"versions up to {self._known}. It goes on storing; upgrade it soon."
            )
        return ""

    def _run(self) -> None:
        while True:
            self._look()
            self._log.look()
            if self._stopping.wait(_EVERY_S):
                return

    def _look(self) -> None:
        try:
            (size,) = self._store.rows(schemas.read("store_size.sql"))
            version = 0
            if self._preparation.done:
                (row,) = self._store.rows(schemas.read("store_version.sql"))
                version = int(row["version"])
        except CollectorError as error:
            self.state = StoreState(problem=str(error))
        except Exception as error:  # of something that is not ClickHouse, for one
            self.state = StoreState(problem=f"ClickHouse at {self._store.name} gives no answer that is one: {error!r}.")
        else:
            self.state = StoreState(True, "", version, int(size["bytes"]), int(size["rows"]))
