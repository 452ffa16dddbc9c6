"""The server: HTTP/1.1 with keep-alive on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from http.client import responses as phrases
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

from otel_llm.testing import gemini_routes, openai_routes, openai_wire, tls, websocket
from otel_llm.testing.form import read_form
from otel_llm.testing.live_wire import LiveTalk
from otel_llm.testing.realtime_wire import RealtimeTalk
from otel_llm.testing.responses_talk import ResponsesTalk
from otel_llm.testing.script import Reply, Request, Script, follow
from otel_llm.testing.wire import Answer, Route


class _Wire(NamedTuple):
    """A wire format: its routes, the headers of every answer, its errors."""

    routes: Sequence[Route]
    headers: Callable[[Request], dict[str, str]]
    error: Callable[[Request, Reply], Answer]


_OPENAI = _Wire(openai_routes.ROUTES, openai_wire.headers, openai_wire.error)
_GEMINI = _Wire(gemini_routes.ROUTES, gemini_routes.headers, gemini_routes.error)
#: Google's paths begin with these, or its headers are sent along; the same path behind another one is OpenAI's.
_GOOGLE = re.compile(r"^/v1(alpha|beta)|:\w+$")


class ScriptedProvider:
    """A provider that answers by a script, as a context manager.

    ``requests`` are all requests so far. A script that is a function is called in the server's thread: it must not
    wait for anything (let a :class:`Reply` have a ``delay``), and what it raises is answered as an error 500.
    """

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        self.requests: list[Request] = []
        self._answer = follow(script)
        self._port = port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._servers: list[asyncio.Server] = []
        self._live: Mapping[str, Any] | None = None
        self._thread: threading.Thread | None = None
        self._connections: set[asyncio.Task[None]] = set()

    def script(self, script: Script | None) -> None:
        """Replace the script; ``None`` is the default one."""
        self._answer = follow(script)

    def reset(self, script: Script | None = None) -> None:
        """Forget the requests, count from one again, and take another script."""
        self.requests = []
        self.script(script)

    @property
    def url(self) -> str:
        """Where it listens, without a path."""
        if not self._port:
            raise RuntimeError(
                "The scripted provider is not running: use it as `with ScriptedProvider() as provider:`."
            )
        return f"http://127.0.0.1:{self._port}"

    @property
    def openai_base_url(self) -> str:
        """For ``openai.OpenAI(base_url=…)``."""
        return f"{self.url}/v1"

    @property
    def gemini_base_url(self) -> str:
        """For ``genai.Client(http_options={"base_url": …})``."""
        return self.url

    @property
    def gemini_live_options(self) -> Mapping[str, Any]:
        """For ``genai.Client(http_options=…)``: Live sessions, which the SDK connects by TLS, and by nothing else.

        A certificate for them is made with the ``cryptography`` package, which the SDK brings.
        """
        if self._live is None:
            if self._loop is None:
                raise RuntimeError("The scripted provider is not running.")
            listening, trusting = tls.contexts()
            opening = asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=listening)
            server = asyncio.run_coroutine_threadsafe(opening, self._loop).result()
            self._servers.append(server)
            url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._live = {"base_url": url, "async_client_args": {"ssl": trusting}}
        return self._live

    def start(self) -> Self:
        """Listen; returns when the port is open. Raises ``OSError`` when it cannot be had."""
        loop = self._loop = asyncio.new_event_loop()
        try:
            server = loop.run_until_complete(asyncio.start_server(self._connected, "127.0.0.1", self._port))
        except OSError:
            loop.close()
            raise
        self._port = server.sockets[0].getsockname()[1]
        self._servers, self._live = [server], None
        self._thread = threading.Thread(target=self._serve, args=(loop,), name="scripted-provider", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection."""
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        for server in self._servers:
            server.close()
        for task in self._connections:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*self._connections, return_exceptions=True))
        for server in self._servers:
            loop.run_until_complete(server.wait_closed())
        loop.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client is gone, or the server stops: nothing is left to say
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; False when the connection shall end."""
        raw_head = await reader.readuntil(b"\r\n\r\n")
        head = raw_head.decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        if headers.get("upgrade", "").lower() == "websocket" and (talk := _talk(path)):
            ask = functools.partial(self._ask, method, path, headers)
            await websocket.serve(talk, raw_head, path, reader, writer, ask)
            return False
        raw = await _body(reader, headers)
        reply, answer = self._decide(method, path, headers, raw)
        await asyncio.sleep(reply.delay)
        if reply.failure == "cut" and reply.fail_after is None:
            return False
        if answer.events is None:
            form = f"content-type: {answer.media_type or 'application/json'}\r\ncontent-length: {len(answer.body)}"
            writer.write(_head(answer, reply, form) + answer.body)
            await writer.drain()
            return True
        form = f"content-type: {answer.media_type or 'text/event-stream'}\r\ntransfer-encoding: chunked"
        writer.write(_head(answer, reply, form))
        for number, event in enumerate(answer.events):
            if number and reply.chunk_delay:
                await asyncio.sleep(reply.chunk_delay)
            writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()
        if answer.cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], operation: str, body: Mapping[str, Any]
    ) -> tuple[Request, Reply]:
        """What the script says to a turn of a session."""
        number = len(self.requests) + 1
        request = Request(method, path, headers, body, operation, str(body.get("model") or ""), True, number)
        self.requests.append(request)
        return request, self._scripted(request)

    def _scripted(self, request: Request) -> Reply:
        try:
            return self._answer(request)
        except Exception as error:
            return Reply(status=500, error=f"The script raised {type(error).__name__}: {error}")

    def _decide(self, method: str, path: str, headers: Mapping[str, str], raw: bytes) -> tuple[Reply, Answer]:
        google = _GOOGLE.search(path.partition("?")[0]) or any(name.startswith("x-goog-") for name in headers)
        wire = _GEMINI if google else _OPENAI
        body = _fields(headers.get("content-type", ""), raw)
        request, answer = _read(wire, method, path, headers, body or {}, len(self.requests) + 1)
        self.requests.append(request)
        if body is None:
            reply = Reply(status=400, error="The body is not a JSON object.")
        elif answer is None:
            reply = Reply(status=404, error=f"Unknown request: {method} {path}")
        else:
            reply = self._scripted(request)
        if reply.body is not None:
            return reply, Answer(reply.status, reply.body, headers=wire.headers(request))
        if wire is _OPENAI and reply.finish == "prompt_blocked":
            reply = openai_wire.BLOCKED_PROMPT
        if reply.status >= 400 or answer is None:
            return reply, wire.error(request, reply)
        return reply, answer(request, reply)


def _talk(path: str) -> websocket.Talks | None:
    """Who talks on a path; nobody on most."""
    if "BidiGenerateContent" in path:
        return LiveTalk
    talks: Mapping[str, websocket.Talks] = {"realtime": RealtimeTalk, "responses": ResponsesTalk}
    return talks.get(path.partition("?")[0].rpartition("/")[2])


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    """The body of a request, whole or in chunks."""
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return body


def _fields(media_type: str, raw: bytes) -> Mapping[str, Any] | None:
    """The fields of a body, JSON or a form; ``None`` where it is neither."""
    if media_type.startswith("multipart/form-data"):
        return read_form(media_type, raw)
    try:
        body: Any = json.loads(raw) if raw else {}
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _read(
    wire: _Wire, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any], number: int
) -> tuple[Request, Callable[[Request, Reply], Answer] | None]:
    """A request, and what answers it."""
    plain, _, behind = path.partition("?")
    query = dict(parse_qsl(behind))
    for route_method, pattern, operation, answer in wire.routes:
        if method == route_method and (found := pattern.search(plain)):
            groups = {name: value for name, value in found.groupdict().items() if value is not None}
            model = str(body.get("model") or groups.get("model", ""))
            streamed = bool(body.get("stream")) or query.get("alt") == "sse" or query.get("stream") == "true"
            return Request(method, path, headers, body, operation, model, streamed, number, groups, query), answer
    return Request(method, path, headers, body, number=number, query=query), None


def _head(answer: Answer, reply: Reply, form: str) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {phrases.get(answer.status, 'Unknown')}", form]
    lines += [f"{name}: {value}" for name, value in {**answer.headers, **reply.headers}.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
