"""The real peers, in environments of their own: a call is one span with a cost, whoever else is active.

Not part of the default suite, for it needs a package index and minutes: ``uv run pytest tests/peers/checks.py``.
"""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.support.environments import Peer
from tests.peers import environments as e

by_key = {"ids": lambda peer: peer.key}
#: A and a are otel_llm on and off, B and b the peer.
ORDERS = ("AaBb", "ABab", "ABba", "BbAa", "BAba", "BAab")


def _recorded(turn: dict[str, list[dict[str, Any]]]) -> dict[str, list[str]]:
    return {call: [span["scope"] for span in spans] for call, spans in turn.items()}


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    """What each peer records without otel_llm, turned on and off."""
    return {peer.key: e.run(peer, "instrumentations", {"peer": peer.key, "turns": "Bb"}) for peer in e.INSTRUMENTATIONS}


@pytest.mark.parametrize("peer", e.INSTRUMENTATIONS, **by_key)
@pytest.mark.parametrize("turns", ORDERS)
def test_one_span_in_all_orders(turns: str, peer: Peer, alone: dict[str, Any]) -> None:
    """While otel_llm is on, each call is its span, with a cost; else the peer records as it does alone."""
    found = e.run(peer, "instrumentations", {"peer": peer.key, "turns": turns})
    on = set()
    with_peer, without_peer = map(_recorded, alone[peer.key]["turns"])
    behind, together = False, False  # some leave patches behind when they are turned off
    for turn, recorded in zip(turns, found["turns"], strict=True):
        on = on | {turn} if turn.isupper() else on - {turn.upper()}
        if "A" in on:
            together = together or "B" in on or behind
            spans = {call: [(span["scope"], span["cost"]) for span in spans] for call, spans in recorded.items()}
            assert spans == {call: [("otel_llm", "priced")] for call in recorded}, turn
        elif "B" in on:
            assert _recorded(recorded) == with_peer, turn
        else:
            behind = any(recorded.values())
            assert not behind or _recorded(recorded) == without_peer, turn
    said = [sentence for sentence in found["said"] if "passed by" in sentence or "patched the client" in sentence]
    assert bool(said) is together
    assert len(said) == len(set(said)) <= 3


@pytest.mark.parametrize("peer", e.FRAMEWORKS, **by_key)
def test_one_span_below_a_framework(peer: Peer) -> None:
    """The framework's span of the call is adopted: none of ours beside it, and it has a cost."""
    found = e.run(peer, "frameworks", peer.key)
    for call, spans in found["calls"].items():
        models = [span for span in spans if span["operation"] in ("chat", "generate_content", "text_completion")]
        assert [(span["scope"] != "otel_llm", span["cost"]) for span in models] == [(True, "priced")], call
    assert sum("records model calls too" in sentence for sentence in found["said"]) == 1
