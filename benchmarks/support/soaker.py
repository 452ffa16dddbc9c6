"""Runs the mix of a soak in a process of its own, bare or instrumented; prints a line of JSON at each checkpoint."""

from __future__ import annotations

import asyncio
import collections
import gc
import json
import sys
import tempfile
import threading
from importlib import import_module
from pathlib import Path
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from . import mix
from . import transport as t
from .start import resident

CHECKPOINTS = 20
PROMPT = "soak"
OUTCOME = "otel_llm.stream.outcome"


class Counting(SpanProcessor):
    """Counts spans as they end, by how their stream ended; ``call`` for those of plain calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.ended: collections.Counter[str] = collections.Counter()

    def on_end(self, span: ReadableSpan) -> None:
        """One more."""
        with self._lock:
            self.ended[str((span.attributes or {}).get(OUTCOME, "call"))] += 1


class Soak:
    """The work, in as many steps as there are checkpoints."""

    def __init__(self, task: dict[str, Any], folder: Path) -> None:
        self.calls: int = task["calls"] // CHECKPOINTS
        self.streams: int = task["streams"] // CHECKPOINTS
        self.clients = t.clients(t.transport(task["answers"], by_event=True))
        self.counting = Counting()
        self.expected: collections.Counter[str] = collections.Counter()
        self.library: Any = None
        if task["instrumented"]:
            (folder / f"{PROMPT}.yaml").write_text(json.dumps({"versions": {"1": {"template": t.TEMPLATE}}}))
            provider = TracerProvider()
            provider.add_span_processor(self.counting)
            trace.set_tracer_provider(provider)
            metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
            self.library = import_module("otel_llm")
            self.library.instrument(capture_content=True, prompts=folder)
        self._said = 0

    def text(self, _: int) -> str:
        """A text that was not sent before."""
        self._said += 1
        question = f"What about {self._said}?"
        if self.library is None:
            return t.TEMPLATE.replace("{{ passage }}", t.PASSAGE).replace("{{ question }}", question)
        return str(self.library.prompt(PROMPT).render(passage=t.PASSAGE, question=question))

    def sync_step(self) -> None:
        """The part that blocks."""
        for number in range(self.calls // 2):
            mix.CALLS[number % len(mix.CALLS)](self.clients, self.text(number))
        self.expected.update(mix.streams(self.clients, self.streams // 2, self.text))

    async def async_step(self) -> None:
        """The part that awaits."""
        together = 20
        count = self.calls - self.calls // 2
        for first in range(0, count, together):
            numbers = range(first, min(first + together, count))
            coming = [mix.ASYNC_CALLS[n % len(mix.ASYNC_CALLS)](self.clients, self.text(n)) for n in numbers]
            await asyncio.gather(*coming)
        self.expected.update(await mix.async_streams(self.clients, self.streams - self.streams // 2, self.text))
        gc.collect()
        await asyncio.sleep(0.01)  # the loop closes generators that were dropped

    def checkpoint(self) -> dict[str, Any]:
        """How things stand, after everything that was dropped has been ended."""
        gc.collect()
        if self.library is not None:
            self.library.flush()
        gc.collect()
        kinds = collections.Counter(type(thing) for thing in gc.get_objects())
        ours = sum(count for kind, count in kinds.items() if str(kind.__module__).startswith("otel_llm"))
        spans = sum(count for kind, count in kinds.items() if issubclass(kind, trace.Span))
        contexts = sum(count for kind, count in kinds.items() if kind.__name__ in ("Context", "Token"))
        return {
            "resident": resident(),
            "threads": threading.active_count(),
            "objects": ours,
            "spans": spans,
            "contexts": contexts,
            "attached": len(otel_context.get_current()),
            "ended": dict(self.counting.ended),
            "expected": dict(self.expected),
        }

    def run(self) -> None:
        """Every step, with a checkpoint after each."""
        with asyncio.Runner() as runner:
            for _ in range(CHECKPOINTS):
                self.sync_step()
                runner.run(self.async_step())
                self.expected["call"] += self.calls
                print(json.dumps(self.checkpoint()), flush=True)


def main() -> None:
    """Reads the task and does it."""
    task = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        Soak(task, Path(folder)).run()


if __name__ == "__main__":
    main()
