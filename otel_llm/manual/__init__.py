"""Calls that the application records itself: by clients that are not patched, after the fact, and the steps between.

>>> import otel_llm
>>> with otel_llm.call(model="claude-sonnet-4-5", provider="anthropic", input=question) as call:
...     call.complete(client.messages.create(...))
"""

from __future__ import annotations

from otel_llm.manual.calls import call, record_call
from otel_llm.manual.live import Abandoned, Call, CallFailed, Live, Step
from otel_llm.manual.observed import observe
from otel_llm.manual.recipe import Recipe

__all__ = ["Abandoned", "Call", "CallFailed", "Live", "Recipe", "Step", "call", "observe", "record_call"]
