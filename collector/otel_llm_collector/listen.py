"""Opening an HTTP port, and what its server tells the log."""

from __future__ import annotations

import logging
import os

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from .errors import CollectorError
from .settings import Settings


def _is_news(record: logging.LogRecord) -> bool:
    """Who speaks no HTTP is told so, who hangs up knows it; neither is worth a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError | ConnectionError))


server_log = logging.getLogger(__name__)
server_log.addFilter(_is_news)


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
