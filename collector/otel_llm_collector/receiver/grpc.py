"""OTLP over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import NoReturn

import grpc
import grpc.aio

from otel_llm_collector.door.access import INGEST, Access, bearer
from otel_llm_collector.door.gate import Gate
from otel_llm_collector.door.peers import grpc_peer
from otel_llm_collector.errors import CollectorError, LogFull, Malformed
from otel_llm_collector.measures.counts import Counts, Reason
from otel_llm_collector.settings import Settings
from otel_llm_collector.signals import SIGNALS, Signal

from . import status
from .inflate import TooLarge
from .intake import Intake
from .room import Room

_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""By the HTTP status of an ``AccessDenied``."""
_PING_S = 10
"""Least seconds between two pings of a client; who pings more often is sent away."""


async def start(intake: Intake, counts: Mapping[str, Counts], room: Room, gate: Gate) -> tuple[grpc.aio.Server, int]:
    """A server that listens, and its port."""
    settings = gate.settings
    server = grpc.aio.server(options=_options(settings))
    server.add_generic_rpc_handlers(
        tuple(
            _Service(signal, _Exporter(signal, intake, counts[signal.name], room, settings), gate.access)
            for signal in SIGNALS
        )
    )
    where = settings.address(settings.grpc_port)
    try:
        if gate.tls is None:
            port = server.add_insecure_port(where)
        else:
            port = server.add_secure_port(where, gate.tls.grpc_credentials())
    except RuntimeError:
        port = 0
    if not port:
        raise CollectorError(f"OTLP/gRPC cannot listen on {where}: the port is taken, or the address is not ours.")
    await server.start()
    return server, port


def _options(settings: Settings) -> list[tuple[str, int]]:
    """How the limits are called in gRPC, whose unit of time is the millisecond."""
    head = settings.head_bytes
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.body_bytes),
        ("grpc.max_metadata_size", head),
        ("grpc.absolute_max_metadata_size", head),
        ("grpc.max_concurrent_streams", settings.grpc_streams),
        ("grpc.server_handshake_timeout_ms", int(settings.head_seconds * 1000)),
        ("grpc.max_connection_idle_ms", int(settings.idle_seconds * 1000)),
        ("grpc.max_connection_age_ms", int(settings.grpc_connection_seconds * 1000)),
        ("grpc.max_connection_age_grace_ms", int(settings.body_seconds * 1000)),
        ("grpc.http2.min_ping_interval_without_data_ms", _PING_S * 1000),
    ]


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
        secret = _secret(details.invocation_metadata)
        tenant = self._access.tenant(secret, INGEST)

        async def answer(_: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> bytes:
            if tenant is None:
                error = self._access.denial(secret, INGEST, grpc_peer(context.peer()))
                return await _abort(context, _CODES[error.status], str(error))
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
        await _abort(context, code, message)


def _secret(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The key that a call shows, empty for none."""
    shown = dict(metadata)
    return str(shown.get("x-api-key", "")) or bearer(str(shown.get("authorization", "")))


async def _abort(context: grpc.aio.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError("abort raises")
