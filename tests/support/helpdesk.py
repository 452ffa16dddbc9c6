"""The help desk of ``examples``, played once: many customers at once, with all that can go wrong in between."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from helpdesk.processes import HelpDesk, help_desk, telemetry
from helpdesk.scripted import providers
from otel_llm.testing import Reply, Request, default_reply
from otel_llm_collector import schemas
from otel_llm_collector.running import Running
from tests.support.collector import Handle, start_collector

#: What a prompt begins with says which of the calls it is.
_STEPS = {
    "Rewrite the customer's question": "rewrite",
    "Answer the customer": "answer",
    "Say in one word how this answer sounds": "tone",
    "Say in one word how urgent": "triage",
    "Sum up this ticket": "summary",
    "Say in two sentences": "digest",
}
_SERVED = """SELECT count() FROM otel_traces
WHERE ServiceName = 'answers' AND SpanKind = 'Server' AND SpanAttributes['session.id'] IN"""
_TEXTS = "SELECT TraceId, groupUniqArrayArray(mapValues(SpanAttributes)) AS texts FROM otel_traces GROUP BY TraceId"
_LINKS = "SELECT Links.TraceId AS traces, Links.SpanId AS spans FROM otel_traces WHERE SpanName = 'digest'"
_SUM = "SELECT {1} AS name, sum(t.cost_total) AS cost_total FROM {0} AS t GROUP BY {1}"
SUMMED = {
    "llm_calls": ("trace_id", "service_name", "prompt_name", "user_id"),
    "llm_calls_hourly": ("service_name", "prompt_name"),
}
_EMBEDDED = "SELECT count() FROM llm_calls WHERE prompt_name = 'embed_query' AND session_id IN"
#: The mark of a question; it has an end, because an answer may be cut in the middle of it.
MARK = re.compile(r"\b(?:plain|limited|slow)-\d+z\b")


class BadMoments:
    """Answers with the mark of the question; ``limited`` ones are refused at first, ``slow`` ones take a minute."""

    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()

    def __call__(self, request: Request) -> Reply:
        mark = next(iter(MARK.findall(request.text)), "")
        step = next((step for start, step in _STEPS.items() if request.text.startswith(start)), "")
        self.seen[mark, step] += 1
        if mark.startswith("limited") and self.seen[mark, step] == 1 and step in ("rewrite", "answer", "triage"):
            return Reply(status=429 if step == "rewrite" else 500, retry_after=0.05)
        if step == "answer":
            if mark.startswith("slow"):
                return Reply(f"The answer to {mark}. " * 60, chunks=600, chunk_delay=0.1)
            return Reply(f"The answer to {mark}. " * 5, chunks=5, chunk_delay=0.01)
        return Reply(f"{step} of {mark}") if step else default_reply(request)


@dataclass
class Ask:
    """A question of a customer, and what came of it."""

    mark: str
    number: int
    trace_id: str = ""
    request_id: str = ""
    text: str = ""

    @property
    def user(self) -> str:
        return f"user-{self.number}"

    @property
    def company(self) -> str:
        return f"company-{self.number % 3}"

    @property
    def session(self) -> str:
        return f"session-{self.number}"


@dataclass
class Played:
    """All questions, and all that the store has of them; plain data, for whichever process looks at it."""

    asks: list[Ask]
    broken: list[Ask]
    left: list[Ask]
    logs: Path
    requests: Counter[tuple[str, str]]
    """How often the provider was asked, by mark and step."""
    spans: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    texts: dict[str, str]
    """Every value of every attribute of a trace."""
    links: list[list[tuple[str, str]]]
    """Of each digest: trace and span of its links."""
    costs: list[dict[str, Any]]
    """What ``otel-llm trace`` says of all traces together, by service, prompt and user."""
    stored_lines: list[dict[str, Any]]
    """Log lines in the store: ``trace_id``, ``service`` and ``text``."""
    sums: dict[tuple[str, str], dict[str, Decimal]]
    """What the store says that calls cost, by table and column."""

    @cached_property
    def whole(self) -> list[Ask]:
        """The questions in which nothing was cut short."""
        return [ask for ask in self.asks if ask not in self.broken and ask not in self.left]

    @cached_property
    def traces(self) -> dict[str, list[dict[str, Any]]]:
        """The spans of each trace, in the order in which they began."""
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for span in self.spans:
            found[span["trace_id"]].append(span)
        return dict(found)


def play(data: Path) -> Played:
    """Thirty customers at once, of whom two go away, then a crash, and one more; on a collector of their own."""
    collector = start_collector(data)
    script = BadMoments()
    try:
        folder = data / "helpdesk"
        crowd, left, broken, last = _play(folder, collector, script)
        collector.flush()
        ids = [row["id"] for row in collector.query("SELECT DISTINCT TraceId AS id FROM otel_traces")]
        return Played(
            asks=crowd + left + broken + last,
            broken=broken,
            left=left,
            logs=folder,
            requests=script.seen,
            spans=collector.query(schemas.read("queries/trace_spans.sql"), trace_ids=ids),
            calls=collector.query("SELECT * FROM llm_calls ORDER BY start_time"),
            texts={row["TraceId"]: " ".join(row["texts"]) for row in collector.query(_TEXTS)},
            links=[list(zip(row["traces"], row["spans"], strict=True)) for row in collector.query(_LINKS)],
            costs=collector.query(schemas.read("queries/trace_costs.sql"), trace_ids=ids),
            stored_lines=collector.query(
                "SELECT TraceId AS trace_id, ServiceName AS service, Body AS text FROM otel_logs WHERE TraceId != ''"
            ),
            sums={
                (table, column): {row["name"]: cost(row) for row in collector.query(_SUM.format(table, column))}
                for table, columns in SUMMED.items()
                for column in columns
            },
        )
    finally:
        collector.stop()


def cost(row: dict[str, Any]) -> Decimal:
    """The cost in a row, exactly; nothing where it has none."""
    return Decimal(f"{row['cost_total'] or 0:.9f}")


def tree(spans: Sequence[dict[str, Any]], at: str = "", depth: int = 0) -> str:
    """A trace as lines of service, kind and name, each two spaces further in than its parent."""
    lines = ""
    for span in spans:
        if span["parent_span_id"] == at:
            lines += f"{'  ' * depth}{span['service_name']} {span['span_kind']} {span['span_name']}\n"
            lines += tree(spans, span["span_id"], depth + 1)
    return lines


def _play(folder: Path, collector: Handle, script: BadMoments) -> tuple[list[Ask], list[Ask], list[Ask], list[Ask]]:
    """The crowd, who left, who were there at the crash, and who came last."""
    running = Running.find(collector.data)
    assert running is not None
    numbers = iter(range(1, 1000))
    with providers(script) as variables:
        variables |= telemetry(collector.data, running) | {"OTEL_BSP_SCHEDULE_DELAY": "200"}
        with help_desk(folder, variables) as desk, ThreadPoolExecutor(30) as pool:
            crowd = _asks(numbers, ["limited" if number % 3 == 0 else "plain" for number in range(28)])
            left = _asks(numbers, ["slow", "slow"])
            list(pool.map(lambda ask: _put(desk, ask, leave=ask in left), crowd + left))
            _wait(collector, _SERVED, crowd + left)
            broken = _crash(desk, collector, pool, _asks(numbers, ["slow", "slow"]))
            last = _asks(numbers, ["plain"])
            _put(desk, last[0])
            desk.wait_for_worker()
    return crowd, left, broken, last


def _asks(numbers: Iterator[int], kinds: Sequence[str]) -> list[Ask]:
    return [Ask(f"{kind}-{number}z", number) for kind, number in zip(kinds, numbers, strict=False)]


def _put(desk: HelpDesk, ask: Ask, leave: bool = False) -> None:
    """Put a question; whoever leaves hears the first piece of the answer only."""
    headers = {"x-user-id": ask.user, "x-company-id": ask.company}
    if ask.number % 2:
        headers["x-request-id"] = f"request-{ask.number}"
    body = {"text": f"What about {ask.mark}?", "session": ask.session}
    with httpx.stream("POST", f"{desk.gateway}/ask", json=body, headers=headers, timeout=60) as response:
        assert response.status_code == 200
        ask.trace_id, ask.request_id = response.headers["x-trace-id"], response.headers["x-request-id"]
        for piece in response.iter_text():
            ask.text += piece
            if leave:
                break


def _crash(desk: HelpDesk, collector: Handle, pool: ThreadPoolExecutor, asks: list[Ask]) -> list[Ask]:
    """Kill the service that answers in the middle of these questions, and start it again."""
    waiting = [pool.submit(_put, desk, ask) for ask in asks]
    _wait(collector, _EMBEDDED, asks)
    desk.processes.kill("answers")
    for future in waiting:
        future.result()
    desk.start("answers")
    return asks


def _wait(collector: Handle, count: str, asks: list[Ask]) -> None:
    """Wait until a count of something in these customers' sessions is one for each."""
    sessions = ", ".join(f"'{ask.session}'" for ask in asks)
    while (found := int(collector.query(f"{count} ({sessions})")[0]["count()"])) < len(asks):
        time.sleep(0.1)
        collector.flush()
    assert found == len(asks)
