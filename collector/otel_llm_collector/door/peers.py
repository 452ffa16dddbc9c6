"""Callers by their address: how many connections each has, and how often it showed a key that is none."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter, OrderedDict
from urllib.parse import unquote

_WINDOW_S = 60.0
_REMEMBERED = 4096


def peer(address: str) -> str:
    """Who an address is counted as: itself, or for IPv6 its /64, of which one caller has all addresses."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if not parsed.is_loopback else str(parsed)


def grpc_peer(name: str) -> str:
    """The same for gRPC's name of a caller, such as ``ipv4:10.0.0.1:5000`` or ``ipv6:%5B::1%5D:5000``."""
    return peer(unquote(name).partition(":")[2].rpartition(":")[0].strip("[]"))


class Connections:
    """How many connections there are to a port, and from whom."""

    def __init__(self, limit: int, limit_per_peer: int) -> None:
        self._limit = limit
        self._limit_per_peer = limit_per_peer
        self._open: Counter[str] = Counter()
        self.total = 0
        self.refused = 0
        """Connections that were closed at once, because there were too many."""
        self.late = 0
        """Connections that were closed because a request's head did not arrive, or an answer was not read, in time."""
        self.unshaken = 0
        """Connections whose TLS handshake failed."""

    def enter(self, peer: str) -> bool:
        """Count a connection; false when it is one too many, and not counted."""
        if self.total >= self._limit or self._open[peer] >= self._limit_per_peer:
            self.refused += 1
            return False
        self.total += 1
        self._open[peer] += 1
        return True

    def leave(self, peer: str) -> None:
        self.total -= 1
        self._open[peer] -= 1
        if not self._open[peer]:
            del self._open[peer]


class Guesses:
    """Who shows keys that are none, within a minute; the oldest are forgotten beyond some thousands of callers."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._peers: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def add(self, peer: str) -> float:
        """Count one more; the seconds for which the caller is locked out, 0 when it is not."""
        now = time.monotonic()
        began, count = self._peers.get(peer, (now, 0))
        if now - began >= _WINDOW_S:
            self._peers.pop(peer)
            began, count = now, 0
        self._peers[peer] = began, count + 1
        if len(self._peers) > _REMEMBERED:
            self._peers.popitem(last=False)
        return began + _WINDOW_S - now if count >= self._limit else 0.0
