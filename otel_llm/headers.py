"""Trace headers and baggage stay out of requests to model providers, who are third parties, unless asked for.

HTTP instrumentations put them there through the global propagator; while an SDK is at work for a call, ours holds them
back. All else it hands on to the application's propagator. Where nobody has imported that part of OpenTelemetry, nobody
puts headers anywhere.
"""

from __future__ import annotations

import sys

PROPAGATE = "opentelemetry.propagate"


def hold_back() -> None:
    """Puts the propagator in force behind ours, unless it is; again when the application has set another."""
    if (propagate := sys.modules.get(PROPAGATE)) is None:
        return
    present = propagate.get_global_textmap()
    if type(present).__name__ == "Discreet":
        return
    from otel_llm.discreet import Discreet

    propagate.set_global_textmap(Discreet(present))


def let_go() -> None:
    """Puts the application's propagator back."""
    propagate = sys.modules.get(PROPAGATE)
    if propagate is not None and type(present := propagate.get_global_textmap()).__name__ == "Discreet":
        propagate.set_global_textmap(present.inner)
