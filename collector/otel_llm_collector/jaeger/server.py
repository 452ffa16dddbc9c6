"""The gRPC server that Jaeger's query service asks: who may, how many at once, and what errors are called."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health

from otel_llm_collector.door import grpc_port
from otel_llm_collector.door.access import READ, Access
from otel_llm_collector.door.gate import Gate
from otel_llm_collector.errors import CollectorError, Malformed, QueryRefused, StoreError, StoreUnavailable
from otel_llm_collector.settings import DRAIN_S, MIB
from otel_llm_collector.sparing import Sparing
from otel_llm_collector.sql.pool import Pool
from otel_llm_collector.sql.query import Query

from . import service
from .call import Call
from .messages import message

_log = logging.getLogger(__name__)
_AT_ONCE = 1024
"""Most steps of calls that are done, or wait for it."""
_SENDING = 8
"""Most calls that have spans in memory which are being sent."""
_CHECK_S = 1.0
_SERVICES = ("TraceReader", "DependencyReader", "Capabilities")
_METHODS: dict[str, tuple[str, Callable[[Any, Call], service.Messages]]] = {
    "/jaeger.storage.v2.TraceReader/GetTraces": ("GetTracesRequest", service.get_traces),
    "/jaeger.storage.v2.TraceReader/GetServices": ("GetServicesRequest", service.get_services),
    "/jaeger.storage.v2.TraceReader/GetOperations": ("GetOperationsRequest", service.get_operations),
    "/jaeger.storage.v2.TraceReader/FindTraces": ("FindTracesRequest", service.find_traces),
    "/jaeger.storage.v2.TraceReader/FindTraceIDs": ("FindTracesRequest", service.find_trace_ids),
    "/jaeger.storage.v2.TraceReader/FindTraceSummaries": ("FindTracesRequest", service.find_trace_summaries),
    "/jaeger.storage.v2.DependencyReader/GetDependencies": ("GetDependenciesRequest", service.get_dependencies),
    "/jaeger.storage.v2.Capabilities/GetCapabilities": ("GetCapabilitiesRequest", service.get_capabilities),
}
"""What each method is sent, and what does it; the requests of the three searches have the same fields."""
_CODES = {
    60: grpc.StatusCode.UNAVAILABLE,  # the tables are not there yet
    81: grpc.StatusCode.UNAVAILABLE,  # nor the database
    158: grpc.StatusCode.RESOURCE_EXHAUSTED,
    159: grpc.StatusCode.DEADLINE_EXCEEDED,
    202: grpc.StatusCode.RESOURCE_EXHAUSTED,
    241: grpc.StatusCode.RESOURCE_EXHAUSTED,
    394: grpc.StatusCode.CANCELLED,
    396: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""By the numbers of ClickHouse's errors: limits of rows, time, queries, memory and bytes; others are INTERNAL."""


class JaegerServer:
    """Listens once it is started; ``reachable`` tells whether the store answers, which the health service hands on."""

    def __init__(self, query: Query, reachable: Callable[[], bool], gate: Gate) -> None:
        self._query = query
        self._reachable = reachable
        self._gate = gate
        self._pool = Pool(query, "jaeger", _AT_ONCE)
        self._room = asyncio.Semaphore(_SENDING)
        self._sparing = Sparing(_log)
        self._server = grpc_port.server(gate.settings, MIB)
        self._health = health.HealthServicer()
        self._watching: asyncio.Task[None] | None = None
        self.calls: Counter[tuple[str, str]] = Counter()
        """Calls that have ended, by method and gRPC's name of the status."""

    async def start(self) -> int:
        """Listen; returns the number of the port. Raises ``CollectorError``."""
        self._server.add_generic_rpc_handlers((_Methods(self, self._gate.access),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self._say_health()
        port = await grpc_port.start(self._server, self._gate, "Jaeger's storage", self._gate.settings.jaeger_port)
        self._watching = asyncio.create_task(self._watch())
        return port

    async def stop(self) -> None:
        """Let calls under way end, for a while, and stop them."""
        if self._watching is not None:
            self._watching.cancel()
        await self._health.enter_graceful_shutdown()
        await self._server.stop(DRAIN_S)
        await self._pool.stop(DRAIN_S)

    def close(self) -> None:
        self._pool.close()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_S)
            await self._say_health()

    async def _say_health(self) -> None:
        of = health_pb2.HealthCheckResponse
        status = of.SERVING if self._reachable() else of.NOT_SERVING
        for name in ("", *(f"jaeger.storage.v2.{name}" for name in _SERVICES)):
            await self._health.set(name, status)

    async def answer(self, method: str, body: bytes, context: grpc.aio.ServicerContext) -> None:
        """Send the messages of an answer, and end the call with a status where it fails."""
        code, said = grpc.StatusCode.CANCELLED, ""
        try:
            await self._send(method, body, context)
            code = grpc.StatusCode.OK
        except CollectorError as error:
            code, said = _code(error), str(error)
        except TimeoutError:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            said = f"The client did not take what it asked for within {self._gate.settings.body_seconds:g} seconds."
        except grpc.aio.InternalError:
            return  # the client has gone while it was sent something
        except Exception as error:
            code, said = grpc.StatusCode.INTERNAL, "This cannot be answered; the collector's log says why."
            self._sparing.say(method, "Jaeger's %s failed: %r", method, error)
        finally:
            self.calls[method.rpartition("/")[2], code.name] += 1
        if code is not grpc.StatusCode.OK:
            await grpc_port.abort(context, code, said)

    async def _send(self, method: str, body: bytes, context: grpc.aio.ServicerContext) -> None:
        kind, work = _METHODS[method]
        try:
            request = message(kind).FromString(body)
        except DecodeError as error:
            raise Malformed(f"The request is no {kind}: {error}.") from error
        async with aclosing(work(request, Call(self._query, self._pool, self._room, context.time_remaining))) as answer:
            async for part in answer:
                async with asyncio.timeout(self._gate.settings.body_seconds):
                    await context.write(part if isinstance(part, bytes) else part.SerializeToString())


def _code(error: CollectorError) -> grpc.StatusCode:
    """What gRPC calls an error."""
    if isinstance(error, Malformed):
        return grpc.StatusCode.INVALID_ARGUMENT
    if isinstance(error, StoreUnavailable):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(error, StoreError | QueryRefused):
        return _CODES.get(error.code or 0, grpc.StatusCode.INTERNAL)
    return grpc.StatusCode.INTERNAL


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """The methods of all services. To gRPC every one of them sends a stream, some with a single message."""

    def __init__(self, server: JaegerServer, access: Access) -> None:
        self._server = server
        self._access = access

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method not in _METHODS:
            return None
        shown = grpc_port.secret(details.invocation_metadata)

        async def answer(body: bytes, context: grpc.aio.ServicerContext) -> None:
            if self._access.tenant(shown, READ) is None:
                await grpc_port.deny(self._access, shown, READ, context)
            await self._server.answer(details.method, body, context)

        return grpc.unary_stream_rpc_method_handler(answer)
