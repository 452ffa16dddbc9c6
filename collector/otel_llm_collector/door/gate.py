"""Who comes in, at all ports: keys, certificates and limits of connections."""

from __future__ import annotations

from typing import Any

from otel_llm_collector.settings import Settings

from .access import Access
from .keys import new_secret
from .peers import Connections
from .tls import Tls


class Gate:
    """What the four ports share.

    Raises ``CollectorError`` where keys or certificates cannot be used, or are needed and not there.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.own = new_secret()
        """The key of commands on this machine, for this run."""
        self.access = Access(settings, self.own)
        self.tls = Tls.of(settings)
        self.connections = {
            name: Connections(settings.connections, settings.connections_per_peer) for name in ("http", "api")
        }
        """By port; gRPC counts its own."""

    def status(self) -> dict[str, Any]:
        """Who was let in, and who was not."""
        return {
            "keys_required": self.access.required,
            "refused_callers": dict(self.access.refused),
            "connections": {
                name: {"open": of.total, "refused": of.refused, "late": of.late, "handshakes_failed": of.unshaken}
                for name, of in self.connections.items()
            },
        }
