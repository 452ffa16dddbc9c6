"""The tables of the store, made once by whoever needs them first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from otel_llm_collector.errors import CollectorError

_log = logging.getLogger(__name__)


class Preparation:
    """Makes the tables; several threads ask for it, one does it, again and again until it succeeds."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.done = False
        self.problem = ""
        """Why the tables are not there; empty once they are, or nobody has asked."""
        self.tried = threading.Event()
        """Set once it is known whether they can be made."""

    def ensure(self) -> None:
        """Returns when the tables are there; raises what ``make`` raises."""
        with self._lock:
            if self.done:
                return
            try:
                self._make()
            except CollectorError as error:
                if self.problem and str(error) != self.problem:  # the first is told by who asked
                    _log.warning("The store's tables cannot be made yet: %s", error)
                self.problem = str(error)
                raise
            finally:
                self.tried.set()
            self.done = True
            self.problem = ""
