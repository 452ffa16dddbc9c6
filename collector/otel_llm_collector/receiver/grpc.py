"""OTLP over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import NoReturn

import grpc
import grpc.aio

from otel_llm_collector.door import grpc_port
from otel_llm_collector.door.access import INGEST, Access
from otel_llm_collector.door.gate import Gate
from otel_llm_collector.errors import LogFull, Malformed
from otel_llm_collector.measures.counts import Counts, Reason
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import SIGNALS, Signal

from . import status
from .inflate import TooLarge
from .intake import Intake
from .room import Room


async def start(intake: Intake, counts: Mapping[str, Counts], room: Room, gate: Gate) -> tuple[grpc.aio.Server, int]:
    """A server that listens, and its port."""
    settings = gate.settings
    server = grpc_port.server(settings, settings.body_bytes)
    server.add_generic_rpc_handlers(
        tuple(
            _Service(signal, _Exporter(signal, intake, counts[signal.name], room, settings), gate.access)
            for signal in SIGNALS
        )
    )
    return server, await grpc_port.start(server, gate, "OTLP/gRPC", settings.grpc_port)


class _Service(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """The service of a signal; who may not send is turned away before anything of its body is read.

    To gRPC the calls are streams, which begin before the body is there. Without a deserializer it is bytes.
    """

    def __init__(self, signal: Signal, exporter: _Exporter, access: Access) -> None:
        self._method = f"/{signal.service}/Export"
        self._exporter = exporter
        self._access = access

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != self._method:
            return None
        secret = grpc_port.secret(details.invocation_metadata)
        tenant = self._access.tenant(secret, INGEST)

        async def answer(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
            if tenant is None:
                await grpc_port.deny(self._access, secret, INGEST, context)
            return await self._exporter.export(tenant, context)

        return grpc.stream_unary_rpc_method_handler(answer)


class _Exporter:
    """Answers the calls of a signal."""

    def __init__(self, signal: Signal, intake: Intake, counts: Counts, room: Room, settings: Settings) -> None:
        self._signal = signal
        self._intake = intake
        self._counts = counts
        self._room = room
        self._seconds = settings.body_seconds

    async def export(self, tenant: str, context: grpc.aio.ServicerContext) -> bytes:
        try:
            with self._room.lease() as lease:
                async with asyncio.timeout(self._seconds):
                    body = await context.read()
                if body is grpc.aio.EOF:
                    raise Malformed("The call ends without a request.")
                lease.grow(len(body))
                accepted = await self._intake.accept(self._signal, body, "grpc", tenant, lease)
        except TimeoutError:
            message = f"The body did not arrive within {self._seconds:g} seconds."
            return await self._refuse(context, "slow", grpc.StatusCode.DEADLINE_EXCEEDED, message)
        except Malformed as error:
            return await self._refuse(context, "malformed", grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except TooLarge as error:
            return await self._refuse(context, "too_large", grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except LogFull as error:
            # Go reads the first, Python the second.
            context.set_trailing_metadata(
                (
                    ("grpc-status-details-bin", status.status(status.UNAVAILABLE, str(error)).SerializeToString()),
                    ("google.rpc.retryinfo-bin", status.retry_info().SerializeToString()),
                )
            )
            return await self._refuse(context, "full", grpc.StatusCode.UNAVAILABLE, str(error))
        answer: bytes = status.success(self._signal, accepted.rejected, accepted.reason).SerializeToString()
        return answer

    async def _refuse(
        self, context: grpc.aio.ServicerContext, why: Reason, code: grpc.StatusCode, message: str
    ) -> NoReturn:
        self._counts.refuse(why)
        await grpc_port.abort(context, code, message)
