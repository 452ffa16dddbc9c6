"""The URL of a ClickHouse server: its parts, and how it may be shown."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

PORTS = {"clickhouse": 8123, "clickhouses": 8443}
_PASSWORD = re.compile(r"\A((?:[^:/]*://)?[^:]*):.*@", re.DOTALL)


def server_parts(url: str) -> SplitResult | None:
    """The parts of a server's URL; ``None`` where it is none, or where a password with ``/ ? #`` may have cut it."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in PORTS and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if fits and not parts.fragment and "@" not in parts.path + parts.query else None


def masked(url: str) -> str:
    """A URL, well written or not, without what stands between the user and the last ``@``."""
    return _PASSWORD.sub(r"\1:***@", url)
