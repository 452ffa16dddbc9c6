"""What can be set when a collector starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from otel_llm.errors import ConfigError

MIB = 1 << 20
DRAIN_S = 5.0
"""Seconds that requests under way have to end when the collector stops."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one collector; port 0 takes any free port."""

    data: Path = Path(".otel-llm")
    """Folder of the log, the lock and the embedded store."""
    store: str | None = None
    """``chdb:///path`` or ``clickhouse://user:password@host:port/database``; by default embedded, in ``data``."""
    host: str = "127.0.0.1"
    grpc_port: int = 4317
    http_port: int = 4318
    api_port: int = 4319
    body_bytes: int = 64 * MIB
    """Largest OTLP request, once inflated."""
    segment_bytes: int = 24 * MIB
    """Size at which a segment of the log is inserted."""
    segment_age_s: float = 0.5
    """Age in seconds at which it is inserted anyway."""
    log_bytes: int = 2048 * MIB
    """Most that the log may hold before senders are asked to wait."""
    query_seconds: int = 30
    query_rows: int = 1_000_000
    query_memory_bytes: int = 2048 * MIB

    def __post_init__(self) -> None:
        for name in ("grpc_port", "http_port", "api_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise ConfigError(f"{name} is {getattr(self, name)}; a port is a number from 0 to 65535.")
        for name in ("body_bytes", "segment_bytes", "segment_age_s", "log_bytes", "query_seconds", "query_rows"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be more than 0.")

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def store_url(self) -> str:
        return self.store or f"chdb://{(self.data / 'store').resolve()}"

    def address(self, port: int) -> str:
        """Where a port is, as URLs write it: an IPv6 host is in brackets."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"
