"""Opening an HTTP port."""

from __future__ import annotations

from aiohttp import web

from .errors import CollectorError


async def listen(runner: web.BaseRunner, host: str, port: int, what: str) -> int:
    """Listen; returns the port, which the system chooses where it is 0."""
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise CollectorError(f"{what} cannot listen on {host}:{port}: {error.strerror or error}.") from error
    return int(runner.addresses[0][1])
