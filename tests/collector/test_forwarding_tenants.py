"""What a key says of its sender stays here."""

from __future__ import annotations

from pathlib import Path

import pytest

from otel_llm_collector.otlp.check import check
from otel_llm_collector.otlp.clock import Window
from otel_llm_collector.otlp.flatten import stamp, unstamped
from otel_llm_collector.settings import Forward
from otel_llm_collector.signals import SIGNALS, TRACES, Signal
from tests.support.endpoint import HttpEndpoint
from tests.support.otlp import body, span
from tests.support.sending import Sending


def test_a_tenants_name_is_not_passed_on(tmp_path: Path) -> None:
    """Others get what its sender sent."""
    bodies = [body(span({"text": "x" * 5000})) for _ in range(3)]
    stamped = [check(TRACES, sent, Window(0, 0, 1 << 63), "acme-corp").body for sent in bodies]
    assert all(b"acme-corp" in sent for sent in stamped)
    endpoint = HttpEndpoint()
    try:
        with Sending(tmp_path, Forward(endpoint.url)) as sending:
            sending.put(*stamped, tenant="acme-corp")
            endpoint.wait(lambda: len(endpoint.taken) == 1)
    finally:
        endpoint.close()
    assert endpoint.taken[0].body == b"".join(bodies)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: signal.name)
def test_any_request_is_given_back_without_its_mark(signal: Signal) -> None:
    """With resources of any size, and with fields that are not known here."""
    request = signal.request()
    for size in (0, 1, 110, 111, 300, 20_000, 3_000_000):
        group = getattr(request, signal.groups[0]).add(schema_url="u" * size)
        if size > 1:
            getattr(getattr(group, signal.groups[1]).add(), signal.groups[2]).add()
            group.MergeFromString(b"\xa2\x3e\x03new")  # field 996
    request.MergeFromString(b"\xa2\x3e\x03new")
    sent = request.SerializeToString()
    stamp(request, signal, "acme-corp")
    stamped = request.SerializeToString()
    assert stamped.count(b"acme-corp") == 7
    assert unstamped(stamped, "acme-corp") == sent
    assert unstamped(sent, "acme-corp") == sent
