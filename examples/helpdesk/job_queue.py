"""A queue in a file, so that the example needs no broker: RabbitMQ, SQS, Kafka or Celery stand here in yours."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

_TABLE = """
CREATE TABLE IF NOT EXISTS messages
(id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT, body TEXT, taken INTEGER DEFAULT 0)
"""
_TAKE = """
UPDATE messages SET taken = 1
WHERE id IN (SELECT id FROM messages WHERE queue = :queue AND NOT taken ORDER BY id LIMIT :count)
  AND (SELECT count(*) FROM messages WHERE queue = :queue AND NOT taken) >= :count
RETURNING id, body
"""


class JobQueue:
    """Named queues of messages; a message is a dictionary that JSON can hold."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute(_TABLE)

    def put(self, queue: str, message: dict[str, Any]) -> str:
        """Put a message in a queue; its id."""
        with closing(self._open()) as database:
            put = database.execute("INSERT INTO messages (queue, body) VALUES (?, ?)", (queue, json.dumps(message)))
            return f"{queue}-{put.lastrowid}"

    def take(self, queue: str, count: int) -> list[dict[str, Any]]:
        """The first ``count`` messages of a queue, each with its ``id``; none while fewer wait."""
        with closing(self._open()) as database:
            rows = sorted(database.execute(_TAKE, {"queue": queue, "count": count}).fetchall())
        return [{**json.loads(body), "id": f"{queue}-{number}"} for number, body in rows]

    def done(self, messages: Sequence[dict[str, Any]]) -> None:
        """Forget messages that were taken."""
        with closing(self._open()) as database:
            for message in messages:
                database.execute("DELETE FROM messages WHERE id = ?", (message["id"].rpartition("-")[2],))

    def waiting(self, queue: str) -> int:
        """How many messages of a queue are not done."""
        with closing(self._open()) as database:
            row = database.execute("SELECT count(*) FROM messages WHERE queue = ?", (queue,)).fetchone()
            return int(row[0])

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30, isolation_level=None)
