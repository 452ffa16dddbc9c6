"""A gRPC port: its limits, its certificates, and who may call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import grpc
import grpc.aio

from otel_llm_collector.errors import AccessDenied, CollectorError
from otel_llm_collector.settings import Settings

from .access import Access, bearer
from .gate import Gate
from .peers import grpc_peer

_CODES = {
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""By the HTTP status of an ``AccessDenied``."""
_PING_S = 10
"""Least seconds between two pings of a client; who pings more often is sent away."""


def server(settings: Settings, body_bytes: int) -> grpc.aio.Server:
    """A server with the limits that are set, which takes requests of so many bytes."""
    head = settings.head_bytes
    return grpc.aio.server(  # gRPC's unit of time is the millisecond
        options=[
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", body_bytes),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", head),
            ("grpc.absolute_max_metadata_size", head),
            ("grpc.max_concurrent_streams", settings.grpc_streams),
            ("grpc.server_handshake_timeout_ms", int(settings.head_seconds * 1000)),
            ("grpc.max_connection_idle_ms", int(settings.idle_seconds * 1000)),
            ("grpc.max_connection_age_ms", int(settings.grpc_connection_seconds * 1000)),
            ("grpc.max_connection_age_grace_ms", int(settings.body_seconds * 1000)),
            ("grpc.http2.min_ping_interval_without_data_ms", _PING_S * 1000),
        ]
    )


async def start(server: grpc.aio.Server, gate: Gate, name: str, port: int) -> int:
    """Let the server listen; returns the number of its port. ``name`` is what it is called in an error."""
    where = gate.settings.address(port)
    try:
        if gate.tls is None:
            found = int(server.add_insecure_port(where))
        else:
            found = int(server.add_secure_port(where, gate.tls.grpc_credentials()))
    except RuntimeError:
        found = 0
    if not found:
        raise CollectorError(f"{name} cannot listen on {where}: the port is taken, or the address is not ours.")
    await server.start()
    return found


def secret(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """The key that a call shows, empty for none."""
    shown = dict(metadata)
    return str(shown.get("x-api-key", "")) or bearer(str(shown.get("authorization", "")))


async def deny(access: Access, shown: str, scope: str, context: grpc.aio.ServicerContext) -> NoReturn:
    """End a call that is not let in."""
    error: AccessDenied = access.denial(shown, scope, grpc_peer(context.peer()))
    await abort(context, _CODES[error.status], str(error))


async def abort(context: grpc.aio.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    """End a call with an error."""
    await context.abort(code, message)
    raise AssertionError("abort raises")
