"""Calls that nobody waits for any more are stopped: here every statement about spans is endless."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest

from otel_llm_collector.app import Collector
from otel_llm_collector.jaeger.messages import message
from otel_llm_collector.settings import Settings
from tests.support.jaeger_client import address, method, search
from tests.support.sending import until

CALLS = 20
"""More than there are threads."""
_ENDLESS = (
    "RENAME TABLE otel_traces TO spans",
    "CREATE VIEW otel_traces AS SELECT spans.* FROM spans CROSS JOIN numbers(1000000000000000) AS times",
    "INSERT INTO spans (Timestamp, TraceId, SpanId, ServiceName) SELECT now(), repeat('ab', 16), repeat('ab', 8), 'a'",
)
_UNDER_WAY = "SELECT count() AS statements FROM system.processes WHERE query LIKE concat('%otel', '_traces%')"


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A collector in this process, which lets statements run for hours."""
    data = tmp_path_factory.mktemp("data")
    settings = Settings(data, grpc_port=0, http_port=0, api_port=0, jaeger_port=0, query_seconds=36_000)
    with Collector(settings) as collector:
        for statement in _ENDLESS:
            collector._engine.store.command(statement)
        yield collector


def _under_way(collector: Collector) -> int:
    (row,) = collector._engine.store.rows(_UNDER_WAY)
    return int(row["statements"])


def _where(collector: Collector) -> str:
    assert collector.running is not None
    return address(collector.running.jaeger)


_REQUESTS = {
    "FindTraces": search(service_name="a"),
    "FindTraceIDs": search(service_name="a"),
    "GetServices": message("GetServicesRequest")(),
    "GetOperations": message("GetOperationsRequest")(service="a"),
}


@pytest.mark.parametrize("name", list(_REQUESTS))
def test_a_client_that_cancels_frees_its_work(collector: Collector, name: str) -> None:
    """What runs ends, and what waits for a thread does not begin."""

    async def leave() -> set[str]:
        async with grpc.aio.insecure_channel(_where(collector)) as channel:
            calls = [method(channel, name)(_REQUESTS[name]) for _ in range(CALLS)]
            reading = [asyncio.ensure_future(call.read()) for call in calls]
            await asyncio.to_thread(until, lambda: _under_way(collector), bool)
            for call in calls:
                call.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
            return {(await call.code()).name for call in calls}

    assert asyncio.run(leave()) == {"CANCELLED"}
    until(lambda: _under_way(collector), lambda statements: not statements)


def test_a_connection_that_is_cut_frees_its_work(collector: Collector) -> None:
    async def cut() -> None:
        async with grpc.aio.insecure_channel(_where(collector)) as channel:
            reading = [
                asyncio.ensure_future(method(channel, "FindTraces")(search(service_name="a")).read())
                for _ in range(CALLS)
            ]
            await asyncio.to_thread(until, lambda: _under_way(collector), bool)
        await asyncio.gather(*reading, return_exceptions=True)

    asyncio.run(cut())
    until(lambda: _under_way(collector), lambda statements: not statements)


def test_a_deadline_is_that_of_the_statement_too(collector: Collector) -> None:
    async def hurry() -> Any:
        async with grpc.aio.insecure_channel(_where(collector)) as channel:
            call = method(channel, "FindTraces")(search(service_name="a"), timeout=1)
            with pytest.raises(grpc.aio.AioRpcError):
                await call.read()
            return await call.code()

    assert asyncio.run(hurry()).name == "DEADLINE_EXCEEDED"
    until(lambda: _under_way(collector), lambda statements: not statements)
