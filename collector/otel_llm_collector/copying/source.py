"""A store that is only read, beside another one in the same process."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from typing import Any, Protocol

from otel_llm_collector.clickhouse.store import Store


class Readable(Protocol):
    """What answers questions: either end of a copy."""

    def raw(self, sql: str, format: str) -> bytes:
        """The answer to a question in a format of ClickHouse."""


class Source(Readable, Protocol):
    """Where a copy reads."""

    @property
    def clustered(self) -> bool:
        """Whether its tables are distributed over local ones."""

    def close(self) -> None: ...


class Server:
    """A ClickHouse server or cluster, asked from here."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.clustered = store.cluster is not None

    def raw(self, sql: str, format: str) -> bytes:
        return self._store.raw(sql, format)

    def close(self) -> None:
        self._store.close()


class Apart:
    """An embedded store, in a process of its own: the engine takes one path a process."""

    clustered = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _end_with_parent)

    def raw(self, sql: str, format: str) -> bytes:
        return self._process.submit(_raw, self._url, sql, format).result()

    def close(self) -> None:
        self._process.submit(_close, self._url).result()
        self._process.shutdown()


def open_source(store: Store) -> Source:
    """A store as one to read from."""
    return Apart(store.url) if store.embedded else Server(store)


def rows(readable: Readable, sql: str) -> list[dict[str, Any]]:
    """The rows of a question, a dictionary each."""
    return [json.loads(line) for line in readable.raw(sql, "JSONEachRow").splitlines()]


def _end_with_parent() -> None:
    """In the other process: end when the one that asks is killed, so that the store is free again."""

    def wait() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@cache
def _opened(url: str) -> Store:
    return Store(url)


def _raw(url: str, sql: str, format: str) -> bytes:
    return _opened(url).raw(sql, format)


def _close(url: str) -> None:
    _opened(url).close()
