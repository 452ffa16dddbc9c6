"""Opening an HTTP port."""

from __future__ import annotations

import os

from aiohttp import web

from .errors import CollectorError
from .settings import Settings


async def listen(runner: web.BaseRunner, settings: Settings, port: int, what: str) -> int:
    """Listen; returns the port, which the system chooses where it is 0."""
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.host, port).start()
    except OSError as error:
        await runner.cleanup()
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CollectorError(f"{what} cannot listen on {settings.address(port)}: {reason}.") from error
    return int(runner.addresses[0][1])
