"""OTLP over HTTP: protobuf and JSON, plain or compressed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiohttp import web
from google.protobuf.message import Message

from otel_llm_collector.door.access import INGEST, bearer
from otel_llm_collector.door.gate import Gate
from otel_llm_collector.door.listen import listen
from otel_llm_collector.door.peers import peer
from otel_llm_collector.errors import AccessDenied, LogFull, Malformed
from otel_llm_collector.measures.counts import Counts, Door, Reason
from otel_llm_collector.otlp.json_body import response_json, to_protobuf
from otel_llm_collector.settings import DRAIN_S
from otel_llm_collector.signals import SIGNALS, Signal

from . import status
from .inflate import TooLarge, UnknownEncoding, inflate
from .intake import Intake
from .room import Room

_PROTOBUF = "application/x-protobuf"
_JSON = "application/json"
_JSON_GROWTH = 7
"""Bytes that a byte of JSON takes at most while it is converted."""
_PATHS = {signal.path: signal for signal in SIGNALS}


class HttpReceiver:
    """Answers one request; every failure is a ``google.rpc.Status`` in the encoding of the request."""

    def __init__(self, intake: Intake, counts: Mapping[str, Counts], room: Room, gate: Gate) -> None:
        self._intake = intake
        self._counts = counts
        self._room = room
        self._access = gate.access
        self._settings = gate.settings

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if "Origin" in request.headers:  # what a browser adds to a POST
            return _refusal(request, 403, status.PERMISSION_DENIED, "Web pages cannot send telemetry here.")
        secret = request.headers.get("X-Api-Key") or bearer(request.headers.get("Authorization", ""))
        tenant = self._access.tenant(secret, INGEST)
        if tenant is None:
            return _denial(request, self._access.denial(secret, INGEST, peer(request.remote or "")))
        signal = _PATHS.get(request.path)
        if signal is None:
            if request.path == "/" and request.method == "GET":
                return web.json_response({"service": "otel-llm", "otlp": list(_PATHS)})
            paths = ", ".join(_PATHS)
            message = f"There is nothing at {request.path}; OTLP goes to {paths}."
            return _refusal(request, 404, status.UNIMPLEMENTED, message)
        if request.method != "POST":
            refusal = _refusal(request, 405, status.UNIMPLEMENTED, f"{request.path} takes POST.")
            refusal.headers["Allow"] = "POST"
            return refusal
        if request.content_type not in (_PROTOBUF, _JSON):
            message = f"Content-Type {request.content_type} is not supported; {_PROTOBUF} and {_JSON} are."
            return self._refused(request, signal, "content_type", 415, status.INVALID_ARGUMENT, message)
        return await self._export(request, signal, tenant)

    async def _export(self, request: web.BaseRequest, signal: Signal, tenant: str) -> web.Response:
        encoding = request.headers.get("Content-Encoding", "").strip().lower()
        door: Door = "json" if request.content_type == _JSON else "http"
        try:
            with self._room.lease() as lease:
                async with asyncio.timeout(self._settings.body_seconds):
                    body = await inflate(request.content.iter_any(), encoding, self._settings.body_bytes, lease)
                if door == "json":
                    lease.grow(_JSON_GROWTH * len(body))
                    body = await self._intake.aside.run(len(body), to_protobuf, signal.request, body)
                accepted = await self._intake.accept(signal, body, door, tenant, lease)
        except TimeoutError:
            message = f"The body did not arrive within {self._settings.body_seconds:g} seconds."
            return self._refused(request, signal, "slow", 408, status.DEADLINE_EXCEEDED, message)
        except Malformed as error:
            return self._refused(request, signal, "malformed", 400, status.INVALID_ARGUMENT, str(error))
        except UnknownEncoding as error:
            return self._refused(request, signal, "encoding", 415, status.INVALID_ARGUMENT, str(error))
        except TooLarge as error:
            return self._refused(request, signal, "too_large", 413, status.RESOURCE_EXHAUSTED, str(error))
        except LogFull as error:
            refusal = self._refused(request, signal, "full", 503, status.UNAVAILABLE, str(error))
            refusal.headers["Retry-After"] = str(status.RETRY_AFTER_S)
            return refusal
        return _answer(request, 200, status.success(signal, accepted.rejected, accepted.reason))

    def _refused(
        self, request: web.BaseRequest, signal: Signal, why: Reason, code: int, reason: int, message: str
    ) -> web.Response:
        self._counts[signal.name].refuse(why)
        return _refusal(request, code, reason, message)


def _refusal(request: web.BaseRequest, code: int, reason: int, message: str) -> web.Response:
    return _answer(request, code, status.status(reason, message))


def _denial(request: web.BaseRequest, error: AccessDenied) -> web.Response:
    answer = _refusal(request, error.status, status.OF_DENIAL[error.status], str(error))
    answer.headers.update(error.headers)
    return answer


def _answer(request: web.BaseRequest, code: int, message: Message) -> web.Response:
    """A message in the encoding of the request."""
    if request.content_type == _JSON:
        return web.Response(status=code, body=response_json(message), content_type=_JSON)
    return web.Response(status=code, body=message.SerializeToString(), content_type=_PROTOBUF)


async def start(intake: Intake, counts: Mapping[str, Counts], room: Room, gate: Gate) -> tuple[web.ServerRunner, int]:
    """A server that listens, and its port."""
    receiver = HttpReceiver(intake, counts, room, gate)
    runner = web.ServerRunner(web.Server(receiver.answer), shutdown_timeout=DRAIN_S)
    return runner, await listen(runner, gate, "http", gate.settings.http_port, decompress=False)
