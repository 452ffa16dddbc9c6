"""What tests of faults share: what fails, both SDKs answered in this process, and the log."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace

from otel_llm import config
from tests.support.inprocess import ASKED, Ask, Clients


class Fault(Exception):
    """What fails in these tests, and in no SDK."""


def fail(*args: Any, **kwargs: Any) -> Any:
    """Fails."""
    raise Fault("of ours")


def cases() -> list[tuple[Ask, dict[str, Any]]]:
    """Every kind of call, with parameters of its own."""
    return [(ask, copy.deepcopy(ask.kwargs)) for ask in ASKED.values()]


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the log about faults of ours."""
    return [record.getMessage() for record in caplog.records if record.name == "otel_llm"]


def unaffected(clients: Clients, asynchronous: bool) -> list[Any]:
    """What calls give without us."""
    return clients.try_all(cases(), asynchronous)


@contextlib.contextmanager
def afresh(monkeypatch: pytest.MonkeyPatch, clients: Clients) -> Iterator[None]:
    """Nothing has failed yet; at the end nothing is current."""
    monkeypatch.setattr(config, "_said", set())
    yield
    clients.wire.error = None
    clients.wire.asked = []
    assert trace.get_current_span() is trace.INVALID_SPAN
