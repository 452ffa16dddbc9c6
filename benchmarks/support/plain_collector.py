"""The baseline: a collector that turns spans into rows in plain Python and inserts them before it answers.

    python -m benchmarks.support.plain_collector <folder>

The rows are made by the reference of the differential tests; the tables are the collector's own, in chDB. It prints its
port when it listens.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_llm_collector.clickhouse import migrations
from otel_llm_collector.clickhouse.store import Store
from tests.support.reference import spans

_MAPS = ("ResourceAttributes", "ScopeAttributes", "SpanAttributes")
_LISTS_OF_MAPS = ("Events.Attributes", "Links.Attributes")


async def _serve(folder: Path) -> None:
    store = Store(f"chdb://{folder.resolve() / 'store'}")
    thread = ThreadPoolExecutor(1)

    def insert(body: bytes) -> None:
        rows = spans(ExportTraceServiceRequest.FromString(body))["otel_traces"]
        for row in rows:
            row |= {name: dict(row[name]) for name in _MAPS}
            row |= {name: [dict(pairs) for pairs in row[name]] for name in _LISTS_OF_MAPS}
        store.client.raw_insert("otel_traces", insert_block=b"\n".join(map(orjson.dumps, rows)), fmt="JSONEachRow")

    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        await asyncio.get_running_loop().run_in_executor(thread, insert, body)
        return web.Response(body=b"", content_type="application/x-protobuf")

    await asyncio.get_running_loop().run_in_executor(thread, migrations.migrate, store)
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await runner.cleanup()
    print(store.rows("SELECT count() AS spans FROM otel_traces")[0]["spans"], flush=True)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
