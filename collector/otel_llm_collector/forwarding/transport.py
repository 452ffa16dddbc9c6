"""Sending requests to an endpoint, over HTTP or gRPC, and what its answers mean."""

from __future__ import annotations

import asyncio
import gzip
import io
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import grpc
from google.protobuf.message import DecodeError

from otel_llm_collector.settings import MIB
from otel_llm_collector.signals import Signal

from .endpoint import Endpoint
from .retry import OK, Verdict, over_grpc, over_http, retry_after, retry_info, sentence

_ANSWER_BYTES = 4 * MIB
_GZIP_LEVEL = 1
_PROTOBUF = "application/x-protobuf"
_LOOK_S = 0.5
"""How often it is asked whether an answer is still waited for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said, or why it said nothing."""

    verdict: Verdict
    status: str = ""
    """``HTTP 400``, or the name of a gRPC code, or what kept it from answering."""
    message: str = ""
    """The endpoint's own sentence."""
    rejected: int = 0
    """Items that it left out of a request that it accepted."""
    wait_s: float = 0.0
    """Least seconds until it is asked again."""
    unknown: bool = False
    """It does not take this signal."""


_CUT = Answer(Verdict.AGAIN, "no answer", "It had not answered when this collector stopped.")
Wanted = Callable[[], bool]


class Transport(Protocol):
    """A connection that is opened when it is needed, and kept; of one thread."""

    def send(self, signal: Signal, body: bytes, timeout_s: float, wanted: Wanted) -> Answer:
        """``wanted`` is asked twice a second whether the answer still is; where not, the request is cut off."""

    def close(self) -> None: ...


def connect(endpoint: Endpoint) -> Transport:
    """The transport of an endpoint; no connection is opened yet."""
    return GrpcTransport(endpoint) if endpoint.grpc else HttpTransport(endpoint)


class HttpTransport:
    """OTLP/HTTP with protobuf bodies, on a loop of its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._base = f"{'https' if endpoint.tls else 'http'}://{endpoint.authority}{endpoint.path}"
        self._headers = {"User-Agent": "otel-llm", **endpoint.headers, "Content-Type": _PROTOBUF}
        if endpoint.gzip:
            self._headers["Content-Encoding"] = "gzip"
        self._runner = asyncio.Runner()
        self._session = self._runner.run(self._open())

    def send(self, signal: Signal, body: bytes, timeout_s: float, wanted: Wanted) -> Answer:
        packed = gzip.compress(body, _GZIP_LEVEL, mtime=0) if self._endpoint.gzip else body
        try:
            return self._runner.run(_while(wanted, self._post(signal, packed, timeout_s)))
        except TimeoutError:
            return Answer(Verdict.AGAIN, "no answer", f"It did not answer within {timeout_s:.3g} s.")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(Verdict.AGAIN, "no connection", sentence(str(error) or type(error).__name__))

    def close(self) -> None:
        self._runner.run(self._session.close())
        self._runner.close()

    async def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, ssl=ssl.create_default_context() if self._endpoint.tls else False),
            headers=self._headers,
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding",),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def _post(self, signal: Signal, body: bytes, timeout_s: float) -> Answer:
        async with self._session.post(
            self._base + signal.path,
            data=io.BytesIO(body),
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        ) as response:
            answer = bytearray()
            async for chunk in response.content.iter_any():
                answer += chunk
                if len(answer) > _ANSWER_BYTES:
                    break
            status = f"HTTP {response.status}"
            if 200 <= response.status < 300:
                return _accepted(signal, status, bytes(answer))
            message = sentence(bytes(answer), response.content_type)
            wait_s = retry_after(response.headers.get("Retry-After", ""))
            return Answer(over_http(response.status), status, message, wait_s=wait_s, unknown=response.status == 404)


class GrpcTransport:
    """OTLP/gRPC; bodies and answers are bytes as they are.

    Nothing is compressed: gRPC does that at a level of its own, five times as slow, and holds up every thread with it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        options = [
            ("grpc.max_receive_message_length", _ANSWER_BYTES),
            ("grpc.enable_retries", 0),
            # When to try again is decided here, not by the channel.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 200),
            ("grpc.primary_user_agent", "otel-llm"),
        ]
        where = endpoint.authority
        if endpoint.tls:
            credentials = grpc.ssl_channel_credentials(_authorities())
            self._channel = grpc.secure_channel(where, credentials, options)
        else:
            self._channel = grpc.insecure_channel(where, options)
        self._metadata = tuple(endpoint.headers.items())
        self._export = {signal: self._channel.unary_unary(f"/{signal.service}/Export") for signal in endpoint.signals}

    def send(self, signal: Signal, body: bytes, timeout_s: float, wanted: Wanted) -> Answer:
        call = self._export[signal].future(body, timeout=timeout_s, metadata=self._metadata)
        while True:
            try:
                return _accepted(signal, OK, call.result(_LOOK_S))
            except grpc.FutureTimeoutError:
                if not wanted():
                    call.cancel()
            except grpc.FutureCancelledError:
                return _CUT
            except grpc.RpcError as error:
                code = error.code()
                wait_s = retry_info(error.trailing_metadata() or ())
                unknown = code is grpc.StatusCode.UNIMPLEMENTED
                return Answer(
                    over_grpc(code, wait_s), code.name, sentence(error.details() or ""), 0, wait_s or 0.0, unknown
                )

    def close(self) -> None:
        self._channel.close()


async def _while(wanted: Wanted, post: Coroutine[None, None, Answer]) -> Answer:
    posting = asyncio.ensure_future(post)
    while not (await asyncio.wait({posting}, timeout=_LOOK_S))[0]:
        if not wanted():
            posting.cancel()
    return _CUT if posting.cancelled() else posting.result()


def _authorities() -> bytes | None:
    """The certificates that OpenSSL trusts, so that ``SSL_CERT_FILE`` holds for both protocols; else gRPC's own."""
    file = ssl.get_default_verify_paths().cafile
    return Path(file).read_bytes() if file else None


def _accepted(signal: Signal, status: str, body: bytes) -> Answer:
    """A success, in full or in part; what is not an OTLP answer is taken for a full one."""
    try:
        partial = signal.response.FromString(body).partial_success
    except DecodeError:
        return Answer(Verdict.ACCEPTED, status)
    rejected = max(0, getattr(partial, signal.rejected))
    return Answer(Verdict.ACCEPTED, status, sentence(partial.error_message), rejected)
