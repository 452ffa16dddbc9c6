"""What can be set when a collector starts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from otel_llm.errors import ConfigError

MIB = 1 << 20
DRAIN_S = 5.0
"""Seconds that requests under way have to end when the collector stops."""


def web_address(name: str, url: str) -> str:
    """The address of pages, without a slash at its end; raises ``ConfigError`` with the name of the setting."""
    if not re.fullmatch(r"https?://[\w.:\[\]-]+[^\s?#]*", url, re.ASCII):
        raise ConfigError(f"{name} is {url!r}; it must be the address of pages, such as http://localhost:16686.")
    return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class Forward:
    """Another OTLP endpoint that gets everything too: ``http://host:4318``, ``https://…`` or ``grpc://host:4317``."""

    url: str
    signals: tuple[str, ...] = ("traces", "logs", "metrics")
    headers: Mapping[str, str] = field(default_factory=dict)
    compression: str = "none"
    """``gzip`` or ``none``, over HTTP; gRPC is never compressed."""
    backlog_bytes: int = 8192 * MIB
    """Most that is kept for it while it is down; beyond that the oldest is given up, counted and said in the log."""


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
    jaeger_port: int = 17271
    """Jaeger's remote storage, over gRPC."""
    jaeger_url: str | None = None
    """Where people have Jaeger's pages, such as ``http://localhost:16686``: ``otel-llm trace`` shows links to them."""
    allow_anyone: bool = False
    """Whether it may listen on an address that others reach without keys and without their certificates."""
    tls_cert: Path | None = None
    """Certificate of all four ports, with those above it, in PEM; with ``tls_key``."""
    tls_key: Path | None = None
    """Its key, in PEM, without a password."""
    tls_client_ca: Path | None = None
    """Authority, in PEM, whose certificates clients must show."""
    key_failures: int = 20
    """Unknown keys that a caller may show in a minute before it is locked out."""
    connections: int = 2048
    """Most connections to each HTTP port."""
    connections_per_peer: int = 256
    """Most of them from one address, or from one IPv6 /64."""
    head_seconds: float = 10.0
    """Seconds for a TLS handshake, and for the head of a request."""
    head_bytes: int = 32768
    """Longest line of a head, and largest head that is not whole yet."""
    head_fields: int = 128
    """Most fields of a head."""
    idle_seconds: float = 75.0
    """Seconds that a connection may be idle."""
    grpc_streams: int = 32
    """Most requests at once of one gRPC connection."""
    grpc_connection_seconds: float = 1800.0
    """Age at which a gRPC client is asked to connect again."""
    body_bytes: int = 64 * MIB
    """Largest OTLP request, once inflated."""
    body_seconds: float = 30.0
    """Seconds that a body may take to arrive: a sender that stalls holds memory and a connection."""
    bodies_bytes: int = 256 * MIB
    """Most that the bodies of requests under way may take together."""
    late_days: int = 32
    """Days by which what comes in may be late; every day is a partition, and an insert takes longer with each."""
    segment_bytes: int = 20 * MIB
    """Size at which a segment of the log is inserted."""
    segment_age_s: float = 0.5
    """Age in seconds at which it is inserted anyway."""
    log_bytes: int = 2048 * MIB
    """Most that the log may hold before senders are asked to wait."""
    forward: tuple[Forward, ...] = ()
    query_seconds: int = 30
    query_rows: int = 1_000_000
    query_memory_bytes: int = 2048 * MIB

    def __post_init__(self) -> None:
        for name in ("grpc_port", "http_port", "api_port", "jaeger_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise ConfigError(f"{name} is {getattr(self, name)}; a port is a number from 0 to 65535.")
        if self.jaeger_url is not None:
            web_address("jaeger_url", self.jaeger_url)
        for setting in fields(self):
            value = getattr(self, setting.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and not setting.name.endswith("_port") and not 0 < value < math.inf:
                raise ConfigError(f"{setting.name} is {value}; it must be {'more than 0' if value <= 0 else 'finite'}.")
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            raise ConfigError(f"{missing} is missing: a certificate and its key go together.")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ConfigError("tls_cert is missing: tls_client_ca asks clients for certificates, which needs TLS.")

    @property
    def log(self) -> Path:
        return self.data / "log"

    @property
    def quarantine(self) -> Path:
        """Folder of what is damaged, or cannot be stored."""
        return self.log / "quarantine"

    def folder_of(self, signal: str) -> Path:
        """Folder of a signal's segments."""
        return self.log / signal

    @property
    def scheme(self) -> str:
        """``https`` with TLS, else ``http``."""
        return "http" if self.tls_cert is None else "https"

    @property
    def store_url(self) -> str:
        return self.store or f"chdb://{(self.data / 'store').resolve()}"

    def address(self, port: int) -> str:
        """Where a port is, as URLs write it: an IPv6 host is in brackets."""
        return f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"
