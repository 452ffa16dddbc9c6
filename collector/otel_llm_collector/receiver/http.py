"""OTLP over HTTP: protobuf, plain, gzip or deflate."""

from __future__ import annotations

import asyncio

from aiohttp import web
from google.rpc.status_pb2 import Status

from otel_llm_collector.errors import LogFull, Malformed
from otel_llm_collector.intake import Intake
from otel_llm_collector.listen import listen, server_log
from otel_llm_collector.settings import DRAIN_S, Settings

from . import status
from .grpc import response
from .inflate import TooLarge, UnknownEncoding, inflate

_PROTOBUF = "application/x-protobuf"
_BODY_S = 30.0
"""Seconds that a body may take to arrive: a sender that stalls holds memory and a connection."""
_SIGNALS = {"/v1/traces": "traces", "/v1/logs": "logs", "/v1/metrics": "metrics"}


class HttpReceiver:
    """Answers one request; every failure is a ``google.rpc.Status`` in the encoding of the request."""

    def __init__(self, intake: Intake, settings: Settings) -> None:
        self._intake = intake
        self._settings = settings

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "Origin" in request.headers:  # what a browser adds to a POST
            return _refusal(request, 403, status.PERMISSION_DENIED, "Web pages cannot send spans here.")
        signal = _SIGNALS.get(request.path)
        if signal is None:
            if request.path == "/" and request.method == "GET":
                return web.json_response({"service": "otel-llm", "otlp": ["/v1/traces"]})
            return _refusal(
                request, 404, status.UNIMPLEMENTED, f"There is nothing at {request.path}; traces go to /v1/traces."
            )
        if request.method != "POST":
            refusal = _refusal(request, 405, status.UNIMPLEMENTED, f"{request.path} takes POST.")
            refusal.headers["Allow"] = "POST"
            return refusal
        if signal != "traces":
            # 404, because some exporters try again on every 5xx.
            return _refusal(request, 404, status.UNIMPLEMENTED, status.ONLY_TRACES.format(signal, signal.upper()))
        if request.content_type != _PROTOBUF:
            return _refusal(
                request,
                415,
                status.INVALID_ARGUMENT,
                f"Content-Type {request.content_type} is not supported; {_PROTOBUF} is "
                "(OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf).",
            )
        return await self._traces(request)

    async def _traces(self, request: web.BaseRequest) -> web.Response:
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        try:
            async with asyncio.timeout(_BODY_S):
                body = await inflate(request.content.iter_any(), encoding, self._settings.body_bytes)
            answer = await self._intake.accept(body)
        except TimeoutError:
            return _refusal(request, 408, status.UNAVAILABLE, f"The body did not arrive within {_BODY_S:.0f} seconds.")
        except Malformed as error:
            return _refusal(request, 400, status.INVALID_ARGUMENT, str(error))
        except UnknownEncoding as error:
            return _refusal(request, 415, status.INVALID_ARGUMENT, str(error))
        except TooLarge as error:
            return _refusal(request, 413, status.RESOURCE_EXHAUSTED, str(error))
        except LogFull as error:
            refusal = _refusal(request, 503, status.UNAVAILABLE, str(error))
            refusal.headers["Retry-After"] = str(status.RETRY_AFTER_S)
            return refusal
        return web.Response(body=response(answer), content_type=_PROTOBUF)


def _refusal(request: web.BaseRequest, code: int, reason: int, message: str) -> web.Response:
    if request.content_type == "application/json":
        return web.json_response({"code": reason, "message": message}, status=code)
    body: Status = status.status(reason, message)
    return web.Response(status=code, body=body.SerializeToString(), content_type=_PROTOBUF)


async def start(intake: Intake, settings: Settings) -> tuple[web.ServerRunner, int]:
    """A server that listens, and its port."""
    server = web.Server(
        HttpReceiver(intake, settings).answer, auto_decompress=False, access_log=None, logger=server_log
    )
    runner = web.ServerRunner(server, shutdown_timeout=DRAIN_S)
    return runner, await listen(runner, settings, settings.http_port, "OTLP/HTTP")
