"""Which trace is meant, and where else it can be seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from otel_llm_collector.errors import CollectorError
from otel_llm_collector.settings import web_address

from .questions import ask

if TYPE_CHECKING:
    from otel_llm_collector.client import Reader

_HANDLE = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def one_trace(reader: Reader, given: str) -> str:
    """The id of the trace that is meant by an id, its first digits, or a call's handle; it must be the only one."""
    given = given.strip().lower()
    handle = _HANDLE.fullmatch(given)
    prefix = handle[1] if handle else given
    if not re.fullmatch(r"[0-9a-f]{1,32}", prefix):
        raise CollectorError(f"{given} is not a trace id: give up to 32 hexadecimal digits, or the handle of a call.")
    found: list[str] = [row["trace_id"] for row in ask(reader, "find_traces", prefix=prefix)]
    if not found:
        raise CollectorError(f"No trace begins with {prefix}. The last ones: otel-llm calls")
    if len(found) > 1:
        raise CollectorError(f"Several traces begin with {prefix}: {', '.join(found)}. Give more digits.")
    return found[0]


def jaeger_page(reader: Reader, url: str | None, trace_id: str) -> str | None:
    """Jaeger's page of a trace: by a URL that is given, else by that of the collector that runs."""
    if url is None:
        url = reader.running.jaeger_url if reader.running is not None else ""
    return f"{web_address('--jaeger-url', url)}/trace/{trace_id}" if url else None
