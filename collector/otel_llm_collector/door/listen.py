"""Opening an HTTP port: who may connect, and what its server tells the log."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket

from aiohttp import web

from otel_llm_collector.errors import CollectorError

from .connection import Connection
from .gate import Gate
from .peers import Connections, peer

_BACKLOG = 1024
_PAUSE_S = 0.1
_NAMES = {"http": "OTLP/HTTP", "api": "The API"}
_log = logging.getLogger(__name__)


class Door(web.BaseSite):
    """A port that counts connections before it reads from them, and closes at once those beyond the limits."""

    def __init__(
        self,
        runner: web.BaseRunner,
        gate: Gate,
        port: int,
        connections: Connections,
        decompress: bool,
    ) -> None:
        super().__init__(runner)
        self._settings = gate.settings
        self._wanted = port
        self._connections = connections
        self._tls = gate.tls
        self._decompress = decompress
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self._settings.address(self.port)

    @property
    def port(self) -> int:
        """Its number, which the system chooses where it is 0."""
        return int(self._sockets[0].getsockname()[1]) if self._sockets else self._wanted

    async def start(self) -> None:
        """Listen on all addresses of the host. Raises ``OSError``."""
        await super().start()
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._settings.host, self._wanted, type=socket.SOCK_STREAM)
        absent: OSError | None = None
        for family, address in dict.fromkeys((family, address[0]) for family, _, _, _, address in found):
            try:
                listener = socket.create_server((str(address), self.port), family=family, backlog=_BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL:  # localhost may name an address that the machine has not
                    raise
                absent = error
                continue
            listener.setblocking(False)
            self._sockets.append(listener)
        if not self._sockets and absent is not None:
            raise absent
        self._accepting = [loop.create_task(self._accept(listener)) for listener in self._sockets]

    async def stop(self) -> None:
        """Take no more connections."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listener in self._sockets:
            listener.close()
        await super().stop()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connected, address = await loop.sock_accept(listener)
            except OSError as error:  # no more files may be open
                _log.warning("A connection to %s was not taken: %s.", self.name, error.strerror)
                await asyncio.sleep(_PAUSE_S)
                continue
            who = peer(address[0])
            if not self._connections.enter(who):
                connected.close()
                continue
            task = loop.create_task(self._serve(connected, who))
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)

    async def _serve(self, connected: socket.socket, who: str) -> None:
        """From the handshake to the end of a connection."""
        seconds = self._settings.head_seconds
        server = self._runner.server
        try:
            if server is None:
                connected.close()
                return
            _, connection = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(server, self._connections, self._settings, self._decompress),
                connected,
                ssl=self._tls.context if self._tls else None,
                ssl_handshake_timeout=seconds if self._tls else None,
            )
            await connection.ended
        except (OSError, TimeoutError):  # of the handshake; OSError is the base of ssl's errors too
            self._connections.unshaken += 1
            connected.close()
        finally:
            self._connections.leave(who)


async def listen(runner: web.BaseRunner, gate: Gate, name: str, port: int, decompress: bool) -> int:
    """Listen on the port of that name; returns its number. ``decompress`` is for bodies that aiohttp shall inflate."""
    await runner.setup()
    door = Door(runner, gate, port, gate.connections[name], decompress)
    try:
        await door.start()
    except OSError as error:
        await runner.cleanup()
        own = error.strerror if isinstance(error, socket.gaierror) else None
        reason = own or (os.strerror(error.errno) if error.errno else str(error))
        raise CollectorError(f"{_NAMES[name]} cannot listen on {gate.settings.address(port)}: {reason}.") from error
    return door.port
