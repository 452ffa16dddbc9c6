"""Questions over HTTP, as ClickHouse's clients send them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.support.collector import Handle, send

ENDLESS = "SELECT count() FROM numbers(1000000000000000)"
DEAF = "SELECT hasAll(materialize(range(3000000)), materialize(arrayReverse(range(3000000))))"
"""One call that takes longer than any test, and which ClickHouse itself cannot interrupt."""


def ask(collector: Handle, sql: str | bytes, headers: dict[str, str] | None = None, **query: str) -> Any:
    """Status, headers and body of a POST."""
    statement = sql.encode() if isinstance(sql, str) else sql
    return send("POST", f"{collector.api}/?{urlencode(query)}", statement, headers)


def form(fields: list[tuple[str, bytes]]) -> tuple[bytes, dict[str, str]]:
    """The body of a multipart form, each field by its head, and the header that goes with it."""
    parts = [b"--x\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + v for head, v in fields]
    return b"\r\n".join([*parts, b"--x--\r\n"]), {"Content-Type": "multipart/form-data; boundary=x"}
