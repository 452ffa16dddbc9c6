"""Everything that is sent on: the endpoints of the settings, each with folders of its own in the log."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from otel_llm_collector.log.segment import SUFFIX, Segment, make_folder
from otel_llm_collector.settings import Settings

from .endpoint import Endpoint
from .forwarder import Forwarder

_log = logging.getLogger(__name__)


class Forwarding:
    """A forwarder for each endpoint."""

    def __init__(self, settings: Settings, targets: Sequence[Endpoint]) -> None:
        """``targets`` are what ``endpoints`` makes of the settings. Raises ``OSError``."""
        self._folder = settings.log / "forward"
        wanted = {self._of(endpoint, signal.name) for endpoint in targets for signal in endpoint.signals}
        self._forget(wanted)
        for folder in sorted(wanted):
            make_folder(folder)
        self.forwarders = [
            Forwarder(endpoint, {signal: self._of(endpoint, signal.name) for signal in endpoint.signals})
            for endpoint in targets
        ]

    @property
    def copies(self) -> Mapping[str, Sequence[Path]]:
        """Folders in which segments get a second name, for each signal by its name."""
        copies: dict[str, list[Path]] = {}
        for forwarder in self.forwarders:
            for signal in forwarder.endpoint.signals:
                copies.setdefault(signal.name, []).append(self._of(forwarder.endpoint, signal.name))
        return copies

    def add(self, segment: Segment) -> None:
        """A segment is complete."""
        for forwarder in self.forwarders:
            forwarder.add(segment)

    def start(self, stack: ExitStack) -> None:
        """Send what earlier runs left, and what comes; the stack stops it."""
        for forwarder in self.forwarders:
            forwarder.start()
        stack.callback(self._stop)

    def status(self) -> list[dict[str, Any]]:
        """What each endpoint has taken, and what waits for it."""
        return [forwarder.status() for forwarder in self.forwarders]

    def _stop(self) -> None:
        """All at once, so that slow ones are not waited for one after the other."""
        for forwarder in self.forwarders:
            forwarder.stop()
        for forwarder in self.forwarders:
            forwarder.join()

    def _of(self, endpoint: Endpoint, signal: str) -> Path:
        return self._folder / endpoint.name / signal

    def _forget(self, wanted: set[Path]) -> None:
        """Remove what waits for endpoints that are no longer in the settings, and say so."""
        for folder in sorted(self._folder.glob("*/*")):
            if folder in wanted:
                continue
            left = sum(1 for _ in folder.glob(f"*{SUFFIX}"))
            _log.warning(
                "Nothing is forwarded to %s any more: %d segments of %s are not sent.",
                folder.parent.name,
                left,
                folder.name,
            )
            shutil.rmtree(folder)
        for folder in self._folder.glob("*"):
            if not any(folder.iterdir()):
                folder.rmdir()
