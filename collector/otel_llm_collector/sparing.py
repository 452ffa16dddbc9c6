"""Saying in the log what would be said too often."""

from __future__ import annotations

import logging
import time

_EVERY_S = 60.0


class Sparing:
    """Warns once a minute about each topic; belongs to one thread."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}

    def say(self, topic: str, message: str, *arguments: object) -> None:
        """Warn, unless the topic was warned about less than a minute ago."""
        now = time.monotonic()
        if now - self._said.get(topic, -_EVERY_S) >= _EVERY_S:
            self._said[topic] = now
            self._log.warning(message, *arguments)
