"""Jaeger, where it has been built (``tools/jaeger.py``); without it these tests are skipped, with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.support.built import Unavailable
from tests.support.collector import Handle, start_collector
from tests.support.jaeger import MEMORY, Jaeger, remote
from tests.support.jaeger_build import binary
from tests.support.jaeger_pair import Pair


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A Jaeger that keeps what it is sent itself."""
    try:
        binary()
    except Unavailable as error:
        pytest.skip(str(error))
    with Jaeger(tmp_path_factory.mktemp("memory"), MEMORY) as memory:
        yield memory


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handle]:
    """A collector that runs."""
    handle = start_collector(tmp_path_factory.mktemp("collector") / "data")
    yield handle
    assert handle.stop() == 0


@pytest.fixture(scope="module")
def pair(memory: Jaeger, collector: Handle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """That Jaeger, and one that reads what the collector has stored."""
    storage = remote(collector.jaeger, collector.grpc)
    with Jaeger(tmp_path_factory.mktemp("ours"), storage) as ours:
        yield Pair(memory, ours, collector.grpc)
