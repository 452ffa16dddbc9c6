"""What Jaeger asks, asked of the store; each function is one step of a call, for a thread.

A step gets ``ask``, which answers a file of ``schemas/jaeger`` with rows. Times are in Unix nanoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from otel_llm_collector import schemas
from otel_llm_collector.clickhouse.whole_spans import chunks
from otel_llm_collector.errors import StoreError

from .fitting import fitting
from .search import LAST_NS, Search

Ask = Callable[..., list[dict[str, Any]]]
"""``ask(sql, **parameters)`` gives the rows, a dictionary each; raises ``StoreError``."""

PAGE = 1000
"""Spans that are read at once."""
TOO_LARGE = (241, 396)
"""ClickHouse's numbers for too much memory, and for an answer with too many bytes."""
_SECOND_NS = 10**9
_WINDOW_NS = 900 * _SECOND_NS
"""The time before the end of a search that is looked at first; each one after it is four times as long."""
_ALL = 2**32 - 1


class Page(NamedTuple):
    """Spans of some traces: those between two spans in order of time and id, both included; "" is no span's id."""

    trace_ids: tuple[str, ...]
    first: tuple[int, str]
    last: tuple[int, str]
    spans: int

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of ``parts/spans_between.sql``."""
        return {
            "trace_ids": self.trace_ids,
            "first_time": self.first[0],
            "first_span": self.first[1],
            "last_time": self.last[0],
            "last_span": self.last[1],
        }


def find(ask: Ask, search: Search) -> list[str]:
    """The ids of the traces, the one with the newest span that is looked for first.

    A search looks at the last time first, and at more of it until it has enough: that is what most searches want.
    """
    (stored,) = ask(_sql("times"))
    first, last = max(search.first, stored["first"]), min(search.last, stored["last"])
    sql = _sql("find").replace("  -- conditions\n", "".join(f"  AND {text}\n" for text in search.conditions))
    found: dict[str, None] = {}
    window = _WINDOW_NS
    while stored["spans"] and first <= last and len(found) < search.traces:
        begin = max(first, last - window)
        rows = ask(sql, first=begin, last=last, traces=search.traces, **search.parameters)
        found |= dict.fromkeys(row["trace_id"] for row in rows)
        last, window = begin - 1, window * 4
    return list(found)[: search.traces]


def ranges(ask: Ask, trace_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
    """When each of these traces, where it is there, began and when its last span had begun, in whole seconds."""
    rows = ask(_sql("ranges"), trace_ids=trace_ids)
    return {row["trace_id"]: (row["start"] * _SECOND_NS, row["end"] * _SECOND_NS) for row in rows}


def whole(ask: Ask, trace_ids: Sequence[str]) -> Page | None:
    """All spans of these traces as one page, whatever its size; ``None`` where there are none."""
    known = ranges(ask, trace_ids)
    if not known:
        return None
    first = min(start for start, _ in known.values())
    last = max(end for _, end in known.values())
    there = tuple(trace_id for trace_id in trace_ids if trace_id in known)
    return Page(there, (first, ""), (min(last, LAST_NS), ""), 0)


def pages(ask: Ask, page: Page, size: int) -> list[Page]:
    """The spans of a page in pages of about so many, in the order of its traces; small traces share one."""
    pieces: dict[str, list[Page]] = {}
    for row in ask(_sql("pages"), size=size, **page.parameters):
        first, last = (row["first_time"], row["first_span"]), (row["last_time"], row["last_span"])
        pieces.setdefault(row["trace_id"], []).append(Page((row["trace_id"],), first, last, row["spans"]))
    joined: list[Page] = []
    room = 0
    """Spans that may be added to the last page, which has whole traces only."""
    for trace_id in page.trace_ids:
        own = pieces.get(trace_id, [])
        if len(own) == 1 and own[0].spans <= room:
            joined[-1] = _joined(joined[-1], own[0])
        else:
            joined += own
        room = size - joined[-1].spans if len(own) == 1 else 0
    return joined


def _joined(one: Page, other: Page) -> Page:
    """One page of whole traces: what else began in its time is not of theirs."""
    ids = (*one.trace_ids, *other.trace_ids)
    return Page(ids, min(one.first, other.first), max(one.last, other.last), one.spans + other.spans)


def whole_spans(ask: Ask, page: Page) -> list[bytes]:
    """The spans of a page, as ``TracesData`` messages that can be sent."""
    return _in_order(page, ask(schemas.read("whole_spans.sql"), most=_ALL, **page.parameters))


def small(ask: Ask, page: Page, most: int) -> list[bytes] | None:
    """The same where there are so many spans at most; ``None`` where there are more, or they are too large."""
    try:
        rows = ask(schemas.read("whole_spans.sql"), most=most + 1, **page.parameters)
    except StoreError as error:
        if error.code in TOO_LARGE:
            return None
        raise
    return _in_order(page, rows) if len(rows) <= most else None


def _in_order(page: Page, rows: list[dict[str, Any]]) -> list[bytes]:
    place = {trace_id: n for n, trace_id in enumerate(page.trace_ids)}
    return [fitting(chunk) for chunk in chunks(sorted(rows, key=lambda row: place[row["trace_id"]]))]


def summaries(ask: Ask, page: Page) -> list[dict[str, Any]]:
    """A row for each trace of a page, in its order."""
    rows = {row["trace_id"]: row for row in ask(_sql("summaries"), **page.parameters)}
    return [rows[trace_id] for trace_id in page.trace_ids if trace_id in rows]


def services(ask: Ask) -> list[str]:
    """All names of services."""
    return [row["name"] for row in ask(_sql("services"))]


def operations(ask: Ask, service: str, kind: str) -> list[dict[str, Any]]:
    """Names and kinds of a service's spans, of one kind if it is not empty; kinds as the store writes them."""
    return ask(_sql("operations"), service=service, kind=kind)


def dependencies(ask: Ask, first: int, last: int) -> list[dict[str, Any]]:
    """How often services called one another between two times."""
    return ask(_sql("dependencies"), first=first, last=last)


def groups(trace_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """The ids, so many at a time, each once."""
    once = list(dict.fromkeys(trace_ids))
    for start in range(0, len(once), size):
        yield once[start : start + size]


def _sql(name: str) -> str:
    return schemas.read(f"jaeger/{name}.sql")
