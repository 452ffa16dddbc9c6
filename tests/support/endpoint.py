"""OTLP endpoints in this process that answer as a test says, and keep what they are sent."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import grpc

from tests.support.certificates import Pair

WAIT_S = 30


@dataclass(frozen=True)
class Sent:
    """A request as it came, inflated."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Said:
    """An answer: a status over HTTP, or a code over gRPC, with what goes with it."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: grpc.StatusCode = grpc.StatusCode.OK
    trailers: tuple[tuple[str, bytes], ...] = ()
    before: Callable[[], object] = lambda: None
    """What happens before it is said."""

    @property
    def is_success(self) -> bool:
        return self.status == 200 and self.code is grpc.StatusCode.OK


class Endpoint(Protocol):
    """What a test sees of either."""

    url: str
    sent: list[Sent]
    taken: list[Sent]

    def wait(self, enough: Callable[[], bool]) -> None: ...

    def close(self) -> None: ...


Rule = Callable[[Sent], Said]


class _Script:
    """The answers, one after the other; what the rule says, which is a success, when there is none left."""

    def __init__(self, *answers: Said, rule: Rule = lambda _: Said()) -> None:
        self.sent: list[Sent] = []
        self.taken: list[Sent] = []
        self._answers = list(answers)
        self._rule = rule
        self._changed = threading.Condition()

    def wait(self, enough: Callable[[], bool]) -> None:
        """Wait until something holds, which changes with a request."""
        with self._changed:
            assert self._changed.wait_for(enough, WAIT_S), f"{len(self.sent)} requests came, {len(self.taken)} taken"

    def answer(self, sent: Sent) -> Said:
        with self._changed:
            self.sent.append(sent)
            said = self._answers.pop(0) if self._answers else self._rule(sent)
            if said.is_success:
                self.taken.append(sent)
            self._changed.notify_all()
        said.before()
        return said


class HttpEndpoint(_Script):
    """Over HTTP, on a port of its own or a given one, with TLS where there is a certificate."""

    def __init__(self, *answers: Said, port: int = 0, pair: Pair | None = None, **more: Rule) -> None:
        super().__init__(*answers, **more)
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                packed = headers.get("content-encoding") == "gzip"
                said = script.answer(Sent(self.path, headers, gzip.decompress(body) if packed else body))
                try:
                    self.send_response(said.status)
                    for name, value in {**said.headers, "Content-Length": str(len(said.body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(said.body)
                except OSError:  # the sender did not wait
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if pair is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pair.certificate, pair.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'https' if pair else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()


class GrpcEndpoint(_Script):
    """Over gRPC, with TLS where there is a certificate."""

    def __init__(self, *answers: Said, port: int = 0, pair: Pair | None = None, **more: Rule) -> None:
        super().__init__(*answers, **more)
        self._server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((_Methods(self),))
        where = f"127.0.0.1:{port}"
        if pair is not None:
            credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.certificate.read_bytes())])
            self.url = f"grpcs://127.0.0.1:{self._server.add_secure_port(where, credentials)}"
        else:
            self.url = f"grpc://127.0.0.1:{self._server.add_insecure_port(where)}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(0).wait()


class _Methods(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, script: _Script) -> None:
        self._script = script

    def service(self, call: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def export(body: bytes, context: grpc.ServicerContext) -> bytes:
            said = self._script.answer(Sent(call.method, dict(context.invocation_metadata()), body))
            context.set_trailing_metadata(said.trailers)
            if said.code is not grpc.StatusCode.OK:
                context.abort(said.code, said.body.decode())
            return said.body

        return grpc.unary_unary_rpc_method_handler(export)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
