"""OTLP over gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NoReturn

import grpc
import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_llm_collector.errors import CollectorError, LogFull, Malformed
from otel_llm_collector.intake import Accepted, Intake
from otel_llm_collector.settings import Settings

from . import status

_SERVICE = "opentelemetry.proto.collector.{}.v1.{}Service"
_Method = Callable[[bytes, grpc.aio.ServicerContext], Awaitable[bytes]]


async def start(intake: Intake, settings: Settings) -> tuple[grpc.aio.Server, int]:
    """A server that listens, and its port."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", settings.body_bytes),
            ("grpc.so_reuseport", 0),
        ]
    )

    async def traces(body: bytes, context: grpc.aio.ServicerContext) -> bytes:
        try:
            return response(await intake.accept(body))
        except Malformed as error:
            refusal = (grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except LogFull as error:
            answer = status.status(status.UNAVAILABLE, str(error))
            # Go reads the first, Python the second.
            context.set_trailing_metadata(
                (
                    ("grpc-status-details-bin", answer.SerializeToString()),
                    ("google.rpc.retryinfo-bin", status.retry_info().SerializeToString()),
                )
            )
            refusal = (grpc.StatusCode.UNAVAILABLE, str(error))
        return await _abort(context, *refusal)

    server.add_generic_rpc_handlers(
        (
            _handler("trace", "Trace", traces),
            _handler("logs", "Logs", _not_stored("logs")),
            _handler("metrics", "Metrics", _not_stored("metrics")),
        )
    )
    where = settings.address(settings.grpc_port)
    try:
        port = server.add_insecure_port(where)
    except RuntimeError:
        port = 0
    if not port:
        raise CollectorError(f"OTLP/gRPC cannot listen on {where}: the port is taken, or the address is not ours.")
    await server.start()
    return server, port


def response(answer: Accepted) -> bytes:
    """The body of a success, in full or in part; the same for gRPC and HTTP."""
    message = ExportTraceServiceResponse()
    if answer.rejected:
        message.partial_success.rejected_spans = answer.rejected
        message.partial_success.error_message = answer.reason
    body: bytes = message.SerializeToString()
    return body


async def _abort(context: grpc.aio.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    await context.abort(code, message)
    raise AssertionError("abort raises")


def _handler(package: str, name: str, method: _Method) -> grpc.GenericRpcHandler:
    # Without a deserializer the handler gets the bytes as they came.
    return grpc.method_handlers_generic_handler(
        _SERVICE.format(package, name), {"Export": grpc.unary_unary_rpc_method_handler(method)}
    )


def _not_stored(signal: str) -> _Method:
    async def refuse(_: bytes, context: grpc.aio.ServicerContext) -> bytes:
        message = status.ONLY_TRACES.format(signal, signal.upper())
        return await _abort(context, grpc.StatusCode.UNIMPLEMENTED, message)

    return refuse
