"""What has become of what was to be sent to one endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Forwarded:
    """Running totals of one endpoint; items are spans, log records or data points."""

    requests: int = 0
    """Requests that it accepted."""
    items: int = 0
    """Items in them."""
    bytes: int = 0
    """Bytes in them, before compression."""
    rejected: int = 0
    """Items that it left out of what it accepted."""
    failures: int = 0
    """Attempts that failed and were, or will be, tried again, as they were or in parts."""
    given_up: dict[str, int] = field(default_factory=dict)
    """Items that are not tried again, by reason: ``backlog``, ``damaged``, or the status that refused them."""

    def give_up(self, reason: str, items: int) -> None:
        """Readers in other threads have the earlier totals or these."""
        self.given_up = {**self.given_up, reason: self.given_up.get(reason, 0) + items}
