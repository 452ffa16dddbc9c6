"""An OTLP endpoint that gets everything too: where it is and how it is spoken to, checked."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from otel_llm.errors import ConfigError
from otel_llm_collector.settings import Forward, Settings
from otel_llm_collector.signals import SIGNALS, Signal

_PORTS = {"http": 80, "https": 443, "grpc": 4317, "grpcs": 4317}
_SIGNALS = {signal.name: signal for signal in SIGNALS}
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_METADATA = re.compile(r"(?!grpc-)[0-9a-z_.-]+(?<!-bin)")
_VALUE = re.compile(r"[\x20-\x7e]*")
_OURS = frozenset({"connection", "content-encoding", "content-length", "content-type", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go. ``name``, which is unique, is that of its folder; ``path`` is what stands before ``/v1/…``."""

    name: str
    url: str
    grpc: bool
    tls: bool
    host: str
    port: int
    path: str
    signals: tuple[Signal, ...]
    headers: Mapping[str, str]
    """Their names in small letters. They may be secrets."""
    gzip: bool
    backlog_bytes: int

    @property
    def authority(self) -> str:
        """Host and port, as URLs write them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def of(cls, forward: Forward, settings: Settings) -> Self:
        """Raises ``ConfigError`` with what is wrong."""
        shown = _shown(forward.url)
        if "@" in forward.url:
            raise ConfigError(f"forward url {shown} must not carry a user or password; put them into headers.")
        try:
            parts = urlsplit(forward.url)
            port = parts.port or _PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise ConfigError(f"forward url {shown} is not one: {error}.") from None
        host = parts.hostname or ""
        if wrong := _wrong_with(parts):
            raise ConfigError(f"forward url {shown} {wrong}.")
        if port in (settings.grpc_port, settings.http_port, settings.api_port) and _is_us(host, settings.host):
            raise ConfigError(f"forward url {shown} is this collector itself: what it sends would come back for ever.")
        if forward.compression not in ("gzip", "none"):
            raise ConfigError(f"forward compression of {shown} is {forward.compression!r}; it is 'gzip' or 'none'.")
        if forward.backlog_bytes <= 0:
            raise ConfigError(f"forward backlog_bytes of {shown} is {forward.backlog_bytes}; it must be more than 0.")
        mark = hashlib.sha256(forward.url.encode()).hexdigest()[:8]
        return cls(
            name=f"{re.sub('[^a-z0-9.-]', '-', host)[:60]}-{port}-{mark}",
            url=forward.url,
            grpc=parts.scheme.startswith("grpc"),
            tls=parts.scheme.endswith("s"),
            host=host,
            port=port,
            path=parts.path.rstrip("/"),
            signals=_signals(forward, shown),
            headers=_headers(forward, shown, _METADATA if parts.scheme.startswith("grpc") else _HEADER),
            gzip=forward.compression == "gzip",
            backlog_bytes=forward.backlog_bytes,
        )


def endpoints(settings: Settings) -> list[Endpoint]:
    """All that the settings name. Raises ``ConfigError``, also where two of them are one."""
    found: dict[str, Endpoint] = {}
    for forward in settings.forward:
        endpoint = Endpoint.of(forward, settings)
        if endpoint.name in found:
            raise ConfigError(f"forward url {endpoint.url} is there twice; name all its signals in one place.")
        found[endpoint.name] = endpoint
    return list(found.values())


def _shown(url: str) -> str:
    """A URL as it may be shown, well written or not: without user, password and query."""
    return re.sub(r"[?#].*", "?…", re.sub(r"\A([A-Za-z]*:?/*).*@", r"\1…@", url, flags=re.DOTALL), flags=re.DOTALL)


def _wrong_with(parts: SplitResult) -> str:
    """What makes a URL useless here; empty when nothing does."""
    if parts.scheme not in _PORTS:
        return "must begin with http://, https://, grpc:// or grpcs://"
    if not parts.hostname or re.search(r"[\s\x00-\x1f]", parts.netloc):
        return "names no host"
    if parts.query or parts.fragment:
        return "must end with its path"
    if parts.scheme.startswith("grpc") and parts.path not in ("", "/"):
        return "must not have a path: gRPC has its own"
    if any(parts.path.rstrip("/").endswith(signal.path) for signal in SIGNALS):
        return "must be without /v1/ and the signal, which are added to it"
    return ""


def _signals(forward: Forward, shown: str) -> tuple[Signal, ...]:
    if not forward.signals or not _SIGNALS.keys() >= set(forward.signals):
        allowed = ", ".join(_SIGNALS)
        raise ConfigError(f"forward signals of {shown} are {list(forward.signals)}; they are one or more of {allowed}.")
    return tuple(signal for signal in SIGNALS if signal.name in forward.signals)


def _headers(forward: Forward, shown: str, names: re.Pattern[str]) -> dict[str, str]:
    headers = {name.lower(): value for name, value in forward.headers.items()}
    for name, value in headers.items():
        if not names.fullmatch(name) or name in _OURS:
            raise ConfigError(f"forward headers of {shown} must not have one named {name!r}.")
        if not _VALUE.fullmatch(value):
            raise ConfigError(f"forward header {name} of {shown} has a value that is not plain ASCII text.")
    return headers


def _is_us(host: str, ours: str) -> bool:
    """Whether a host is the one that we listen on."""
    targets = _addresses(host)
    own = _addresses(ours)
    if any(address.is_unspecified for address in own):
        return any(_is_here(address) for address in targets)
    return not targets.isdisjoint(own)


def _addresses(host: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """What a name stands for now; nothing when nobody knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return set()
    return {ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found}


def _is_here(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of this machine's."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
