"""One collector for all tests that do not need one of their own; each test uses a service name of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from tests.support.clickhouse import ClickHouse
from tests.support.collector import Handle, start_collector
from tests.support.jaeger_storage import JaegerStorage

Start = Callable[..., Handle]


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector that runs, in a process of its own."""
    handle = start_collector(tmp_path_factory.mktemp("collector"))
    yield handle
    assert handle.stop() == 0


@pytest.fixture(scope="session")
def jaeger(collector: Handle) -> Iterator[JaegerStorage]:
    """A client of its storage for Jaeger."""
    with JaegerStorage(collector.jaeger) as client:
        yield client


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts collectors of the test's own; what the test leaves running is killed."""
    handles: list[Handle] = []

    def start(data: Path, **options: Any) -> Handle:
        handles.append(start_collector(data, **options))
        return handles[-1]

    yield start
    for handle in handles:
        if handle.process.poll() is None:
            handle.kill()


@pytest.fixture
def service(request: pytest.FixtureRequest) -> str:
    """A service name that no other test uses."""
    return str(request.node.name)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An embedded store with all tables, in this process."""
    store = Store(f"chdb://{tmp_path / 'store'}")
    migrations.migrate(store)
    yield store
    store.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ClickHouse]:
    """A stand-in for a ClickHouse server, which runs."""
    server = ClickHouse(tmp_path / "server")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with all tables and nothing in them."""
    path = tmp_path_factory.mktemp("empty") / "store"
    store = Store(f"chdb://{path}")
    migrations.migrate(store)
    store.close()
    return path


@pytest.fixture
def urls(tmp_path: Path, empty_store: Path) -> tuple[str, str]:
    """Two embedded stores with all tables, each in a data folder of its own."""
    for folder in ("old", "new"):
        shutil.copytree(empty_store, tmp_path / folder / "store", symlinks=True)
    return f"chdb://{tmp_path}/old/store", f"chdb://{tmp_path}/new/store"
