"""The server's end of a WebSocket, on the port of the scripted provider: sessions that are talked on.

The ``websockets`` package does the framing; whoever uses an SDK's sessions has it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from otel_llm.testing.script import Reply, Request
from otel_llm.testing.wire import dumps

if TYPE_CHECKING:
    from websockets.server import ServerProtocol

#: Gives what the script says to a turn: of an operation, with a body.
Ask = Callable[[str, Mapping[str, Any]], tuple[Request, Reply]]


class Cut(Exception):
    """The connection shall be cut, without a word."""


class Socket:
    """A connection that has been upgraded: JSON messages, both ways."""

    def __init__(self, protocol: ServerProtocol, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._protocol = protocol
        self._reader = reader
        self._writer = writer

    async def send(self, message: Mapping[str, Any]) -> None:
        """Sends a message; nothing once the other end has closed."""
        from websockets.protocol import OPEN

        if self._protocol.state is OPEN:
            self._protocol.send_text(dumps(message))
            await self.flush()

    async def close(self, code: int, reason: str) -> None:
        """Begins to close."""
        self._protocol.send_close(code, reason[:100])
        await self.flush()

    async def flush(self) -> None:
        """Writes what is to be written."""
        for data in self._protocol.data_to_send():
            if data:
                self._writer.write(data)
        await self._writer.drain()

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """What comes in, until the connection is closed."""
        from websockets.frames import Frame, Opcode
        from websockets.protocol import CLOSED

        text = b""
        while self._protocol.state is not CLOSED:
            for frame in self._protocol.events_received():
                if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                    text += frame.data
                    if frame.fin:
                        yield json.loads(text)
                        text = b""
            if self._protocol.close_expected():
                return
            if data := await self._reader.read(1 << 16):
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            await self.flush()


class Speaker:
    """Answers that are spoken while the client is listened to; one that fails ends the session."""

    def __init__(self) -> None:
        self._answers: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def speak(self, answer: Awaitable[None]) -> asyncio.Task[None]:
        """Begins an answer."""
        task = asyncio.ensure_future(self._spoken(answer))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        return task

    async def _spoken(self, answer: Awaitable[None]) -> None:
        try:
            await answer
        except Exception as error:
            if not self.failed.done():
                self.failed.set_exception(error)

    async def stop(self) -> None:
        """Ends all answers."""
        for task in list(self._answers):
            task.cancel()
        await asyncio.gather(*self._answers, return_exceptions=True)
        self.failed.cancel()


class Talk(Protocol):
    """A session: what it says when it is opened, and to each message."""

    async def opened(self) -> None: ...
    async def received(self, message: Mapping[str, Any]) -> None: ...


#: Makes a session, of a path.
Talks = Callable[[Socket, Ask, str, Speaker], Talk]


async def serve(
    talk: Talks,
    head: bytes,
    path: str,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    ask: Ask,
) -> None:
    """Answers a request to upgrade, and talks until either end closes."""
    from websockets.http11 import Request as Upgrade
    from websockets.server import ServerProtocol

    protocol = ServerProtocol(max_size=None)
    protocol.receive_data(head)
    (upgrade,) = protocol.events_received()
    if not isinstance(upgrade, Upgrade):
        return
    response = protocol.accept(upgrade)
    protocol.send_response(response)
    socket = Socket(protocol, reader, writer)
    await socket.flush()
    speaker = Speaker()
    talking = asyncio.ensure_future(_listen(talk(socket, ask, path, speaker), socket))
    try:
        await asyncio.wait([talking, speaker.failed], return_when=asyncio.FIRST_COMPLETED)
        if speaker.failed.done():
            speaker.failed.result()
        await talking
    except Cut:
        writer.transport.abort()
    finally:
        talking.cancel()
        with contextlib.suppress(asyncio.CancelledError, Cut):
            await talking
        await speaker.stop()


async def _listen(talk: Talk, socket: Socket) -> None:
    await talk.opened()
    async for message in socket.messages():
        await talk.received(message)


#: Some of Google's clients write base64 so that it could be part of an address.
_URL_SAFE = str.maketrans("-_", "+/")


def heard(data: str) -> str:
    """What is in a piece of audio: silence is zeros, and speech for a test is its own transcript."""
    return base64.b64decode(data.translate(_URL_SAFE)).decode("utf-8", "replace").strip("\0")


def spoken(text: str) -> str:
    """A text as audio, for a test."""
    return base64.b64encode(text.encode()).decode()
